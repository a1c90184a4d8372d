"""The Playground before there is anything to play with: no cloud, or nothing promoted."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from experiments.foundation import Foundation
from tests.dashboard.conftest import PLAYGROUND, OpenApp
from tests.dashboard.live_world import cloud_of
from tests.dashboard.reading import assert_whole, words

pytestmark = pytest.mark.slow


def test_cloud_down_names_how_to_start_it(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app(tmp_path, PLAYGROUND)
    assert not app.exception
    assert "is not running" in app.error[0].value
    assert "pedigree cloud up" in app.error[0].value


def test_an_address_nobody_answers_at_is_down_too(open_app: OpenApp, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    state = tmp_path / ".pedigree" / "cloud"
    state.mkdir(parents=True)
    address = {"url": f"http://127.0.0.1:{port}", "pid": 1, "port": port}
    (state / "address.json").write_text(json.dumps(address), encoding="utf-8")
    app = open_app(tmp_path, PLAYGROUND)
    assert "pedigree cloud up" in app.error[0].value


@pytest.mark.parametrize("written", ['{"url": "http://example.com:80"}', "[]", "{", '{"url": 7}'])
def test_an_address_outside_this_machine_is_not_asked(
    open_app: OpenApp, tmp_path: Path, written: str
) -> None:
    state = tmp_path / ".pedigree" / "cloud"
    state.mkdir(parents=True)
    (state / "address.json").write_text(written, encoding="utf-8")
    app = open_app(tmp_path, PLAYGROUND)
    assert not app.exception
    assert "pedigree cloud up" in app.error[0].value


@pytest.mark.slow
def test_nothing_promoted_names_the_command(open_app: OpenApp, tmp_path: Path) -> None:
    with cloud_of(tmp_path) as cloud:
        app = open_app(tmp_path, PLAYGROUND)
        assert_whole(app)
        assert "Nothing is live yet" in words(app)
        assert [block.value for block in app.code] == ["promote-model"]
        bucket = Foundation(account_id=cloud.account_id, region=cloud.region).bucket
        cloud.ask("s3", "create_bucket", Bucket=bucket)
        assert_whole(app.run())
        assert "Nothing is live yet" in words(app)
