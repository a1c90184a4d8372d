"""No server outlives the process that tries a model on it, however that one ends."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from experiments.source import ROOT
from tests.serving.builders import write_archive

pytestmark = pytest.mark.slow
_TRY = """
import pathlib, sys
from deployment.gates import trial
with trial.serve(pathlib.Path(sys.argv[1]).read_bytes(), 1) as served:
    print(served.port, flush=True)
    sys.stdin.read()
"""
_GONE_S = 20.0


def test_the_tried_server_ends_with_a_killed_promotion(tmp_path: Path) -> None:
    trying = subprocess.Popen(
        [sys.executable, "-c", _TRY, str(packed(tmp_path))], cwd=ROOT, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with trying:
        assert trying.stdout is not None
        port = int(trying.stdout.readline())
        assert answers(port)
        trying.kill()
    deadline = time.monotonic() + _GONE_S
    while answers(port):
        assert time.monotonic() < deadline, "the server lives on"
        time.sleep(0.1)


def packed(folder: Path) -> Path:
    path = folder / "model.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for file in sorted(write_archive(folder / "model").iterdir()):
            info = tarfile.TarInfo(file.name)
            info.size = file.stat().st_size
            tar.addfile(info, io.BytesIO(file.read_bytes()))
    return path


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
