"""`pedigree up` and `down`: three servers, and nothing left of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.journey.house import House, free_port

pytestmark = pytest.mark.slow


@contextmanager
def _up(house: House) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    running = house.start("pedigree", "up")
    try:
        yield running, _addresses(running)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def _addresses(running: subprocess.Popen[str]) -> dict[str, str]:
    assert running.stdout is not None
    found: dict[str, str] = {}
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        line = running.stdout.readline()
        if not line or "Ctrl-C" in line:
            break
        said = re.match(r"(.+?) +(http://127\.0\.0\.1:\d+)$", line.strip())
        if said:
            found[said[1]] = said[2]
    return found


@pytest.fixture
def house_with_ports(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("PEDIGREE_DASHBOARD_PORT", str(free_port()))
    monkeypatch.setenv("PEDIGREE_MLFLOW_PORT", str(free_port()))
    return house


def _status(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def test_up_serves_three_addresses_until_down_is_typed_elsewhere(house_with_ports: House) -> None:
    house = house_with_ports
    with _up(house) as (running, found):
        assert set(found) == {"dashboard", "MLflow UI", "AWS on this machine"}
        assert _status(found["dashboard"]) == 200
        assert _status(found["MLflow UI"]) == 200
        assert _status(found["AWS on this machine"] + "/_localaws/health") == 200
        assert "runs in this folder already" in house.type("pedigree", "up", expect=3)
        assert "stopped" in house.type("pedigree", "down")
        running.communicate(timeout=30)
        assert running.returncode == 0
    assert house.none_left() == []
    assert "nothing was running" in house.type("pedigree", "down")


def test_ctrl_c_and_a_crash_leave_nothing(house_with_ports: House) -> None:
    house = house_with_ports
    with _up(house) as (running, found):
        assert len(found) == 3
        os.killpg(running.pid, signal.SIGINT)
        running.communicate(timeout=30)
        assert running.returncode == 0
    assert house.none_left() == []
    with _up(house) as (running, found):
        assert len(found) == 3
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate(timeout=30)
        assert house.none_left(within_s=30) == []


def test_a_port_that_is_taken_is_named_with_its_setting(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PEDIGREE_DASHBOARD_PORT", str(port))
        output = house.type("pedigree", "up", expect=4)
    assert f"port {port}, wanted by the dashboard" in output
    assert f"PEDIGREE_DASHBOARD_PORT={port + 1}" in output
    assert house.none_left() == []
