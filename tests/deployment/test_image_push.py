"""Building and pushing the serving image, with a Docker that only remembers."""

from __future__ import annotations

import pytest

from deployment.artifact.image import RECORD, build, image_to_serve, push, run_docker
from deployment.promote import prepare
from deployment.state.desired import serving_image
from experiments.errors import ReleaseError
from experiments.foundation import Foundation
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


def test_without_docker_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ReleaseError, match="no Docker on this machine") as caught:
        run_docker(["build"])
    assert "--cloud local no image is needed" in caught.value.fix
