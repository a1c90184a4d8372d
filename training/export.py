"""The model folder: what serving reads.

`model.xml` and `model.bin` are the network as an OpenVINO graph, input `image` f32 [N, 3, H, W],
output `logits` [N, C]; `model.safetensors` holds all weights; `pedigree.json`, written last and
whole, names everything with digests. No pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from training.backbones import Backbone
from training.config import TrainConfig
from training.fit.head import Head
from training.graph import add_head, save
from training.manifest import Manifest

SCHEMA: Final = 1
ENGINE: Final = "openvino-f32"
GRAPH_FILE: Final = "model.xml"
FILES: Final = (GRAPH_FILE, "model.bin", "model.safetensors")
MANIFEST_FILE: Final = "pedigree.json"


def write_model(folder: Path, *, graph: Any, backbone: Backbone, head: Head) -> Path:
    """Write the network's files; returns the graph's path. `graph` is the backbone's."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save(add_head(graph, head.weight, head.bias), folder / GRAPH_FILE)
    tensors = {f"backbone.{name}": t for name, t in backbone.module.state_dict().items()}
    tensors["head.weight"] = torch.from_numpy(head.weight)
    tensors["head.bias"] = torch.from_numpy(head.bias)
    save_file(tensors, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes for the owner only
    return folder / GRAPH_FILE


def write_manifest(
    folder: Path,
    *,
    config: TrainConfig,
    manifest: Manifest,
    backbone: Backbone,
    head: Head,
    metrics: Mapping[str, float],
) -> None:
    """Write `pedigree.json`, whole or not at all; the model is complete when it is there."""
    content = {
        "schema": SCHEMA,
        "backbone": backbone.name,
        "classes": list(manifest.classes),
        "engine": ENGINE,
        "transform": backbone.transform.to_dict(),
        "run_id": config.run_id,
        "dataset_digest": manifest.digest,
        "code_digest": config.code_digest,
        "weights_digest": backbone.weights_digest,
        "metrics": dict(metrics),
        "temperature": head.temperature,
        "files": {name: file_digest(folder / name) for name in FILES},
    }
    write_json(folder / MANIFEST_FILE, content)


def file_digest(path: Path) -> str:
    """`sha256:…` of a file's bytes."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def write_json(path: Path, content: object) -> None:
    """Write JSON by way of a temporary file, fsynced and renamed."""
    _write_whole(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, whole or not at all."""
    _write_whole(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
