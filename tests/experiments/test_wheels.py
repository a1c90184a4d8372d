"""The packages that images lack: fetched once for each lock, held by their hashes."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from experiments.errors import DataError
from experiments.launching.wheels import Lock, download_wheels, put_wheels, read_lock
from tests.experiments.fake_cloud import FakeCloud

BUCKET = "pedigree-wheels"


def account() -> FakeCloud:
    cloud = FakeCloud()
    cloud.ask("s3", "create_bucket", Bucket=BUCKET)
    return cloud


def lock_of(tmp_path: Path, text: str = "tiny==1.0 --hash=sha256:00\n") -> Lock:
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    return read_lock(path)


def test_wheels_are_fetched_and_sent_once_for_each_lock(tmp_path: Path) -> None:
    cloud, lock, fetched = account(), lock_of(tmp_path), list[Path]()

    def fetch(given: Path, folder: Path) -> None:
        fetched.append(given)
        (folder / "tiny-1.0-py3-none-any.whl").write_bytes(b"a wheel")

    for _ in range(2):
        found = put_wheels(cloud, BUCKET, lock, cache=tmp_path / "cache", fetch=fetch)
        assert found.uri == f"s3://{BUCKET}/{lock.prefix}"
    assert fetched == [lock.path]
    held = sorted(cloud.buckets.held[BUCKET].objects)
    assert held == [f"{lock.prefix}requirements.txt", f"{lock.prefix}tiny-1.0-py3-none-any.whl"]
    other = account()
    put_wheels(other, BUCKET, lock, cache=tmp_path / "cache", fetch=fetch)
    assert fetched == [lock.path], "kept on this machine"


def test_half_an_upload_is_made_whole(tmp_path: Path) -> None:
    cloud, lock = account(), lock_of(tmp_path)
    cloud.buckets.put(BUCKET, f"{lock.prefix}one.whl", b"1")

    def fetch(_given: Path, folder: Path) -> None:
        (folder / "one.whl").write_bytes(b"1")
        (folder / "two.whl").write_bytes(b"2")

    put_wheels(cloud, BUCKET, lock, cache=tmp_path / "cache", fetch=fetch)
    assert len(cloud.buckets.held[BUCKET].objects) == 3


def wheel(folder: Path, name: str) -> Path:
    """The smallest wheel that pip installs."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": b"HERE = True\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow((path, f"sha256={digest}", len(data)))
    rows.writerow((f"{info}/RECORD", "", ""))
    target = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as packed:
        for path, data in {**files, f"{info}/RECORD": record.getvalue().encode()}.items():
            packed.writestr(path, data)
    return target


@pytest.mark.slow
def test_a_host_installs_them_without_an_index_and_takes_no_others(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    made = wheel(tmp_path / "wheels", "tiny")
    digest = hashlib.sha256(made.read_bytes()).hexdigest()

    def install(expected: str) -> subprocess.CompletedProcess[str]:
        lock_of(tmp_path, f"tiny==1.0 --hash=sha256:{expected}\n")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--require-hashes", "--no-index", "--find-links", str(tmp_path / "wheels")]
        command += ["--target", str(tmp_path / "site"), "-r", str(tmp_path / "requirements.txt")]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
        )

    refused = install("0" * 64)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    done = install(digest)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "tiny.py").is_file()


@pytest.mark.slow
def test_a_package_that_nobody_has_is_told_with_the_way_out(tmp_path: Path) -> None:
    lock = lock_of(tmp_path, "not a requirement line\n")
    with pytest.raises(DataError, match="cannot be fetched") as caught:
        download_wheels(lock.path, tmp_path)
    assert "dependencies: image" in caught.value.fix
