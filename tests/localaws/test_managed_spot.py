"""Managed spot training through plain boto3: interrupted on demand, continued, billed for less."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.localaws.conftest import Client, StartCloud, fetch
from tests.localaws.job_world import finished, request
from tests.localaws.sagemaker_world import BUCKET, can_mount, prepare, sagemaker_services, until

SCRIPT = """\
    cd /opt/ml/checkpoints
    n=$(cat n 2>/dev/null || echo 0)
    trap 'echo asked > saved; exit 0' TERM
    echo $((n + 1)) > n.part && mv n.part n
    if [ $n -ge 1 ]; then cat saved > /opt/ml/model/found; exit 0; fi
    sleep 600 & wait
"""


def on_spot(cloud: Client, name: str, script: str = SCRIPT, **changes: Any) -> Any:
    """A running managed spot job, whose program has begun."""
    members: dict[str, Any] = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
        "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/kept/{name}"},
    }
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_training_job(**request(cloud, name, script, **{**members, **changes}))
    folder = Path(cloud.cloud.settings.state_dir) / "training" / name
    hosts = changes.get("hosts", 1)
    assert until(lambda: len(list(folder.glob("algo-*/checkpoints/n"))) == hosts)
    return sagemaker


def interrupt(cloud: Client, **wanted: str) -> bool:
    status, body = fetch(f"{cloud.url}/_localaws/interrupt", "POST", json.dumps(wanted))
    assert status == 200, body
    answer: bool = json.loads(body)["interrupted"]
    return answer


def begun(start_cloud: StartCloud, **options: Any) -> Client:
    cloud = start_cloud(build=sagemaker_services, **options)
    if not can_mount(cloud):
        pytest.skip("this machine has no namespaces: a script cannot see /opt/ml")
    prepare(cloud)
    return cloud


def statuses(job: dict[str, Any]) -> list[str]:
    return [each["Status"] for each in job["SecondaryStatusTransitions"]]


def test_an_interrupted_job_goes_on_from_its_checkpoint_and_costs_less(
    start_cloud: StartCloud,
) -> None:
    cloud = begun(start_cloud, speed=30)
    on_spot(cloud, "taken")
    assert interrupt(cloud, training_job="taken", away_s="15")
    job = finished(cloud, "taken")
    assert statuses(job) == [
        "Starting",
        "Downloading",
        "Training",
        "Interrupted",
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    away = job["SecondaryStatusTransitions"][3]
    assert (away["EndTime"] - away["StartTime"]).total_seconds() >= 15
    s3 = cloud.client("s3")
    kept = {
        name: s3.get_object(Bucket=BUCKET, Key=f"kept/taken/{name}")["Body"].read()
        for name in ("n", "saved")
    }
    assert kept == {"n": b"2\n", "saved": b"asked\n"}
    lasted_s = (job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds()
    assert 0 < job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"] < lasted_s


def test_all_hosts_are_asked_to_end_and_begin_again(start_cloud: StartCloud) -> None:
    cloud = begun(start_cloud)
    script = SCRIPT.replace("/opt/ml/checkpoints", "/opt/ml/checkpoints && mkdir -p $HOSTNAME")
    on_spot(cloud, "two", script.replace("saved", "$HOSTNAME/saved"), hosts=2)
    assert interrupt(cloud, training_job="two")
    assert finished(cloud, "two")["TrainingJobStatus"] == "Completed"
    listed = cloud.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="kept/two/algo-")
    found = [each["Key"] for each in listed["Contents"]]
    assert found == ["kept/two/algo-1/saved", "kept/two/algo-2/saved"]


def test_capacity_that_stays_away_ends_the_job(start_cloud: StartCloud) -> None:
    cloud = begun(start_cloud, speed=50)
    limits = {"MaxRuntimeInSeconds": 300, "MaxWaitTimeInSeconds": 300}
    on_spot(cloud, "long", StoppingCondition=limits)
    assert interrupt(cloud, training_job="long", away_s="1000000")
    job = finished(cloud, "long")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert statuses(job)[3] == "Interrupted"


def test_a_job_that_waits_for_capacity_can_be_stopped(start_cloud: StartCloud) -> None:
    cloud = begun(start_cloud)
    sagemaker = on_spot(cloud, "waits")
    assert interrupt(cloud, training_job="waits", away_s="3600")
    assert not interrupt(cloud, training_job="waits")

    def secondary() -> str:
        job = sagemaker.describe_training_job(TrainingJobName="waits")
        return str(job["SecondaryStatus"])

    assert until(lambda: secondary() == "Interrupted")
    sagemaker.stop_training_job(TrainingJobName="waits")
    assert finished(cloud, "waits")["TrainingJobStatus"] == "Stopped"


def test_only_managed_spot_is_interrupted(start_cloud: StartCloud) -> None:
    cloud = begun(start_cloud)
    plain = {"MaxRuntimeInSeconds": 3600}
    sagemaker = on_spot(cloud, "plain", EnableManagedSpotTraining=False, StoppingCondition=plain)
    assert not interrupt(cloud, training_job="plain")
    assert not interrupt(cloud, training_job="nobody")
    body = json.dumps({"training_job": "plain", "away_s": "soon"})
    assert fetch(f"{cloud.url}/_localaws/interrupt", "POST", body)[0] == 400
    sagemaker.stop_training_job(TrainingJobName="plain")
    assert finished(cloud, "plain")["TrainingJobStatus"] == "Stopped"
