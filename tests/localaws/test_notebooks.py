"""Notebook instances through plain boto3: states, refusals, lifecycle scripts that really run."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.hosts.processes import Processes
from localaws.sagemaker.notebooks.machine import NotebookMachine
from tests.localaws.conftest import Client, StartCloud
from tests.localaws.sagemaker_world import ROLE, alive, prepare, sagemaker_services, until


def encoded(script: str) -> list[dict[str, str]]:
    return [{"Content": base64.b64encode(script.encode()).decode()}]


def make(cloud: Client, name: str = "book", **members: Any) -> Any:
    sagemaker = cloud.client("sagemaker")
    asked = {"NotebookInstanceName": name, "InstanceType": "ml.t3.medium", "RoleArn": ROLE}
    sagemaker.create_notebook_instance(**asked, **members)
    return sagemaker


def settled(sagemaker: Any, status: str, name: str = "book") -> dict[str, Any]:
    def look() -> dict[str, Any]:
        found: dict[str, Any] = sagemaker.describe_notebook_instance(NotebookInstanceName=name)
        return found

    assert until(lambda: look()["NotebookInstanceStatus"] == status), look()
    return look()


def gone(sagemaker: Any, name: str = "book") -> bool:
    try:
        sagemaker.describe_notebook_instance(NotebookInstanceName=name)
    except ClientError as error:
        return "RecordNotFound" in str(error)
    return False


def stop(sagemaker: Any, name: str = "book") -> None:
    sagemaker.stop_notebook_instance(NotebookInstanceName=name)
    settled(sagemaker, "Stopped", name)


def volume(cloud: Client, name: str = "book") -> Path:
    return Path(cloud.cloud.settings.state_dir) / "notebooks" / name / "SageMaker"


def messages(cloud: Client, stream: str) -> list[str]:
    events = cloud.client("logs").get_log_events(
        logGroupName="/aws/sagemaker/NotebookInstances", logStreamName=stream
    )
    return [event["message"] for event in events["events"]]


def test_an_instance_goes_through_its_states(start_cloud: StartCloud) -> None:
    cloud = start_cloud(build=sagemaker_services)
    prepare(cloud)
    sagemaker = make(cloud, VolumeSizeInGB=20, Tags=[{"Key": "a", "Value": "b"}])
    shown = settled(sagemaker, "InService")
    assert shown["NotebookInstanceArn"].endswith(":notebook-instance/book")
    assert (shown["VolumeSizeInGB"], shown["RootAccess"]) == (20, "Enabled")
    assert sagemaker.list_tags(ResourceArn=shown["NotebookInstanceArn"])["Tags"]
    with pytest.raises(ClientError, match="Cannot create a duplicate Notebook Instance"):
        make(cloud)
    with pytest.raises(ClientError, match=r"Status \(InService\) not in \(\[Stopped, Failed\]\)"):
        sagemaker.delete_notebook_instance(NotebookInstanceName="book")
    stop(sagemaker)
    with pytest.raises(ClientError, match=r"Status \(Stopped\) not in \(\[InService\]\)"):
        sagemaker.stop_notebook_instance(NotebookInstanceName="book")
    sagemaker.update_notebook_instance(
        NotebookInstanceName="book", InstanceType="ml.m5.xlarge", VolumeSizeInGB=30
    )
    assert settled(sagemaker, "Stopped")["InstanceType"] == "ml.m5.xlarge"
    with pytest.raises(ClientError, match="cannot be made smaller"):
        sagemaker.update_notebook_instance(NotebookInstanceName="book", VolumeSizeInGB=10)
    found = sagemaker.list_notebook_instances(StatusEquals="Stopped", NameContains="oo")
    assert [each["NotebookInstanceName"] for each in found["NotebookInstances"]] == ["book"]
    sagemaker.delete_notebook_instance(NotebookInstanceName="book")
    assert until(lambda: gone(sagemaker))
    assert not volume(cloud).exists()
    with pytest.raises(ClientError, match="Resource not found"):
        sagemaker.list_tags(ResourceArn=shown["NotebookInstanceArn"])


def test_its_scripts_run_with_its_role_and_its_volume_is_kept(start_cloud: StartCloud) -> None:
    cloud = start_cloud(build=sagemaker_services)
    prepare(cloud)
    sagemaker = cloud.client("sagemaker")
    on_start = (
        "#!/bin/bash\nset -e\necho start >> /home/ec2-user/SageMaker/said\n"
        'grep -o \'"ResourceName": "book"\' /opt/ml/metadata/resource-metadata.json\n'
        "cat > /usr/local/bin/whoami-here <<'END'\n#!/bin/sh\naws sts get-caller-identity\nEND\n"
        "chmod +x /usr/local/bin/whoami-here\nchown -R ec2-user:ec2-user /home/ec2-user/SageMaker\n"
        "sudo -u ec2-user -i <<'END'\necho as ec2-user in $HOME\nEND\n"
        'python -c \'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])\'\n'
        "nohup sleep 600 & echo $! > /home/ec2-user/SageMaker/pid\n"
        "systemd-run --unit tick --on-active=60s --on-unit-active=1m "
        "touch /home/ec2-user/SageMaker/ticked\n"
    )
    sagemaker.create_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName="setup",
        OnCreate=encoded("echo create >> /home/ec2-user/SageMaker/said\n"),
        OnStart=encoded(on_start),
    )
    make(cloud, LifecycleConfigName="setup")
    shown = settled(sagemaker, "InService")
    assert shown["NotebookInstanceLifecycleConfigName"] == "setup"
    said = messages(cloud, "book/LifecycleConfigOnStart")
    assert any("assumed-role/trainer" in line for line in said), said
    assert '"ResourceName": "book"' in said
    pid = int((volume(cloud) / "pid").read_text())
    assert alive(pid)
    stop(sagemaker)
    assert until(lambda: not alive(pid))
    sagemaker.start_notebook_instance(NotebookInstanceName="book")
    settled(sagemaker, "InService")
    assert (volume(cloud) / "said").read_text().split() == ["create", "start", "start"]


def test_timers_of_a_script_follow_the_clock(start_cloud: StartCloud) -> None:
    cloud = start_cloud(build=sagemaker_services, speed=600)
    prepare(cloud)
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName="timer",
        OnStart=encoded(
            "#!/bin/sh\nsystemd-run --unit t --on-active=5m touch /home/ec2-user/SageMaker/ticked\n"
        ),
    )
    make(cloud, LifecycleConfigName="timer")
    settled(sagemaker, "InService")
    assert until((volume(cloud) / "ticked").exists)


def test_a_script_that_fails_fails_the_instance(start_cloud: StartCloud) -> None:
    cloud = start_cloud(build=sagemaker_services)
    prepare(cloud)
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName="bad",
        OnStart=encoded("#!/bin/bash\nset -e\nsudo yum install -y nothing\n"),
    )
    make(cloud, LifecycleConfigName="bad")
    shown = settled(sagemaker, "Failed")
    assert "notebook-instance-lifecycle-config/bad' for Notebook" in shown["FailureReason"]
    assert any("yum" in line for line in messages(cloud, "book/LifecycleConfigOnStart"))
    sagemaker.update_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName="bad", OnStart=encoded("#!/bin/sh\nexit 0\n")
    )
    sagemaker.start_notebook_instance(NotebookInstanceName="book")
    assert "FailureReason" not in settled(sagemaker, "InService")


def test_lifecycle_configurations_are_kept_and_refused_as_on_aws(start_cloud: StartCloud) -> None:
    cloud = start_cloud(build=sagemaker_services)
    prepare(cloud)
    sagemaker = cloud.client("sagemaker")
    named = {"NotebookInstanceLifecycleConfigName": "one"}
    made = sagemaker.create_notebook_instance_lifecycle_config(**named, OnStart=encoded("true\n"))
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_notebook_instance_lifecycle_config(**named)
    with pytest.raises(ClientError, match="base64"):
        sagemaker.update_notebook_instance_lifecycle_config(**named, OnStart=[{"Content": "!"}])
    shown = sagemaker.describe_notebook_instance_lifecycle_config(**named)
    assert shown["OnStart"] == encoded("true\n")
    listed = sagemaker.list_notebook_instance_lifecycle_configs(SortBy="LastModifiedTime")
    arns = [
        each["NotebookInstanceLifecycleConfigArn"]
        for each in listed["NotebookInstanceLifecycleConfigs"]
    ]
    assert arns == [made["NotebookInstanceLifecycleConfigArn"]]
    sagemaker.delete_notebook_instance_lifecycle_config(**named)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_notebook_instance_lifecycle_config(**named)
    with pytest.raises(ClientError, match="does not exist"):
        make(cloud, LifecycleConfigName="one")
    with pytest.raises(ClientError, match="clone it in the OnStart script"):
        make(cloud, DefaultCodeRepository="https://example.com/x.git")
    with pytest.raises(ClientError, match="NotImplemented"):
        sagemaker.create_presigned_notebook_instance_url(NotebookInstanceName="book")


def test_a_restart_finds_them_again_and_starts_the_live_ones(
    start_cloud: StartCloud, tmp_path: Path
) -> None:
    from localaws.server import open_cloud

    with open_cloud(build=sagemaker_services, state_dir=tmp_path / "state") as first:
        cloud = Client(first)
        prepare(cloud)
        sagemaker = cloud.client("sagemaker")
        sagemaker.create_notebook_instance_lifecycle_config(
            NotebookInstanceLifecycleConfigName="count",
            OnCreate=encoded("echo c >> /home/ec2-user/SageMaker/said\n"),
            OnStart=encoded("echo s >> /home/ec2-user/SageMaker/said\n"),
        )
        make(cloud, "live", LifecycleConfigName="count")
        make(cloud, "resting")
        settled(sagemaker, "InService", "live")
        settled(sagemaker, "InService", "resting")
        stop(sagemaker, "resting")
    again = start_cloud(build=sagemaker_services)
    settled(again.client("sagemaker"), "Stopped", "resting")
    settled(again.client("sagemaker"), "InService", "live")
    assert (volume(again, "live") / "said").read_text().split() == ["c", "s", "s"]


def test_a_script_has_a_limit(tmp_path: Path) -> None:
    processes = Processes(tmp_path / "state")
    try:
        machine = NotebookMachine(tmp_path / "book", processes, speed=1.0)
        machine.prepare({})
        said: list[str] = []
        assert machine.run(b"echo a; exit 3\n", env={}, on_line=said.append) == 3
        assert until(lambda: said == ["a"])  # what a script leaves running may still write
        late = machine.run(b"sleep 60\n", env={}, on_line=said.append, limit_s=0.2)
        assert late is None
        machine.end()
    finally:
        processes.close()
