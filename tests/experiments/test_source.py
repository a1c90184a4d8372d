from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from experiments.source import ROOT, pack_files, pack_source


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    with tarfile.open(fileobj=io.BytesIO(pack_source().data)) as tar:
        for entry in tar:
            assert entry.isreg(), entry.name
            target = folder / entry.name
            target.parent.mkdir(parents=True, exist_ok=True)
            stream = tar.extractfile(entry)
            assert stream is not None
            target.write_bytes(stream.read())
    return folder


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def test_the_same_content_gives_the_same_bytes_anywhere(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "elsewhere" / "second"
    for folder in (first, second):
        (folder / "training").mkdir(parents=True)
        (folder / "serving").mkdir()
    content = {"training/run.py": b"pass\n", "training/start.sh": b"#!/bin/bash\n"}
    for folder, order in ((first, list(content)), (second, list(reversed(content)))):
        for name in order:
            (folder / name).write_bytes(content[name])
    (second / "training/run.py").chmod(0o600)
    os.utime(second / "training/run.py", (1, 1))
    assert pack_source(first) == pack_source(second)
    (second / "training/run.py").write_bytes(b"pass \n")
    assert pack_source(first).digest != pack_source(second).digest


def test_the_digest_is_that_of_the_bytes() -> None:
    source = pack_source()
    assert source.digest == f"sha256:{hashlib.sha256(source.data).hexdigest()}"
    assert source == pack_source()


def test_the_time_of_packing_is_not_in_the_bytes() -> None:
    assert pack_source().data[4:8] == b"\0\0\0\0"  # gzip's MTIME, RFC 1952


def test_nobody_s_name_time_or_rights_go_in() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack_source().data)) as tar:
        for entry in tar:
            assert (entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, "", "")
            assert entry.mtime == 0
            assert entry.mode == (0o755 if entry.name.endswith(".sh") else 0o644)


def test_only_the_program_goes_in(tmp_path: Path) -> None:
    for name in ("training/__pycache__/x.pyc", "training/.secret", "training/notes/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    wanted = ["serving/__init__.py", "serving/preprocess.py", "training/a.py", "training/fit/b.py"]
    wanted += ["training/start.sh"]
    for name in (*wanted, "serving/server.py", "experiments/aws.py", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert names(pack_source(tmp_path).data) == wanted


def test_the_shipped_program_holds_what_it_imports() -> None:
    shipped = names(pack_source().data)
    folders = {name.partition("/")[0] for name in shipped}
    assert folders == {"training", "serving"}
    assert {name for name in shipped if name.startswith("serving/")} == {
        "serving/__init__.py",
        "serving/preprocess.py",
    }
    for name in ("training/__main__.py", "training/config.py", "training/start.sh"):
        assert name in shipped
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "training").glob("*.py")}
    assert modules <= set(shipped)


@pytest.mark.parametrize("module", ["training.config", "training.manifest"])
def test_it_runs_from_the_unpacked_folder(unpacked: Path, module: str) -> None:
    code = f"import {module} as m; print(m.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=unpacked,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(unpacked)


def test_bash_accepts_how_it_starts(unpacked: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n", str(unpacked / "training/start.sh")], check=True, timeout=20)


def test_a_link_to_a_folder_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "a.py").symlink_to(tmp_path)
    assert names(pack_source(tmp_path).data) == []


def test_long_names_are_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 120) / ("f" * 150)
    path.parent.mkdir()
    path.write_text("x")
    assert names(pack_files(tmp_path, [path])) == [f"{'d' * 120}/{'f' * 150}"]
