"""An int8 graph: NNCF's post-training quantization, calibrated on training photos.

Weights take 7 of their 8 bits (NNCF's overflow fix): on processors without VNNI the sum of two
products of 8 bits saturates at 16, and the answers there would differ silently. Depthwise weights
keep all 8, because their products are not summed in such pairs.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from training.engines.engine import EngineError
from training.files import sync_folder, write_json
from training.graph import Floats, save

CALIBRATION_PHOTOS: Final = 128
_NEEDED: Final = ("nncf", "scipy", "psutil", "networkx", "tabulate", "rich")
SEAL: Final = "digest.json"
_FILES: Final = ("model.xml", "model.bin")


@dataclass(frozen=True, kw_only=True)
class Int8Graph:
    """A quantised graph; `lineage` names what it follows from beside the weights, and its bytes."""

    graph: Any
    lineage: str


def can_quantize() -> bool:
    """Is NNCF installed, with what it imports?"""
    return all(find_spec(name) for name in _NEEDED)


def quantized(graph: Any, pictures: Sequence[Floats]) -> Any:
    """A new graph in int8 of a float32 one, calibrated on pictures [3, H, W]. Raises EngineError."""
    if not can_quantize():
        raise EngineError(
            "engine is int8 and NNCF is not installed, or not with all that it imports",
            fix=f"install {', '.join(_NEEDED)}, or use bf16 or f32",
        )
    with _quiet():
        import nncf
        from nncf.quantization.advanced_parameters import (
            AdvancedQuantizationParameters,
            OverflowFix,
        )

        return nncf.quantize(
            graph,
            nncf.Dataset([picture[None] for picture in pictures]),
            subset_size=len(pictures),
            preset=nncf.QuantizationPreset.MIXED,
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )


@contextlib.contextmanager
def _quiet() -> Any:
    """NNCF writes progress bars to standard output, which carries events, and warns of its own.

    NNCF_CI also keeps it from telling its makers of the run.
    """
    os.environ.setdefault("NNCF_CI", "1")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def quantization_digest(photo_digests: Sequence[str]) -> str:
    """What an int8 graph follows from, beside the weights: method, versions, calibration photos."""
    parts = [f"{name}={version(name)}" for name in ("nncf", "openvino")]
    text = json.dumps(["mixed", "overflow-fix", *parts, *photo_digests])
    return hashlib.sha256(text.encode()).hexdigest()


def save_graph(graph: Any, folder: Path) -> None:
    """Keep a graph so that `load_graph` can tell whether it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SEAL).unlink(missing_ok=True)
    save(graph, folder / "model.xml")
    _seal(folder)


def _seal(folder: Path) -> None:
    write_json(folder / SEAL, _digests(folder))
    sync_folder(folder)


def load_graph(folder: Path) -> Any | None:
    """The graph that `save_graph` kept; None if there is none or it is damaged."""
    import openvino as ov

    try:
        expected = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        if expected != _digests(folder):
            return None
    except (OSError, ValueError):
        return None
    return ov.Core().read_model(folder / "model.xml")


def _digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _FILES}


def graph_files(folder: Path) -> list[bytes]:
    """The files of a kept graph, to be sent to another host."""
    return [(folder / name).read_bytes() for name in _FILES]


def put_graph(folder: Path, files: Sequence[bytes]) -> None:
    """Keep a graph that came from another host by `graph_files`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in zip(_FILES, files, strict=True):
        (folder / name).write_bytes(data)
    _seal(folder)
