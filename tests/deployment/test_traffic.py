"""Promotions while requests come in: good models lose none, bad ones are sent back by their alarms."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from deployment.apply import Applied, Means, apply_proposal
from deployment.promote import prepare, propose
from deployment.release import ReleaseStatus
from deployment.rollout import Rollout, alarm_names
from deployment.store import ReleaseStore
from experiments.aws import Boto3Cloud
from experiments.errors import ReleaseError
from tests.deployment.builders import BOOK, BUCKET, NOW, model_files, record, settings, tar_gz
from tests.deployment.local import SPEED, hasty, running
from tests.deployment.traffic import Traffic, traffic

pytestmark = pytest.mark.slow
ENDPOINT = "dogs-prod"
CANARY = 0.5
ROLLOUT = Rollout(canary_percent=50, bake_s=300, max_model_ms=600)
KINDS = ("broken", "nan", "slow", "crash")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boto3Cloud]:
    """An endpoint of two instances with a good model behind it."""
    with running(tmp_path_factory.mktemp("traffic")) as found:
        promote(found, "good-0")
        yield found


def promote(cloud: Boto3Cloud, run_id: str) -> Applied:
    """Without golden photos, so that it is the alarms that decide."""
    key = f"runs/{run_id}/output/model.tar.gz"
    cloud.ask("s3", "put_object", Bucket=BUCKET, Key=key, Body=tar_gz(model_files(run_id)))
    run = record(run_id, model_uri=f"s3://{BUCKET}/{key}")
    how = settings(min_instances=2, max_instances=2, provisioned_concurrency=0)
    ready = prepare(cloud, run, how, now=NOW)
    ways = Means(cloud=cloud, book=BOOK, holder=run_id, report=lambda done: None, clock=hasty())
    return apply_proposal(propose(cloud, ready, book=BOOK, rollout=ROLLOUT), ways)


def instances(cloud: Boto3Cloud) -> int:
    seen = cloud.ask("sagemaker", "describe_endpoint", EndpointName=ENDPOINT)
    return int(seen["ProductionVariants"][0]["CurrentInstanceCount"])


def until_calm(cloud: Boto3Cloud) -> None:
    """The alarms of the last model are off again, and stay off for two of their periods: its last slow
    answers come late, and a promotion that met them would be sent back for them."""
    deadline = time.monotonic() + 30
    calm_since = time.monotonic()
    while time.monotonic() < deadline:
        found = cloud.ask("cloudwatch", "describe_alarms", AlarmNames=list(alarm_names(settings())))
        now = time.monotonic()
        if any(alarm["StateValue"] == "ALARM" for alarm in found["MetricAlarms"]):
            calm_since = now
        if now - calm_since > 2 * 60 / SPEED:
            return
        time.sleep(0.1)
    raise AssertionError("the alarms stay on")


def send_back(cloud: Boto3Cloud, kind: str, number: int, load: Traffic) -> None:
    """A bad model goes out and comes back: by alarm, within its canary, with all instances."""
    run_id = f"{kind}-{number}"
    until_calm(cloud)
    before = ReleaseStore(cloud=cloud, name=ENDPOINT).live().release_id
    began = time.monotonic()
    with pytest.raises(ReleaseError, match=f"{before} is live as before"):
        promote(cloud, run_id)
    shots = load.since(began)
    bad = [shot for shot in shots if not shot.good]
    assert len(bad) / len(shots) <= CANARY + 0.02, f"{len(bad)} of {len(shots)}"
    store = ReleaseStore(cloud=cloud, name=ENDPOINT)
    assert store.live().release_id == before
    found = next(r for r in store.records() if r.release.run_id == run_id)
    assert found.status is ReleaseStatus.ROLLED_BACK
    if kind != "crash":
        assert "alarm" in found.message.lower()
        assert bad, "the model was never asked"
    assert instances(cloud) == 2
    settled = time.monotonic()
    time.sleep(0.5)
    after = load.since(settled)
    assert after and all(shot.good and shot.run.startswith("good") for shot in after)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_model_is_sent_back_by_its_alarms(cloud: Boto3Cloud, kind: str) -> None:
    with traffic(cloud, ENDPOINT, per_second=40, patience_s=0.8) as load:
        send_back(cloud, kind, 0, load)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_twenty_bad_models_of_a_kind_are_sent_back(cloud: Boto3Cloud, kind: str) -> None:
    with traffic(cloud, ENDPOINT, per_second=40, patience_s=0.8) as load:
        for number in range(1, 21):
            send_back(cloud, kind, number, load)


def go_over(cloud: Boto3Cloud, run_id: str, load: Traffic, *, rest_s: float) -> None:
    """A good model goes out under traffic: nothing fails, and nothing old answers afterwards."""
    until_calm(cloud)
    promote(cloud, run_id)
    over = time.monotonic()
    time.sleep(rest_s)
    assert {shot.fault for shot in load.shots} == {""}
    assert {shot.run for shot in load.since(over)} == {run_id}


@pytest.mark.parametrize(
    "seconds", [20, *(pytest.param(60 * minutes, marks=pytest.mark.soak) for minutes in (1, 10))]
)
def test_promotions_under_50_requests_a_second(cloud: Boto3Cloud, seconds: int) -> None:
    began, number = time.monotonic(), 0
    with traffic(cloud, ENDPOINT, per_second=50) as load:
        while time.monotonic() - began < seconds or number < 2:
            number += 1
            go_over(cloud, f"good-{seconds}x{number}", load, rest_s=2)
    assert len(load.shots) > 45 * seconds
