"""SIGKILL, for real: a promoting process ends at some call; the next one finishes at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment.release import ReleaseStatus
from deployment.store import ReleaseStore
from experiments.aws import Boto3Cloud
from tests.deployment.builders import BUCKET, model_files, tar_gz
from tests.deployment.local import running

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("promote_once.py")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boto3Cloud]:
    with running(tmp_path_factory.mktemp("killed")) as found:
        yield found


def promotion(cloud: Boto3Cloud, run_id: str, *at: str) -> subprocess.CompletedProcess[str]:
    key = f"runs/{run_id}/output/model.tar.gz"
    cloud.ask("s3", "put_object", Bucket=BUCKET, Key=key, Body=tar_gz(model_files(run_id)))
    url = str(cloud.address.endpoint_url)
    return subprocess.run(
        [sys.executable, str(PROGRAM), url, run_id, *at],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def killed_and_finished(cloud: Boto3Cloud, run_id: str, number: int, stage: str) -> int:
    """The exit code of the first process; the second one has to end well, without waiting."""
    first = promotion(cloud, run_id, str(number), stage)
    second = promotion(cloud, run_id)
    assert second.returncode == 0, second.stderr
    store = ReleaseStore(cloud=cloud, name="dogs-prod")
    live = [r for r in store.records() if r.status is ReleaseStatus.LIVE]
    assert [r.release.run_id for r in live] == [run_id]
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="dogs-prod", Body=b"photo", ContentType="image/jpeg"
    )
    assert f"{run_id}@1" in answer["Body"].read().decode()
    names = {record.release.model_name for record in store.records()}
    models = cloud.pages("sagemaker", "list_models", "Models")
    assert {model["ModelName"] for model in models} <= names
    return first.returncode


@pytest.mark.soak
def test_a_killed_promotion_is_finished_by_the_next_at_once(cloud: Boto3Cloud) -> None:
    assert killed_and_finished(cloud, "good-a", 40, "between") == -signal.SIGKILL


@pytest.mark.soak
def test_kills_at_any_call(cloud: Boto3Cloud) -> None:
    """Twenty-four calls of promotions, drawn, each before and between effect and reply."""
    promotion(cloud, "good-b")
    numbers = random.Random(6).sample(range(1, 65), 24)
    codes = []
    for number in numbers:
        for stage in ("before", "between"):
            codes.append(killed_and_finished(cloud, f"good-{number}-{stage}", number, stage))
    assert codes.count(-signal.SIGKILL) >= 40
