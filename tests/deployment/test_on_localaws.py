"""One release, a second one, and the way back, on AWS as this machine has it: real processes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deployment.access.review import review
from deployment.access.stack import apply_init, plan_init
from deployment.apply import Applied, Means, apply_proposal
from deployment.artifact.function_code import FunctionCode
from deployment.invoke import invoke
from deployment.promote import Prepared, Proposal, prepare, propose
from deployment.reconcile.teardown import apply_teardown, propose_teardown
from deployment.release import GoldenFile, StoredFile
from deployment.rollout import Rollout
from deployment.smoke import GoldenPhoto
from deployment.state.desired import golden_key
from deployment.sweep.inventory import Inventory
from deployment.sweep.sweep import look
from deployment.undo import propose_rollback
from experiments.aws import Boto3Cloud
from experiments.foundation import observe_foundation, plan_foundation
from tests.deployment.builders import (
    BOOK,
    BUCKET,
    PHOTO,
    digest,
    handler,
    model_files,
    record,
    settings,
    tar_gz,
)
from tests.deployment.local import hasty, running
from tests.deployment.test_serverless import with_rate


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Boto3Cloud]:
    with running(tmp_path) as found:
        yield found


def ready(
    cloud: Boto3Cloud, run_id: str, label: str, code: FunctionCode | None = None, **how: Any
) -> Proposal:
    """A run with its archive in the bucket, and what its promotion would do."""
    found = prepared(cloud, run_id, label, code, **how)
    return propose(cloud, found, book=BOOK, rollout=Rollout(bake_s=120))


def prepared(
    cloud: Boto3Cloud, run_id: str, label: str, code: FunctionCode | None = None, **how: Any
) -> Prepared:
    key = f"runs/{run_id}/output/model.tar.gz"
    cloud.ask("s3", "put_object", Bucket=BUCKET, Key=key, Body=tar_gz(model_files(run_id, label)))
    run = record(run_id, model_uri=f"s3://{BUCKET}/{key}")
    served = settings(max_instances=1, **how)
    return prepare(cloud, run, served, now=datetime.now(tz=UTC), code=code)


def carry_out(cloud: Boto3Cloud, proposal: Proposal, label: str) -> Applied:
    golden = GoldenPhoto(image=PHOTO, label=label)
    return apply_proposal(
        proposal,
        Means(
            cloud=cloud,
            book=BOOK,
            holder="test",
            report=lambda done: None,
            golden=golden,
            clock=hasty(),
        ),
    )


@pytest.mark.slow
def test_two_releases_and_the_way_back(cloud: Boto3Cloud, tmp_path: Path) -> None:
    first = carry_out(cloud, ready(cloud, "first", "beagle"), "beagle")
    assert first.function_version == "1"
    assert ready(cloud, "first", "beagle").is_done

    code = handler(tmp_path, "changed")
    second = carry_out(cloud, ready(cloud, "second", "whippet", code), "whippet")
    assert second.function_version == "2"
    answer = invoke(cloud, settings(), PHOTO, "image/jpeg", book=BOOK)
    assert (answer.status, answer.predictions[0].label) == (200, "whippet")
    assert answer.function_version == "2" and answer.model_version == "second@1"
    assert answer.provisioned and not answer.cold_start
    assert answer.billed_ms > 0 and answer.cost.total_usd > 0

    wrong = invoke(cloud, settings(), PHOTO, "text/plain", book=BOOK)
    assert (wrong.status, wrong.error) == (415, "no photo; fix: x")

    back = carry_out(cloud, propose_rollback(cloud, "dogs-prod", book=BOOK), "beagle")
    assert back.release == first.release and back.function_version == "1"
    answer = invoke(cloud, settings(), PHOTO, "image/jpeg", book=BOOK)
    assert answer.predictions[0].label == "beagle" and answer.function_version == "1"
    assert propose_rollback(cloud, "dogs-prod", book=BOOK, to=first.release.release_id).is_done


@pytest.mark.slow
def test_a_serverless_endpoint_goes_live_changes_goes_back_and_is_taken_down(
    cloud: Boto3Cloud,
) -> None:
    first = carry_out(cloud, serverless(cloud, "first", "beagle"), "beagle")
    assert first.answer is not None and first.answer.predictions[0].label == "beagle"
    seen = cloud.ask("sagemaker", "describe_endpoint", EndpointName="dogs-prod")
    config = seen["ProductionVariants"][0]["CurrentServerlessConfig"]
    assert config == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    second = carry_out(cloud, serverless(cloud, "second", "whippet"), "whippet")
    assert second.answer is not None and second.answer.predictions[0].label == "whippet"
    back = carry_out(cloud, propose_rollback(cloud, "dogs-prod", book=BOOK), "beagle")
    assert back.release == first.release
    ways = Means(cloud=cloud, book=BOOK, holder="x", report=lambda done: None, clock=hasty())
    apply_teardown(propose_teardown(cloud, "dogs-prod"), ways)
    assert propose_teardown(cloud, "dogs-prod").remains.is_nothing


def serverless(cloud: Boto3Cloud, run_id: str, label: str) -> Proposal:
    """A promotion to a serverless endpoint, of a release that has a golden photo."""
    plain = prepared(cloud, run_id, label, serverless_memory_mb=2048)
    release, photo = plain.release, PHOTO + run_id.encode()
    key = golden_key(release.settings, release.release_id, digest(photo))
    stored = StoredFile(key=key, digest=digest(photo), size_bytes=len(photo))
    golden = GoldenFile(stored=stored, label=label, content_type="image/jpeg")
    whole = replace(release, golden=(golden,))
    bodies = {**plain.bodies, key: photo}
    return propose(cloud, Prepared(release=whole, bodies=bodies), book=with_rate())


def sent(url: str, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """A photo to the function's address."""
    assert url.startswith("http://127.0.0.1:")
    request = urllib.request.Request(url, data=PHOTO, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


@pytest.mark.slow
def test_the_functions_address_answers_signed_requests_only(cloud: Boto3Cloud) -> None:
    how: dict[str, Any] = {"function_url": True, "provisioned_concurrency": 0}
    url = carry_out(cloud, ready(cloud, "first", "beagle", **how), "beagle").address
    photo = {"Content-Type": "image/jpeg"}
    assert sent(url, photo)[0] == 403
    request = AWSRequest(method="POST", url=url, data=PHOTO, headers=photo)
    keys = Credentials("AKIATESTTESTTESTTEST", "test")
    SigV4Auth(keys, "lambda", "us-east-1").add_auth(request)
    status, answer = sent(url, request.headers)
    assert (status, answer["predictions"][0]["label"]) == (200, "beagle")
    assert ready(cloud, "first", "beagle", **how).is_done


@pytest.mark.slow
def test_init_makes_what_runs_and_promotions_look_for(tmp_path: Path) -> None:
    with running(tmp_path, bare=True) as cloud:
        apply_init(cloud, plan_init(cloud, settings()), clock=hasty(), say=lambda text: None)
        assert plan_init(cloud, settings()).call is None
        found = review(cloud, settings(), clock=hasty())
        assert all(role.exists and role.drift == () for role in found)
        left = plan_foundation(*observe_foundation(cloud))
        assert not [call for call in left if call.service == "iam"]
        assert "create_bucket" not in {call.operation for call in left}
        plan = ready(cloud, "first", "beagle").plan
        services = {step.call.service for step in plan.steps if step.call}
        assert "iam" not in services and "sagemaker" in services
        nothing = look(Inventory(cloud=cloud, book=BOOK), (), datetime.now(tz=UTC))
        assert nothing.orphans == ()
