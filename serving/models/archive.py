"""The model folder: read and verified before anything in it is used."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serving.errors import ArchiveError
from serving.preprocess import Transform

MANIFEST_FILE: Final = "pedigree.json"
GRAPH_FILE: Final = "model.xml"
WEIGHTS_FILE: Final = "model.safetensors"
PRECISIONS: Final = {"openvino-f32": "f32", "openvino-bf16": "bf16", "openvino-int8": "f32"}
"""The engines this server can run, and the arithmetic that each asks of the processor.

An int8 graph says itself which of its operations are quantised; the others run in f32.
"""

_SCHEMA = 1
_MAX_MANIFEST_BYTES = 5_000_000
_NEEDED = (GRAPH_FILE, "model.bin")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A verified model. `version` is the run's id and the start of the manifest's own digest;
    `weights` the float32 ones, which only the torch engine reads and a promoted archive leaves out."""

    graph: Path
    engine: str
    precision: str
    classes: tuple[str, ...]
    transform: Transform
    temperature: float
    version: str
    backbone: str
    weights: Path | None


def read_archive(folder: Path) -> Archive:
    """Read `pedigree.json`, verify every file it names, and return what serving needs.

    Raises ArchiveError: a part is missing, changed, or of another schema or engine.
    """
    text = _read_manifest(folder / MANIFEST_FILE)
    content = _parse(text)
    _verify(folder, content["files"])
    digest = hashlib.sha256(text).hexdigest()[:12]
    return Archive(
        graph=folder / GRAPH_FILE,
        engine=content["engine"],
        precision=PRECISIONS[content["engine"]],
        classes=tuple(content["classes"]),
        transform=_transform(content["transform"]),
        temperature=float(content["temperature"]),
        version=f"{content['run_id'] or 'run'}@{digest}",
        backbone=str(content.get("backbone", "")),
        weights=folder / WEIGHTS_FILE if WEIGHTS_FILE in content["files"] else None,
    )


def _read_manifest(path: Path) -> bytes:
    if not path.is_file():
        raise ArchiveError(
            f"there is no {path}", fix="set SM_MODEL_DIR to an unpacked model of a finished run"
        )
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise ArchiveError(f"{path.name} is over {_MAX_MANIFEST_BYTES} bytes")
    return path.read_bytes()


def _parse(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ArchiveError(f"{MANIFEST_FILE} is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        raise ArchiveError(
            f"{MANIFEST_FILE} is not of schema {_SCHEMA}", fix="serve it with the version it names"
        )
    if content.get("engine") not in PRECISIONS:
        raise ArchiveError(
            f"the model's engine is {content.get('engine')!r}",
            fix=f"this server runs {', '.join(PRECISIONS)}",
        )
    faults = [
        name
        for name, is_good in _RULES.items()
        if name not in content or not is_good(content[name])
    ]
    if faults:
        raise ArchiveError(f"{MANIFEST_FILE} is damaged: {', '.join(faults)}")
    return content


def _are_classes(value: Any) -> bool:
    texts = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return texts and 2 <= len(value) == len(set(value))


def _is_temperature(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _are_files(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(digest, str) for digest in value.values())
        and all(Path(name).name == name and name not in ("", ".", "..") for name in value)
        and all(name in value for name in _NEEDED)
    )


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_RULES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "classes": _are_classes,
    "temperature": _is_temperature,
    "files": _are_files,
    "transform": _is_object,
    "run_id": _is_text,
}


def _transform(content: Mapping[str, Any]) -> Transform:
    try:
        return Transform.from_dict(content)
    except ValueError as error:
        raise ArchiveError(f"{MANIFEST_FILE} is damaged: transform: {error}") from error


def _verify(folder: Path, files: Mapping[str, str]) -> None:
    for name, expected in files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise ArchiveError(f"{name} is missing from the model, or is not a plain file")
        with path.open("rb") as stream:
            digest = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        if digest != expected:
            raise ArchiveError(f"{name} hashes to {digest}, not to {expected}: it was changed")
