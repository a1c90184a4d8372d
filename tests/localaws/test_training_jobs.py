"""Training jobs through plain boto3: real small programs on real hosts."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localaws.conftest import Client, StartCloud, fetch
from tests.localaws.job_world import archive, channel, finished, request, run
from tests.localaws.sagemaker_world import (
    BUCKET,
    ROLE,
    alive,
    can_mount,
    prepare,
    sagemaker_services,
    until,
)


@pytest.fixture
def cloud(start_cloud: StartCloud) -> Client:
    started = start_cloud(build=sagemaker_services)
    prepare(started)
    return started


def log_lines(cloud: Client, name: str, host: str = "algo-1") -> list[str]:
    logs, group = cloud.client("logs"), "/aws/sagemaker/TrainingJobs"
    found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/{host}-")
    (stream,) = found["logStreams"]
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )
    return [event["message"] for event in events["events"]]


def test_a_host_that_is_killed_on_demand_fails_the_job(cloud: Client) -> None:
    cloud.client("sagemaker").create_training_job(**request(cloud, "dogs", "sleep 60", hosts=2))

    def killed(host: str) -> bool:
        wanted = json.dumps({"training_job": "dogs", "host": host})
        answer = fetch(f"{cloud.url}/_localaws/kill", "POST", wanted)
        return bool(json.loads(answer[1])["killed"])

    assert until(lambda: killed("algo-2"))
    assert not killed("algo-3")
    described = finished(cloud, "dogs")
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("AlgorithmError: algo-2: ")


def test_one_host_has_the_whole_contract(cloud: Client) -> None:
    cloud.client("s3").put_object(Bucket=BUCKET, Key="data/a/one.txt", Body=b"1")
    cloud.client("s3").put_object(Bucket=BUCKET, Key="data/two.txt", Body=b"2")
    script = """
        set -e
        cd "${SAGEMAKER_BASE_DIR:-/opt/ml}"
        cp input/config/*.json model/
        (cd input/data/training && find . -type f | sort) > model/files
        env > model/env
        echo "loss=0.5;"; echo "loss=0.25;"; echo problem >&2
        echo more > output/data/extra.txt
        ln -s /etc/passwd model/link
    """
    asked = request(
        cloud,
        "whole",
        script,
        channels=[channel("training", "data")],
        HyperParameters={"epochs": "2"},
        Environment={"GREETING": "hello"},
    )
    asked["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "loss", "Regex": r"loss=([0-9.]+);"}
    ]
    job = run(cloud, asked)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    moves = job["SecondaryStatusTransitions"]
    assert [move["Status"] for move in moves] == [
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert all("EndTime" in move for move in moves)
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
    assert job["TrainingStartTime"] <= job["TrainingEndTime"]
    (metric,) = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)

    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://{BUCKET}/runs/whole/output/model.tar.gz"
    model = archive(cloud, uri)
    assert model["files"].decode().split() == ["./a/one.txt", "./two.txt"]
    assert "link" not in model
    assert json.loads(model["hyperparameters.json"]) == {"epochs": "2"}
    resources = json.loads(model["resourceconfig.json"])
    assert (resources["current_host"], resources["hosts"]) == ("algo-1", ["algo-1"])
    assert json.loads(model["inputdataconfig.json"])["training"] == {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    env = dict(line.split("=", 1) for line in model["env"].decode().splitlines())
    assert env["TRAINING_JOB_NAME"] == "whole"
    assert env["TRAINING_JOB_ARN"] == job["TrainingJobArn"]
    assert (env["GREETING"], env["AWS_ENDPOINT_URL"]) == ("hello", cloud.url)
    assert not any(name.startswith("SM_") for name in env)
    assert env["AWS_ACCESS_KEY_ID"] != "AKIATESTTESTTESTTEST"
    output = archive(cloud, f"s3://{BUCKET}/runs/whole/output/output.tar.gz")
    assert output == {"extra.txt": b"more\n"}
    assert sorted(log_lines(cloud, "whole")) == ["loss=0.25;", "loss=0.5;", "problem"]
    assert list((cloud.cloud.settings.state_dir / "training").glob("*")) == []


MEET = """
    import json, os, socket, sys, pathlib
    base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    config = json.loads((base / "input/config/resourceconfig.json").read_text())
    me, hosts = config["current_host"], config["hosts"]
    leader = os.environ.get("MASTER_ADDR", hosts[0])
    port = int(os.environ["PORT"])
    if me == hosts[0]:
        server = socket.create_server((leader, port))
        peer, _ = server.accept()
        text = peer.recv(100).decode()
        (base / "model/met").write_text(text)
        peer.sendall(b"welcome")
    else:
        while True:
            try:
                link = socket.create_connection((leader, port), timeout=5)
                break
            except ConnectionRefusedError:
                pass
        link.sendall(f"{me} of {len(hosts)} on {socket.gethostname()}".encode())
        (base / "model/answer").write_text(link.recv(100).decode())
"""


@pytest.mark.parametrize("isolation", ["namespaces", "paths"])
def test_two_hosts_meet_by_name(
    start_cloud: StartCloud, monkeypatch: pytest.MonkeyPatch, isolation: str, free_port: int
) -> None:
    if isolation == "paths":
        monkeypatch.setenv("LOCALAWS_ISOLATION", "paths")
    cloud = start_cloud(build=sagemaker_services)
    prepare(cloud)
    environment = {"PORT": str(free_port)}
    job = run(
        cloud,
        request(cloud, "meeting", MEET, program="python", hosts=2, Environment=environment),
    )
    assert job["TrainingJobStatus"] == "Completed", job
    model = archive(cloud, job["ModelArtifacts"]["S3ModelArtifacts"])
    assert model["met"].decode().startswith("algo-2 of 2 on ")
    assert model["answer"] == b"welcome"


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def test_the_first_host_to_fail_is_named_and_ends_the_others(cloud: Client) -> None:
    script = """
        import json, os, pathlib, sys, time
        base = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
        config = json.loads((base / "input/config/resourceconfig.json").read_text())
        if config["current_host"] == "algo-2":
            sys.stderr.write("RuntimeError: no more memory")
            sys.exit(3)
        time.sleep(1000)
    """
    job = run(cloud, request(cloud, "failing", script, program="python", hosts=3))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["SecondaryStatusTransitions"][-1]["Status"] == "Failed"
    assert job["FailureReason"] == (
        "AlgorithmError: algo-2: RuntimeError: no more memory, exit code: 3"
    )
    assert "ModelArtifacts" not in job


def test_the_failure_file_is_the_reason(cloud: Client) -> None:
    script = """
        cd "${SAGEMAKER_BASE_DIR:-/opt/ml}"
        echo "the data is empty" > output/failure
        echo kept > output/data/events
        echo noise >&2
        exit 1
    """
    job = run(cloud, request(cloud, "excuse", script))
    assert job["FailureReason"] == "AlgorithmError: algo-1: the data is empty, exit code: 1"
    output = archive(cloud, f"s3://{BUCKET}/runs/excuse/output/output.tar.gz")
    assert output == {"events": b"kept\n"}


def test_without_an_entrypoint_the_program_train_is_run(cloud: Client) -> None:
    asked = request(cloud, "plain", "")
    for member in ("ContainerEntrypoint", "ContainerArguments"):
        del asked["AlgorithmSpecification"][member]
    job = run(cloud, asked)
    assert "train" in job["FailureReason"]
    assert job["FailureReason"].endswith(", exit code: 127")


def test_stop_lets_the_program_save_its_model(cloud: Client) -> None:
    script = """
        cd "${SAGEMAKER_BASE_DIR:-/opt/ml}"
        trap 'echo saved > model/weights; exit 0' TERM
        echo ready
        while :; do sleep 0.05; done
    """
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_training_job(**request(cloud, "stopping", script))
    assert until(lambda: _log_has(cloud, "stopping", "ready"))
    sagemaker.stop_training_job(TrainingJobName="stopping")
    job = finished(cloud, "stopping")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "Stopping" in [move["Status"] for move in job["SecondaryStatusTransitions"]]
    assert archive(cloud, job["ModelArtifacts"]["S3ModelArtifacts"]) == {"weights": b"saved\n"}
    with pytest.raises(ClientError, match="training job is in status Stopped") as refused:
        sagemaker.stop_training_job(TrainingJobName="stopping")
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def _log_has(cloud: Client, name: str, line: str) -> bool:
    try:
        return line in log_lines(cloud, name)
    except (ClientError, ValueError):
        return False


def test_max_runtime_ends_a_program_that_does_not_listen(start_cloud: StartCloud) -> None:
    cloud = start_cloud(build=sagemaker_services, speed=200.0)
    prepare(cloud)
    asked = request(
        cloud, "slow", "trap '' TERM; sleep 1000", StoppingCondition={"MaxRuntimeInSeconds": 60}
    )
    job = run(cloud, asked)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    # 60 s of training and 120 s of grace, at 200 times the speed.
    assert 180 <= job["TrainingTimeInSeconds"] < 1200


def test_shards_are_disjoint_and_complete(cloud: Client) -> None:
    for number in range(5):
        cloud.client("s3").put_object(Bucket=BUCKET, Key=f"parts/{number}.bin", Body=b"x")
    script = """
        cd "${SAGEMAKER_BASE_DIR:-/opt/ml}"
        for file in input/data/shards/*; do touch "output/data/$(basename $file)-$$"; done
        ls input/data/whole | wc -l > "output/data/count-$$"
    """
    asked = request(
        cloud,
        "sharded",
        script,
        hosts=2,
        channels=[
            channel("shards", "parts/", "ShardedByS3Key"),
            channel("whole", "parts/"),
        ],
    )
    assert run(cloud, asked)["TrainingJobStatus"] == "Completed"
    output = archive(cloud, f"s3://{BUCKET}/runs/sharded/output/output.tar.gz")
    shards = sorted(name.split("-")[0] for name in output if name.endswith(tuple("0123456789"))
                    and not name.startswith("count"))  # fmt: skip
    assert shards == [f"{number}.bin" for number in range(5)]
    counts = [content for name, content in output.items() if name.startswith("count")]
    assert counts == [b"5\n", b"5\n"]


def test_a_manifest_names_the_files(cloud: Client) -> None:
    s3 = cloud.client("s3")
    for key in ("m/a.txt", "m/b.txt", "m/c.txt"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    manifest = [{"prefix": f"s3://{BUCKET}/m/"}, "a.txt", "c.txt"]
    s3.put_object(Bucket=BUCKET, Key="list.manifest", Body=json.dumps(manifest).encode())
    data = channel("training", "list.manifest")
    data["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"
    script = 'cp ${SAGEMAKER_BASE_DIR:-/opt/ml}/input/data/training/* \
        "${SAGEMAKER_BASE_DIR:-/opt/ml}/model/"'
    job = run(cloud, request(cloud, "listed", script, channels=[data]))
    model = archive(cloud, job["ModelArtifacts"]["S3ModelArtifacts"])
    assert model == {"a.txt": b"m/a.txt", "c.txt": b"m/c.txt"}


def test_checkpoints_come_back(cloud: Client) -> None:
    script = """
        cd "${SAGEMAKER_BASE_DIR:-/opt/ml}/checkpoints"
        cat epoch 2>/dev/null || echo fresh
        echo 1 > epoch
    """
    for name in ("first", "second"):
        asked = request(cloud, name, script, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/ckpt"})
        assert run(cloud, asked)["TrainingJobStatus"] == "Completed"
    assert (log_lines(cloud, "first"), log_lines(cloud, "second")) == (["fresh"], ["1"])


def test_what_aws_refuses(cloud: Client) -> None:
    sagemaker = cloud.client("sagemaker")
    run(cloud, request(cloud, "taken", "true"))
    cases = {
        "ResourceInUse": (request(cloud, "taken", "true"), "Training job names must be unique"),
        "no data": (
            request(cloud, "nodata", "true", channels=[channel("training", "nothing/")]),
            "No S3 objects found under S3 URL",
        ),
        "no role": (request(cloud, "norole", "true", RoleArn=ROLE + "x"), "Could not assume role"),
        "no hosts": (request(cloud, "nohosts", "true", hosts=0), "greater than or equal to 1"),
    }
    for code, (asked, message) in cases.items():
        with pytest.raises(ClientError, match=message) as refused:
            sagemaker.create_training_job(**asked)
        expected = "ResourceInUse" if code == "ResourceInUse" else "ValidationException"
        assert refused.value.response["Error"]["Code"] == expected
    with pytest.raises(ClientError, match="Requested resource not found") as unknown:
        sagemaker.describe_training_job(TrainingJobName="unknown")
    assert unknown.value.response["Error"]["Code"] == "ValidationException"


def test_lists_tags_and_deletes(cloud: Client) -> None:
    sagemaker = cloud.client("sagemaker")
    for number in range(3):
        run(
            cloud,
            request(cloud, f"job-{number}", "true", Tags=[{"Key": "n", "Value": str(number)}]),
        )
    first = sagemaker.list_training_jobs(MaxResults=2, SortBy="Name", SortOrder="Descending")
    assert [job["TrainingJobName"] for job in first["TrainingJobSummaries"]] == ["job-2", "job-1"]
    rest = sagemaker.list_training_jobs(
        MaxResults=2, SortBy="Name", SortOrder="Descending", NextToken=first["NextToken"]
    )
    assert [job["TrainingJobName"] for job in rest["TrainingJobSummaries"]] == ["job-0"]
    assert "NextToken" not in rest
    arn = rest["TrainingJobSummaries"][0]["TrainingJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": "yes"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["n"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "more", "Value": "yes"}]
    sagemaker.delete_training_job(TrainingJobName="job-0")
    run(cloud, request(cloud, "job-0", "true"))


def test_checkpoints_may_live_elsewhere(cloud: Client) -> None:
    if not can_mount(cloud):
        pytest.skip("without namespaces a script's own text is not rewritten")
    for number, path in enumerate(("/opt/ml/state/deep", "/opt/checkpoints")):
        asked = request(
            cloud,
            f"elsewhere-{number}",
            f"echo {number} > {path}/epoch",
            CheckpointConfig={"S3Uri": f"s3://{BUCKET}/elsewhere", "LocalPath": path},
        )
        assert run(cloud, asked)["TrainingJobStatus"] == "Completed"
        found = cloud.client("s3").get_object(Bucket=BUCKET, Key="elsewhere/epoch")
        assert found["Body"].read() == f"{number}\n".encode()


@pytest.mark.parametrize("path", ["/opt/ml", "/opt/ml/input/x", "relative", "/a/../b"])
def test_checkpoints_cannot_cover_the_contract(cloud: Client, path: str) -> None:
    config = {"S3Uri": f"s3://{BUCKET}/c", "LocalPath": path}
    with pytest.raises(ClientError, match="not a folder of its own"):
        run(cloud, request(cloud, "covering", "true", CheckpointConfig=config))


def test_a_channel_cannot_climb_out(cloud: Client) -> None:
    with pytest.raises(ClientError, match=r"cannot be named \. or \.\."):
        run(cloud, request(cloud, "climbing", "true", channels=[channel("..", "scripts/")]))
    cloud.client("s3").put_object(Bucket=BUCKET, Key="odd/../../x", Body=b"x")
    with pytest.raises(ClientError, match="would leave the channel's folder"):
        run(cloud, request(cloud, "leaving", "true", channels=[channel("c", "odd/")]))


SERVER = """
    import runpy, sys, time
    from pathlib import Path
    from localaws.server import open_cloud
    build = runpy.run_path("tests/localaws/sagemaker_world.py")["sagemaker_services"]
    with open_cloud(state_dir=Path(sys.argv[1]), build=build) as cloud:
        print(cloud.url, flush=True)
        time.sleep(1000)
"""


def test_kill_9_of_localaws_ends_the_job_and_is_told(
    start_cloud: StartCloud, tmp_path: Path
) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVER), str(tmp_path / "state")],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        cloud = Client(SimpleNamespace(url=server.stdout.readline().strip()))  # type: ignore[arg-type]
        prepare(cloud)
        script = f"echo $$ > {tmp_path}/pid; sleep 1000"
        cloud.client("sagemaker").create_training_job(**request(cloud, "cut", script))
        assert until((tmp_path / "pid").exists)
    finally:
        server.kill()
        server.communicate()
    pid = int((tmp_path / "pid").read_text())
    assert until(lambda: not alive(pid))
    job = finished(start_cloud(build=sagemaker_services), "cut")
    assert job["TrainingJobStatus"] == "Failed"
    assert "went down" in job["FailureReason"]


def test_a_job_that_was_running_when_localaws_went_down_has_failed(
    start_cloud: StartCloud, tmp_path: Path
) -> None:
    from localaws.server import open_cloud

    options: dict[str, Any] = {"state_dir": tmp_path / "state", "build": sagemaker_services}
    with open_cloud(**options) as opened:
        cloud = Client(opened)
        prepare(cloud)
        cloud.client("sagemaker").create_training_job(**request(cloud, "cut", "sleep 1000"))
        assert until(
            lambda: (
                cloud.client("sagemaker").describe_training_job(TrainingJobName="cut")[
                    "SecondaryStatus"
                ]
                == "Training"
            )
        )
    again = start_cloud(build=sagemaker_services)
    job = again.client("sagemaker").describe_training_job(TrainingJobName="cut")
    assert job["TrainingJobStatus"] == "Failed"
    assert "went down" in job["FailureReason"]
