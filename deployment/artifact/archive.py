"""From a run's model.tar.gz to the archive that is served: checked, reduced, the same bytes again.

What is served is what the engine needs: an OpenVINO model is its graph and weights, so
model.safetensors, which holds the same weights a second time, stays with the run.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from deployment.gates import Gate
from experiments.aws import Cloud
from experiments.errors import ReleaseError
from experiments.files import file_digest
from experiments.source import pack_files

MAX_ARCHIVE_BYTES = 512 * 1024**2
MAX_UNPACKED_BYTES = 1024**3
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILES = 40
MANIFEST = "pedigree.json"
_GRAPH = ("model.xml", "model.bin")
_WEIGHTS = "model.safetensors"
_CODE = re.compile(r"code/[A-Za-z0-9_]+\.py")
_BLOCK = 1 << 20


class _Fault(Exception):
    """What is wrong with an archive, in words."""


@dataclass(frozen=True, kw_only=True)
class ServingArchive:
    """`data` is the tarball to upload; `content` names its files' content whatever packed them."""

    data: bytes
    digest: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Examined:
    """The integrity gate of a run's archive, and if it was passed what is to be served."""

    gate: Gate
    archive: ServingArchive | None = None


def fetch_archive(cloud: Cloud, uri: str, folder: Path) -> Path:
    """Download an archive into `folder`. Raises CloudError, or ReleaseError if it is too large."""
    parts = urlsplit(uri)
    answer = cloud.ask("s3", "get_object", Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    path = folder / "run.tar.gz"
    size = 0
    with path.open("wb") as out:
        while block := answer["Body"].read(_BLOCK):
            size += len(block)
            if size > MAX_ARCHIVE_BYTES:
                raise ReleaseError(
                    f"{uri} is over {MAX_ARCHIVE_BYTES >> 20} MiB",
                    fix="export a smaller model; nothing else belongs into its archive",
                )
            out.write(block)
    return path


def examine(path: Path, folder: Path, *, max_unpacked_bytes: int = MAX_UNPACKED_BYTES) -> Examined:
    """Unpack an archive into the empty `folder`, hold it against its manifest, and pack it anew.

    Nothing in it is executed or unpickled. A fault shuts the gate and is its evidence.
    """
    digest = file_digest(path)
    try:
        names = _unpack(path, folder, max_unpacked_bytes)
        manifest = _read_manifest(folder)
        _check_digests(folder, names, manifest)
        archive = _pack(folder, names, manifest)
    except _Fault as fault:
        evidence = {"archive": digest, "fault": str(fault)}
        return Examined(gate=Gate(name="integrity", passed=False, evidence=evidence))
    evidence = {
        "archive": digest,
        "files": f"{len(names)} files, every digest as in {MANIFEST}; no links, no pickle",
        "served": f"{len(archive.data)} bytes, {archive.digest}",
    }
    gate = Gate(name="integrity", passed=True, evidence=evidence)
    return Examined(gate=gate, archive=archive)


class _Bounded:
    """A stream that ends in a fault when it grows beyond what a model may unpack to."""

    def __init__(self, stream: gzip.GzipFile, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._left = max_bytes

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(_BLOCK if size < 0 else min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise _Fault(f"it unpacks to more than {self._max_bytes} bytes")
        return data


def _unpack(path: Path, folder: Path, max_bytes: int) -> tuple[str, ...]:
    names: list[str] = []
    try:
        with (
            gzip.open(path) as stream,
            tarfile.open(fileobj=_Bounded(stream, max_bytes), mode="r|") as tar,  # type: ignore[call-overload]
        ):
            for entry in tar:
                name = _admit(entry, names)
                if not name:
                    continue
                names.append(name)
                source = tar.extractfile(entry)
                if source is not None:
                    _copy(source, folder / name)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise _Fault(f"it is no readable tar.gz: {error}") from error
    return tuple(sorted(names))


def _admit(entry: tarfile.TarInfo, so_far: list[str]) -> str:
    """The name under which an entry is unpacked; empty for the two folders that may be there."""
    name = entry.name.removeprefix("./").rstrip("/")
    if entry.isdir() and name in ("", ".", "code"):
        return ""
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise _Fault(f"{entry.name!r} is no plain file")
    if name not in (MANIFEST, _WEIGHTS, *_GRAPH) and not _CODE.fullmatch(name):
        raise _Fault(f"{entry.name!r} does not belong into a model")
    if name in so_far:
        raise _Fault(f"{name} is in it twice")
    if len(so_far) >= MAX_FILES:
        raise _Fault(f"it has more than {MAX_FILES} files")
    return name


def _copy(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    with target.open("wb") as out:
        while block := source.read(_BLOCK):
            out.write(block)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file() or path.stat().st_size > MAX_MANIFEST_BYTES:
        raise _Fault(f"{MANIFEST} is missing or too large")
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise _Fault(f"{MANIFEST} is no JSON") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != 1:
        raise _Fault(f"{MANIFEST} is not of schema 1")
    if not isinstance(manifest.get("files"), dict) or not manifest.get("classes"):
        raise _Fault(f"{MANIFEST} names no files or no classes")
    return manifest


def _check_digests(folder: Path, names: tuple[str, ...], manifest: Mapping[str, Any]) -> None:
    """Every file named and every name there, with the digest of the manifest; code is exempt."""
    listed: Mapping[str, Any] = manifest["files"]
    there = {name for name in names if name != MANIFEST and not _CODE.fullmatch(name)}
    odd = there ^ {name for name in listed if not _CODE.fullmatch(name)}
    if odd:
        raise _Fault(f"its files are not those of {MANIFEST}: {', '.join(sorted(odd))}")
    for name in sorted(listed):
        if name not in names or file_digest(folder / name) != listed[name]:
            raise _Fault(f"the bytes of {name} are not those of {MANIFEST}")
    if _WEIGHTS in there and not _is_safetensors(folder / _WEIGHTS):
        raise _Fault(f"{_WEIGHTS} is no safetensors file")


def _is_safetensors(path: Path) -> bool:
    """Eight bytes of header length, then a JSON object (github.com/huggingface/safetensors)."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if not 2 <= size <= path.stat().st_size - 8:
            return False
        return stream.read(1) == b"{"


def _pack(folder: Path, names: tuple[str, ...], manifest: dict[str, Any]) -> ServingArchive:
    engine = str(manifest.get("engine", ""))
    keep = [name for name in names if name != _WEIGHTS or not engine.startswith("openvino")]
    missing = [n for n in _GRAPH if n not in keep] if engine.startswith("openvino") else []
    if missing:
        raise _Fault(f"its engine is {engine}, and {missing[0]} is missing")
    files = {name: digest for name, digest in manifest["files"].items() if name in keep}
    text = json.dumps({**manifest, "files": files}, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    content = {name: file_digest(folder / name) for name in keep}
    data = pack_files(folder, [folder / name for name in keep])
    return ServingArchive(
        data=data,
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        content=f"sha256:{hashlib.sha256(json.dumps(content).encode()).hexdigest()}",
    )
