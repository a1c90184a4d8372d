"""Building and pushing the serving image, with a Docker that only remembers."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.artifact.codebuild import NAME, build_and_push, pack_context
from deployment.artifact.image import RECORD, build, image_to_serve, push, run_docker
from deployment.promote import prepare
from deployment.state.desired import serving_image
from experiments.errors import ReleaseError
from experiments.foundation import Foundation
from experiments.source import ROOT
from tests.deployment.account import Account
from tests.deployment.builders import run, settings
from tests.deployment.world import World
from tests.deployment.yard import NOW

PLACE = Foundation(account_id="123456789012", region="us-east-1")
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = f"{REGISTRY}/pedigree-serving@sha256:{'a' * 64}"


def test_an_image_is_built_pushed_and_served_by_its_digest() -> None:
    account = Account()
    tag = build(PLACE, run=account.docker)
    pushed = push(account, now=NOW, say=lambda text: None, run=account.docker)
    assert tag == f"{REGISTRY}/pedigree-serving:1" and pushed.uri == DIGEST
    building, login, pushing = (command for command, _ in account.commands)
    assert building[:3] == ("build", "--platform", "linux/amd64") and tag in building
    assert login == ("login", "--username", "AWS", "--password-stdin", REGISTRY)
    assert pushing == ("push", tag)
    secrets = [secret for _, secret in account.commands]
    assert secrets == ["", "s3cret", ""], "the password goes to standard input and nowhere else"
    assert image_to_serve(account, PLACE) == DIGEST


def test_a_release_serves_the_image_that_was_pushed_last() -> None:
    world = World()
    first = run(world, "first")
    ready = prepare(world, first, settings(), now=world.moment.now())
    assert ready.release.image == serving_image(PLACE)
    world.objects.bodies[RECORD] = f'{{"uri": "{DIGEST}"}}'.encode()
    again = prepare(world, first, settings(), now=world.moment.now())
    assert again.release.image == DIGEST
    assert again.release.release_id != ready.release.release_id
    world.objects.bodies[RECORD] = b"[]"
    with pytest.raises(ReleaseError, match="cannot be read"):
        prepare(world, first, settings(), now=world.moment.now())


def test_aws_builds_it_where_there_is_no_docker() -> None:
    account = Account()
    said: list[str] = []
    pushed = build_and_push(account, clock=account.moment.clock(), say=said.append)
    assert pushed.uri == DIGEST and image_to_serve(account, PLACE) == DIGEST
    assert account.commands == [], "no Docker here"
    assert said[-3:] == ["queued", "build", "completed"]
    variables = account.project["environment"]["environmentVariables"]
    assert {"name": "TAG", "value": f"{REGISTRY}/pedigree-serving:1"} in variables
    commands = json.loads(account.project["source"]["buildspec"])["phases"]["build"]["commands"]
    assert commands[-1] == 'docker push "$TAG"'
    trust = json.loads(account.made_roles[NAME]["AssumeRolePolicyDocument"])["Statement"][0]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    again = build_and_push(account, clock=account.moment.clock(), say=said.append)
    assert again == pushed and len(account.builds) == 2


def test_the_context_is_what_the_dockerfile_copies(tmp_path: Path) -> None:
    """And nothing else: its key tells whether anything changed."""
    context = pack_context()
    names = zipfile.ZipFile(io.BytesIO(context.data)).namelist()
    dockerfile = (ROOT / "serving" / "Dockerfile").read_text()
    copied = [line.split()[1] for line in dockerfile.splitlines() if line.startswith("COPY ")]
    assert all(any(name == c or name.startswith(f"{c}/") for name in names) for c in copied)
    assert "serving/Dockerfile" in names
    assert all(name.startswith("serving/") and "__pycache__" not in name for name in names)
    assert pack_context() == context
    other = tmp_path / "serving"
    other.mkdir()
    (other / "app.py").write_text("changed")
    assert pack_context(tmp_path).key != context.key


def test_a_build_that_fails_says_why_and_serves_nothing() -> None:
    account = Account(build_end="FAILED")
    with pytest.raises(ReleaseError, match="ended as failed: COMMAND_EXECUTION_ERROR") as caught:
        build_and_push(account, clock=account.moment.clock(), say=lambda text: None)
    assert "/aws/codebuild/pedigree-image" in caught.value.fix
    assert RECORD not in account.objects.bodies


def test_a_build_is_stopped_by_ctrl_c() -> None:
    account = Account()

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    clock = replace(account.moment.clock(), sleep=interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_and_push(account, clock=clock, say=lambda text: None)
    assert account.builds[0]["buildStatus"] == "STOPPED"


def test_without_a_bucket_it_says_what_makes_one() -> None:
    account = Account(has_bucket=False)
    with pytest.raises(ReleaseError) as caught:
        build_and_push(account, clock=account.moment.clock(), say=lambda text: None)
    assert "pedigree init" in caught.value.fix


def test_without_docker_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ReleaseError, match="no Docker on this machine") as caught:
        run_docker(["build"])
    assert "--cloud local no image is needed" in caught.value.fix
