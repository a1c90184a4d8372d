"""How long the packaged model takes for one photo here: its own server runs and is asked."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.service import ServiceTime

_START_S = 120.0
_STOP_S = 30.0
_WARM_UPS = 5
_ASKED = 200
_LONGEST_S = 20.0
_MOST_BYTES = 2 * 1024**3
_MOST_FILES = 1000
_EDGE = 640


def measure_archive(archive: Path, photo: Path | None) -> ServiceTime:
    """The times of one photo at a time, on all processors of this machine.

    `archive`: a served model.tar.gz, or its folder. `photo`: a JPEG, else one of noise is drawn.
    Raises DataError where the model cannot be served.
    """
    from cli.serving import read_photo
    from simulator.service import measured

    body, kind = read_photo(photo) if photo is not None else (_noise(), "image/jpeg")
    vcpus = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        folder = archive if archive.is_dir() else _unpack(archive, Path(scratch))
        with _server(folder, Path(scratch)) as port:
            times = _ask(port, body, kind)
    what = photo.name if photo is not None else f"a drawn photo of {_EDGE} x {_EDGE}"
    source = f"{len(times)} times of {archive.name} measured here with {what}, {vcpus} vCPUs"
    return measured(times, source=source, vcpus=vcpus)


def _unpack(archive: Path, scratch: Path) -> Path:
    from experiments.errors import DataError

    folder = scratch / "model"
    folder.mkdir()
    fix = "give the model.tar.gz of a run's output or of a release, or its unpacked folder"
    try:
        with tarfile.open(archive, "r:*") as packed:
            total = 0
            for count, member in enumerate(packed):
                total += member.size
                if count >= _MOST_FILES or total > _MOST_BYTES:
                    raise DataError(f"{archive} is larger than a model", fix=fix)
                if not (member.isfile() or member.isdir()):
                    raise DataError(f"{archive} holds a link: {member.name[:80]}", fix=fix)
                packed.extract(member, folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{archive} is no archive: {error}", fix=fix) from error
    return folder


@contextmanager
def _server(folder: Path, scratch: Path) -> Iterator[int]:
    """`python -m serving` over the folder, until the block ends."""
    from experiments.errors import DataError

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = scratch / "server.log"
    env = {
        **os.environ,
        "SM_MODEL_DIR": str(folder.resolve()),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "PEDIGREE_BIND": "127.0.0.1",
    }
    root = Path(__file__).resolve().parents[1]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"], env=env, stdout=out, stderr=out, cwd=root
        )
    try:
        deadline = time.monotonic() + _START_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
                raise DataError(f"the model cannot be served: {said}", fix="give a served model")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _ask(port: int, body: bytes, kind: str) -> list[float]:
    """Milliseconds of each answer, one after the other on one connection."""
    from experiments.errors import DataError

    times: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    end = time.monotonic() + _LONGEST_S
    for number in range(_WARM_UPS + _ASKED):
        started = time.perf_counter()
        connection.request("POST", "/invocations", body, {"Content-Type": kind})
        answer = connection.getresponse()
        said = answer.read()
        took_ms = (time.perf_counter() - started) * 1000
        if answer.status != http.client.OK:
            raise DataError(f"the model answered {answer.status}: {_words(said)}", fix="see above")
        if number >= _WARM_UPS:
            times.append(took_ms)
        if times and time.monotonic() > end:
            break
    connection.close()
    return times


def _words(said: bytes) -> str:
    try:
        return str(json.loads(said)["error"]["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return repr(said[:200])


def _noise() -> bytes:
    """A JPEG that is no easier to decode than a photograph."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 255, (_EDGE // 8, _EDGE // 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((_EDGE, _EDGE), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=90)
    return out.getvalue()
