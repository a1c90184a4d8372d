"""A real localaws on a free port, inside the test process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from localaws.server import BuildServices, Cloud, Parts, Service, open_cloud, standard_services

# Arguments are checked by the server under test, not by the client.
UNCHECKED = {"parameter_validation": False}


class Client:
    """A started cloud, and boto3 clients for it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.url = cloud.url

    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client; `config` is botocore's `Config`. It never repeats a failed call."""
        settings = {"retries": {"total_max_attempts": 1}, **config}
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="AKIATESTTESTTESTTEST",
            aws_secret_access_key="test",
            config=Config(**settings),
        )


def fetch(url: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of one plain request; underscores in header names stand for hyphens."""
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port or 80, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"{parts.path}?{parts.query}", body=body, headers=named)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


StartCloud = Callable[..., Client]


def no_services(parts: Parts) -> Sequence[Service]:
    """The core alone: S3 and moto's services."""
    return ()


@pytest.fixture
def start_cloud(tmp_path: Path) -> Iterator[StartCloud]:
    """`start_cloud(build=..., **open_cloud's arguments)`; closed at the end of the test."""
    with ExitStack() as stack:

        def start(build: BuildServices = standard_services, **options: Any) -> Client:
            options.setdefault("state_dir", tmp_path / "state")
            return Client(stack.enter_context(open_cloud(build=build, **options)))

        yield start


@pytest.fixture
def cloud(start_cloud: StartCloud) -> Client:
    """Everything localaws does."""
    return start_cloud()


@pytest.fixture
def core(start_cloud: StartCloud) -> Client:
    """S3 and moto's services only."""
    return start_cloud(build=no_services)


_UNIT = {
    "test_protocol.py",
    "test_routing.py",
    "test_store.py",
    "test_archives.py",
    "test_listing.py",
    "test_log_lines.py",
    "test_metrics.py",
    "test_deployment.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All but the pure parts start a server or processes: `make check` leaves these out."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name not in _UNIT:
            item.add_marker(pytest.mark.slow)
