"""EC2 instances really run their user data, and are shown as EC2 shows them."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.server import open_cloud
from localaws.store import Store
from tests.localaws.compute_world import ec2_only, role, until
from tests.localaws.conftest import Client, StartCloud
from tests.localaws.sagemaker_world import can_mount

DEEP_LEARNING = (
    "/aws/service/deeplearning/ami/x86_64/"
    "oss-nvidia-driver-gpu-pytorch-2.9-ubuntu-24.04/latest/ami-id"
)
AMAZON_LINUX = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


@pytest.fixture
def ec2s(start_cloud: StartCloud) -> Client:
    return start_cloud(build=ec2_only)


def image(cloud: Client, parameter: str = DEEP_LEARNING) -> str:
    found: str = cloud.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    return found


def run(cloud: Client, script: str = "", **params: Any) -> list[str]:
    """The ids of launched instances."""
    request = {
        "ImageId": image(cloud),
        "InstanceType": "c6i.xlarge",
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": script,
        **params,
    }
    answer = cloud.client("ec2").run_instances(**request)
    assert {i["State"]["Name"] for i in answer["Instances"]} == {"pending"}
    return [instance["InstanceId"] for instance in answer["Instances"]]


def describe(cloud: Client, instance_id: str) -> dict[str, Any]:
    answer = cloud.client("ec2").describe_instances(InstanceIds=[instance_id])
    found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return found


def in_state(cloud: Client, instance_id: str, state: str, timeout_s: float = 20) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        found = describe(cloud, instance_id)
        return found if found["State"]["Name"] == state else None

    return until(reached, timeout_s)


def console(cloud: Client, instance_id: str) -> str:
    answer: str = cloud.client("ec2").get_console_output(InstanceId=instance_id)["Output"]
    return answer


def said(cloud: Client, instance_id: str, pattern: str) -> str:
    """The first group of `pattern` in the console, once it is there."""
    return until(lambda: re.search(pattern, console(cloud, instance_id)))[1]


def end_time(instance: dict[str, Any]) -> datetime:
    found = re.fullmatch(r"User initiated \((.*) GMT\)", instance["StateTransitionReason"])
    assert found is not None
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def profile(cloud: Client, name: str = "trainer") -> None:
    role(cloud, name, "ec2.amazonaws.com")
    iam = cloud.client("iam")
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


UPLOAD = """#!/bin/bash
set -e
python - <<'END'
import boto3
boto3.client("s3").put_object(Bucket="results", Key="who",
    Body=boto3.client("sts").get_caller_identity()["Arn"])
END
shutdown -h now
sleep 600
"""


def test_an_instance_works_as_its_role_and_ends_itself(ec2s: Client) -> None:
    profile(ec2s)
    ec2s.client("s3").create_bucket(Bucket="results")
    before = datetime.now(UTC).replace(microsecond=0)
    (instance_id,) = run(
        ec2s,
        UPLOAD,
        IamInstanceProfile={"Name": "trainer"},
        InstanceInitiatedShutdownBehavior="terminate",
        MetadataOptions={"HttpTokens": "required"},
    )
    ended = in_state(ec2s, instance_id, "terminated", 30)
    body = ec2s.client("s3").get_object(Bucket="results", Key="who")["Body"].read().decode()
    assert body == f"arn:aws:sts::123456789012:assumed-role/trainer/{instance_id}"
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert before <= ended["LaunchTime"] <= end_time(ended) <= datetime.now(UTC)
    assert "localaws: shutdown -h now" in console(ec2s, instance_id)


TREE = """#!/bin/bash
cd /home/ubuntu && mkdir TrainedModels && echo weights > TrainedModels/model.pth
echo found: $(ls /home/ubuntu) $(ls /home/ubuntu/TrainedModels)
sleep 60
"""


def only_the_console(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == ["console.log"]


def test_two_instances_write_the_same_place_and_never_meet(ec2s: Client) -> None:
    if not can_mount(ec2s):
        pytest.skip("without namespaces an instance writes to this machine")
    here = Path("/home/ubuntu/TrainedModels")
    before = here.exists()
    both = [run(ec2s, TREE)[0] for _ in range(2)]
    for one in both:
        assert said(ec2s, one, r"found: (.*)") == "TrainedModels model.pth"
    assert here.exists() == before
    folders = [ec2s.cloud.settings.state_dir / "ec2" / one for one in both]
    ec2s.client("ec2").terminate_instances(InstanceIds=both)
    for one, folder in zip(both, folders, strict=True):
        in_state(ec2s, one, "terminated")
        until(partial(only_the_console, folder))


@pytest.mark.slow
def test_the_aws_cli_runs_inside(ec2s: Client) -> None:
    profile(ec2s)
    ec2s.client("s3").create_bucket(Bucket="results")
    script = (
        "#!/bin/bash\necho hello > x.txt\naws s3 cp x.txt s3://results/x.txt\n"
        "sudo /sbin/shutdown -h now\n"
    )
    (instance_id,) = run(
        ec2s,
        script,
        IamInstanceProfile={"Name": "trainer"},
        InstanceInitiatedShutdownBehavior="terminate",
    )
    in_state(ec2s, instance_id, "terminated", 60)
    body = ec2s.client("s3").get_object(Bucket="results", Key="x.txt")["Body"].read()
    assert body == b"hello\n"


def alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    # An orphan that was killed may wait for init to take note of it.
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" not in status.read_text()


BUSY = "#!/bin/sh\nsetsid sleep 300 & echo child=$!\nexit 0\n"
STUBBORN = BUSY.replace("setsid", "trap '' TERM; setsid")


def test_terminating_leaves_no_process(ec2s: Client) -> None:
    ids = run(ec2s, BUSY, MinCount=1, MaxCount=2)
    assert len(ids) == 2
    children = [said(ec2s, each, r"child=(\d+)") for each in ids]
    for each in ids:
        # User data is done; the instance runs on, as on EC2.
        said(ec2s, each, "(user data ended)")
        assert describe(ec2s, each)["State"]["Name"] == "running"
    answer = ec2s.client("ec2").terminate_instances(InstanceIds=[ids[0]])
    (change,) = answer["TerminatingInstances"]
    assert change["CurrentState"]["Name"] == "shutting-down"
    assert change["PreviousState"]["Name"] == "running"
    ended = in_state(ec2s, ids[0], "terminated")
    assert ended["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert end_time(ended) >= ended["LaunchTime"]
    assert [alive(child) for child in children] == [False, True]
    again = ec2s.client("ec2").terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    assert [c["CurrentState"]["Name"] for c in again] == ["terminated", "shutting-down"]
    in_state(ec2s, ids[1], "terminated")
    assert not alive(children[1])


@pytest.mark.slow
def test_a_process_that_ignores_sigterm_is_killed(ec2s: Client) -> None:
    (instance_id,) = run(ec2s, STUBBORN)
    child = said(ec2s, instance_id, r"child=(\d+)")
    ec2s.client("ec2").terminate_instances(InstanceIds=[instance_id])
    time.sleep(0.5)
    assert describe(ec2s, instance_id)["State"]["Name"] == "shutting-down"
    in_state(ec2s, instance_id, "terminated")
    assert not alive(child)


def test_closing_ends_every_instance_and_a_restart_shows_it(tmp_path: Path) -> None:
    with open_cloud(state_dir=tmp_path, build=ec2_only) as cloud:
        first = Client(cloud)
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "run", "Value": "7"}]}]
        token = {"ClientToken": "once", "TagSpecifications": tags}
        (instance_id,) = run(first, BUSY, **token)
        child = said(first, instance_id, r"child=(\d+)")
        launched = describe(first, instance_id)["LaunchTime"]
        chosen = image(first)
    assert not alive(child)
    with open_cloud(state_dir=tmp_path, build=ec2_only) as cloud:
        second = Client(cloud)
        found = describe(second, instance_id)
        assert found["State"]["Name"] == "terminated"
        assert found["LaunchTime"] == launched
        assert found["StateReason"]["Code"] == "Server.InternalError"
        assert found["Tags"] == [{"Key": "run", "Value": "7"}]
        # The image that was handed out is still one, and the token still means that instance.
        request = {
            "ImageId": chosen,
            "InstanceType": "c6i.xlarge",
            "MinCount": 1,
            "MaxCount": 1,
            "UserData": BUSY,
            **token,
        }
        answer = second.client("ec2").run_instances(**request)
        assert [(i["InstanceId"], i["State"]["Name"]) for i in answer["Instances"]] == [
            (instance_id, "terminated")
        ]


def test_after_a_crash_an_instance_ended_when_it_was_last_seen(tmp_path: Path) -> None:
    launched = float(int(time.time())) - 1000
    store = Store(tmp_path / "state.sqlite3")
    doc = {
        "region": "us-east-1",
        "form": {"InstanceType": "c6i.xlarge"},
        "tags": {},
        "client_token": "",
        "launched_at": launched,
        "ended_at": None,
        "cause": None,
    }
    store.table("ec2_instances").put("i-0123456789abcdef0", doc)
    store.table("ec2_heartbeats").put("alive", {"at": launched + 42})
    store.close()
    with open_cloud(state_dir=tmp_path, build=ec2_only) as cloud:
        found = describe(Client(cloud), "i-0123456789abcdef0")
    assert found["State"]["Name"] == "terminated"
    assert found["LaunchTime"].timestamp() == launched
    ended = datetime.fromtimestamp(launched + 42, UTC).strftime("%Y-%m-%d %H:%M:%S GMT")
    assert found["StateTransitionReason"] == f"Server.InternalError ({ended})"


def test_a_client_token_launches_once(ec2s: Client) -> None:
    (instance_id,) = run(ec2s, ClientToken="t")
    assert run(ec2s, ClientToken="u") != [instance_id]
    in_state(ec2s, instance_id, "running")
    request = {"ImageId": image(ec2s), "MinCount": 1, "MaxCount": 1, "ClientToken": "t"}
    client = ec2s.client("ec2")
    again = client.run_instances(**request, InstanceType="c6i.xlarge", UserData="")["Instances"][0]
    assert (again["InstanceId"], again["State"]["Name"]) == (instance_id, "running")
    with pytest.raises(ClientError) as caught:
        client.run_instances(**request, InstanceType="c6i.large", UserData="")
    assert caught.value.response["Error"]["Code"] == "IdempotentParameterMismatch"
    assert len(client.describe_instances()["Reservations"]) == 2


def test_stop_start_and_the_shutdown_behaviour(ec2s: Client) -> None:
    (instance_id,) = run(ec2s, "#!/bin/sh\necho started\nshutdown -h now\nsleep 60\n")
    stopped = in_state(ec2s, instance_id, "stopped")
    assert stopped["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    client = ec2s.client("ec2")
    (change,) = client.start_instances(InstanceIds=[instance_id])["StartingInstances"]
    assert change["CurrentState"]["Name"] == "pending"
    running = in_state(ec2s, instance_id, "running")
    assert running["StateTransitionReason"] == ""
    time.sleep(0.2)
    # User data runs at the first boot only.
    assert console(ec2s, instance_id).count("started") <= 1
    client.stop_instances(InstanceIds=[instance_id])
    in_state(ec2s, instance_id, "stopped")
    client.terminate_instances(InstanceIds=[instance_id])
    in_state(ec2s, instance_id, "terminated")


def test_a_shutdown_may_be_set_for_later(start_cloud: StartCloud) -> None:
    # The clock runs 120 times as fast: two minutes take a second.
    ec2s = start_cloud(build=ec2_only, speed=120.0)
    script = "#!/bin/sh\nshutdown -h +2\necho set\nsleep 300\n"
    (instance_id,) = run(ec2s, script, InstanceInitiatedShutdownBehavior="terminate")
    said(ec2s, instance_id, "(set)")
    assert describe(ec2s, instance_id)["State"]["Name"] == "running"
    ended = in_state(ec2s, instance_id, "terminated")
    assert (end_time(ended) - ended["LaunchTime"]).total_seconds() >= 119


def test_this_machine_is_left_alone(ec2s: Client) -> None:
    script = (
        "#!/bin/sh\nfor p in shutdown sudo systemctl apt-get; do command -v $p; done\n"
        "apt-get install -y x || echo no=$?\n"
        "echo home=$HOME\npwd\n"
    )
    (instance_id,) = run(ec2s, script)
    folder = ec2s.cloud.settings.state_dir / "ec2" / instance_id
    assert said(ec2s, instance_id, r"home=(.*)") == str(folder / "root")
    text = console(ec2s, instance_id)
    for name in ("shutdown", "sudo", "systemctl", "apt-get"):
        assert f"{folder}/bin/{name}\n" in text
    assert "no=1" in text and f"\n{folder}/root\n" in text


def test_images_come_from_parameters(ec2s: Client) -> None:
    client = ec2s.client("ec2")
    for parameter in (DEEP_LEARNING, AMAZON_LINUX):
        found = client.describe_images(ImageIds=[image(ec2s, parameter)])["Images"]
        assert found[0]["Architecture"] == "x86_64"
    assert image(ec2s) == image(ec2s)
    with pytest.raises(ClientError, match="ParameterNotFound"):
        image(ec2s, "/aws/service/deeplearning/ami/x86_64/no-such-thing/latest/ami-id")
    both = ec2s.client("ssm").get_parameters(Names=[DEEP_LEARNING, AMAZON_LINUX])["Parameters"]
    assert len(both) == 2


def test_what_ec2_refuses(ec2s: Client) -> None:
    client = ec2s.client("ec2")
    request = {"ImageId": image(ec2s), "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro"}

    def code(**change: Any) -> str:
        with pytest.raises(ClientError) as caught:
            client.run_instances(**{**request, **change})
        found: str = caught.value.response["Error"]["Code"]
        return found

    assert code(ImageId="ami-00000000") == "InvalidAMIID.NotFound"
    assert code(InstanceType="dog.large") == "InvalidParameterValue"
    assert code(IamInstanceProfile={"Name": "nobody"}) == "InvalidParameterValue"
    assert code(DryRun=True) == "DryRunOperation"
    assert client.describe_instances()["Reservations"] == []
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        client.terminate_instances(InstanceIds=["i-0123456789abcdef0"])
    (instance_id,) = run(ec2s, DisableApiTermination=True)
    client.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": True})
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        client.terminate_instances(InstanceIds=[instance_id])
    assert describe(ec2s, instance_id)["State"]["Name"] == "running"
