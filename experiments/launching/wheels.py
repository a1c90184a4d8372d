"""The packages that AWS's images lack, as wheels in the private bucket, named and held by their hashes.

A host installs them with `pip install --no-index --require-hashes --find-links`, so it needs no way to a
package index and gets no other bytes than the lock names.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from experiments.aws import Cloud
from experiments.dataset import is_there, put_file
from experiments.errors import DataError
from experiments.records import Artifact
from experiments.source import ROOT

LOCK = ROOT / "training" / "requirements-instance.txt"
# The Pythons of AWS's PyTorch images and Deep Learning AMIs; a host takes the wheels of its own.
PYTHONS = ("3.11", "3.12", "3.13")
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_DOWNLOAD_S = 1800
Fetch = Callable[[Path, Path], None]
"""Puts every wheel of a lock (first) into a folder (second). Raises DataError."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A file of hash-locked requirements; `digest` names its content (`sha256:...`)."""

    path: Path
    digest: str

    @property
    def prefix(self) -> str:
        return f"wheels/{self.digest.removeprefix('sha256:')[:16]}/"


def read_lock(path: Path = LOCK) -> Lock:
    """The lock that ships with the training program."""
    return Lock(path=path, digest=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")


def wheels_artifact(bucket: str, lock: Lock) -> Artifact:
    """Where the wheels of a lock are, or will be."""
    return Artifact(uri=f"s3://{bucket}/{lock.prefix}", digest=lock.digest)


def download_wheels(lock: Path, folder: Path) -> None:
    """Fetch the wheels with pip, for Linux on x86-64 and every Python of `PYTHONS`."""
    for python in PYTHONS:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", "--python-version", python]
        command += [word for name in _PLATFORMS for word in ("--platform", name)]
        command += ["--dest", str(folder), "--requirement", str(lock)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_DOWNLOAD_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _not_fetched(str(error)) from error
        if done.returncode:
            raise _not_fetched((done.stderr.strip().splitlines() or ["pip failed"])[-1])


def _not_fetched(why: str) -> DataError:
    return DataError(
        f"the wheels for the hosts cannot be fetched: {why}",
        fix="give this machine a way to a package index once, or set `dependencies: image` in the"
        " experiment file if the image has openvino, safetensors and timm",
    )


def put_wheels(
    cloud: Cloud, bucket: str, lock: Lock, *, cache: Path, fetch: Fetch = download_wheels
) -> Artifact:
    """Put the wheels of a lock into the bucket, once for each lock; what is there is not sent again.

    The lock itself is written last, so that half an upload is never taken for a whole one.
    """
    there = f"{lock.prefix}requirements.txt"
    if not is_there(cloud, bucket, there):
        folder = cache / lock.prefix
        if not (folder / "whole").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            fetch(lock.path, folder)
            (folder / "whole").touch()
        for wheel in sorted(folder.glob("*.whl")):
            put_file(cloud, bucket, f"{lock.prefix}{wheel.name}", wheel)
        put_file(cloud, bucket, there, lock.path)
    return wheels_artifact(bucket, lock)
