"""`pedigree cloud` against a real localaws of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

pytestmark = pytest.mark.slow


class Pedigree:
    """The command, in a folder of its own."""

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._env = {**os.environ, "PEDIGREE_HOME": str(home), "PEDIGREE_PORT": str(self.port)}

    def __call__(self, *words: str) -> tuple[int, str]:
        """Exit code and what it printed."""
        code = "import sys; from cli.main import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            check=False,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    def json(self, *words: str) -> Any:
        """What it printed as JSON."""
        code, said = self(*words, "--json")
        assert code == 0, said
        return json.loads(said)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="AKIATESTTESTTESTTEST",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )


@pytest.fixture(scope="module")
def pedigree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pedigree]:
    command = Pedigree(tmp_path_factory.mktemp("home"))
    code, said = command("cloud", "up", "--speed", "30")
    assert code == 0, said
    yield command
    command("cloud", "down")


def test_it_runs_at_the_speed_that_was_asked_for(pedigree: Pedigree) -> None:
    assert pedigree.json("cloud", "status")["speed"] == 30.0
    assert "30 times as fast" in pedigree("cloud", "status")[1]
    assert pedigree("cloud", "up")[0] == 0
    code, said = pedigree("cloud", "up", "--speed", "2")
    assert code != 0
    assert "pedigree cloud down" in said


def test_faults_are_added_met_listed_and_cleared(pedigree: Pedigree) -> None:
    pedigree("cloud", "faults", "add", "sagemaker", "ListModels", "--kind", "throttle")
    with pytest.raises(ClientError, match="ThrottlingException"):
        pedigree.client("sagemaker").list_models()
    pedigree.client("sagemaker").list_models()
    assert "sagemaker ListModels: met 1, over" in pedigree("cloud", "faults", "list")[1]
    assert pedigree("cloud", "faults", "clear")[1].strip() == "cleared 1"
    assert pedigree.json("cloud", "faults", "list") == []


def test_requests_are_printed(pedigree: Pedigree) -> None:
    pedigree.client("s3").create_bucket(Bucket="photos")
    (entry,) = [one for one in pedigree.json("cloud", "requests") if one["service"] == "s3"]
    assert (entry["operation"], entry["params"]["Bucket"]) == ("CreateBucket", "photos")
    later = str(entry["t"] + 60)
    assert pedigree.json("cloud", "requests", "--since", later) == []
    assert "s3 CreateBucket" in pedigree("cloud", "requests")[1]


def test_what_does_not_run_cannot_be_killed(pedigree: Pedigree) -> None:
    code, said = pedigree("cloud", "kill", "--endpoint", "none")
    assert code != 0
    assert "no such process runs" in said
