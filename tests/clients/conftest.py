"""A whole localaws for clients that nobody here wrote, and a bucket with a few photos."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from localaws.server import open_cloud

SOURCES = Path(__file__).parent / "src"
BUCKET = "the-bucket"
ROLE = "arn:aws:iam::123456789012:role/trainer"
_NO_TELEMETRY = """SchemaVersion: '1.0'
SageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}
"""
SERVICES = ("sagemaker", "lambda", "ec2")


@dataclass(frozen=True, kw_only=True)
class House:
    """The address, and what a client's environment has: nothing else tells it of localaws."""

    url: str
    home: Path

    @property
    def env(self) -> dict[str, str]:
        """The variables of a user with keys, and SageMaker's SDKs told to report to nobody."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(self.home / "sagemaker.yaml"),
            # Nothing but this machine is asked, whatever a client would like to fetch.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def run(self, program: str, *arguments: str, timeout_s: float = 240) -> str:
        """What a program of the user prints. A failure shows all that it said."""
        done = subprocess.run(
            [program, *arguments],
            env=self.env,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def client(self, service: str) -> Any:
        """boto3's own client."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="AKIATESTTESTTESTTEST",
            aws_secret_access_key="test",
        )

    def source(self, *names: str) -> Path:
        """A folder of the user's with these programs."""
        folder = self.home / "src"
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / name).write_bytes((SOURCES / name).read_bytes())
        return folder


def photo(red: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (80, 80), (red, 60, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def envs() -> Path | None:
    """The folder that PEDIGREE_CLIENTS names: environments `sdk2` and `toolkit`."""
    folder = os.environ.get("PEDIGREE_CLIENTS")
    return Path(folder) if folder else None


def _images() -> Sequence[Any]:
    from localaws.hosts.images import Image as Stand

    folder = envs()
    if folder is None:
        return ()
    module = "sagemaker_pytorch_container.training:main"
    env = {"SAGEMAKER_TRAINING_MODULE": module}
    path = (str(folder / "toolkit" / "bin"),)
    return (Stand(pattern="*pytorch-training:2.3*", path=path, env=env),)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    serve = (sys.executable, "-m", "serving")
    with open_cloud(state_dir=tmp_path / "s", serve_command=serve, images=_images()) as cloud:
        home = tmp_path / "home"
        home.mkdir()
        (home / "sagemaker.yaml").write_text(_NO_TELEMETRY, encoding="utf-8")
        found = House(url=cloud.url, home=home)
        _fill(found)
        yield found


def _fill(house: House) -> None:
    s3, iam = house.client("s3"), house.client("iam")
    s3.create_bucket(Bucket=BUCKET)
    for split in ("train", "valid", "test"):
        for name, red in (("a", 10), ("b", 200)):
            for number in range(4):
                key = f"dogImages/{split}/{name}/{number}.jpg"
                s3.put_object(Bucket=BUCKET, Key=key, Body=photo(red + number))
    principal = {"Service": [f"{service}.amazonaws.com" for service in SERVICES]}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_role(RoleName="trainer", AssumeRolePolicyDocument=_policy(trust))
    iam.put_role_policy(RoleName="trainer", PolicyName="all", PolicyDocument=_policy(everything))
    iam.create_instance_profile(InstanceProfileName="trainer")
    iam.add_role_to_instance_profile(InstanceProfileName="trainer", RoleName="trainer")


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
