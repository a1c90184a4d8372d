"""The backbone's pretrained weights: found, verified and read as plain tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from training.errors import WeightsError

if TYPE_CHECKING:
    import torch

SUFFIXES: Final = (".pth", ".safetensors")


def find_weights(place: Path) -> Path:
    """The weights file: `place` itself, or the only one in it. Raises WeightsError."""
    if place.is_file() and place.suffix in SUFFIXES:
        return place
    found = sorted(p for p in place.glob("*") if p.suffix in SUFFIXES) if place.is_dir() else []
    if len(found) == 1:
        return found[0]
    problem = (
        f"{place} holds {len(found)} weights files"
        if place.is_dir()
        else f"{place} is no {' or '.join(SUFFIXES)} file"
    )
    raise WeightsError(
        problem,
        fix="give --weights one checkpoint of the backbone (on SageMaker: the channel `weights`)",
    )


def verify_weights(path: Path, expected: str) -> str:
    """The file's digest (`sha256:…`). Raises WeightsError if `expected` is given and another."""
    with path.open("rb") as stream:
        digest = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    if expected and digest != expected:
        raise WeightsError(
            f"the weights {path.name} hash to {digest}, not to {expected}",
            fix="fetch the file again; if it is the right one, correct weights_digest",
        )
    return digest


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name. A .pth file is read with torch's restricted loader: tensors only."""
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the loaders raise many kinds on a damaged file
        raise WeightsError(
            f"the weights {path.name} cannot be read: {type(error).__name__}: {str(error)[:300]}",
            fix="give a state_dict saved by torch.save, or a .safetensors file",
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise WeightsError(
            f"the weights {path.name} are not a plain state_dict", fix="save model.state_dict()"
        )
    return content


def fill(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], *, of: str) -> None:
    """Load the tensors into the module; every name and shape must agree. Raises WeightsError."""
    wanted = module.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    surplus = sorted(tensors.keys() - wanted.keys())
    shapes = [
        f"{name} is {list(tensors[name].shape)}, not {list(wanted[name].shape)}"
        for name in wanted.keys() & tensors.keys()
        if tensors[name].shape != wanted[name].shape
    ]
    if missing or surplus or shapes:
        faults = [f"{name} is missing" for name in missing] + [
            f"{name} is extra" for name in surplus
        ]
        shown = "; ".join(sorted(shapes)[:3] + faults[:3])
        raise WeightsError(
            f"the weights are not those of {of}: {shown}",
            fix=f"give a checkpoint of {of}, or set backbone to the network they belong to",
        )
    module.load_state_dict(dict(tensors))
