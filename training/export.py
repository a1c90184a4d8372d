"""The model folder: what serving reads.

`model.xml` and `model.bin` are the network as an OpenVINO graph, input `image` f32 [N, 3, H, W],
output `logits` [N, C]; `model.safetensors` holds all weights; `pedigree.json`, written last and
whole, names everything with digests. No pickle.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training.backbones import Backbone
from training.config import TrainConfig
from training.files import file_digest as file_digest
from training.files import write_json as write_json
from training.files import write_rows as write_rows
from training.fit.head import Head
from training.graph import add_head, save
from training.manifest import Manifest

SCHEMA: Final = 1
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
    engine: str,
    head: Head,
    metrics: Mapping[str, float],
) -> None:
    """Write `pedigree.json`, whole or not at all; the model is complete when it is there."""
    content = {
        "schema": SCHEMA,
        "backbone": backbone.name,
        "classes": list(manifest.classes),
        "engine": engine,
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
