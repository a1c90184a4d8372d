"""The exported weights in torch, for a machine on which OpenVINO does not run.

Off unless PEDIGREE_ENGINE asks for it, since it is slower and answers in float32 whatever the archive
was measured in. It needs torch, torchvision or timm, and safetensors, which the image leaves out, and an
archive of a run itself: promotion leaves `model.safetensors` out of what it serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from serving.errors import ArchiveError
from serving.models.archive import Archive
from serving.models.engine import Logits, busy_batch
from serving.preprocess import Pixels


class TorchEngine:
    """The backbone and its head in float32; one call at a time."""

    name = "torch-f32"
    streams = 1

    def __init__(self, archive: Archive, *, threads: int, max_batch: int = 0) -> None:
        """Raises ArchiveError: a package or the weights are missing, or do not fit."""
        self.max_batch = max_batch or 1
        self.busy_batch = busy_batch(max_batch, 1)
        try:
            import torch

            torch.set_num_threads(threads)
            self._network = _network(archive)
        except ImportError as error:
            raise ArchiveError(
                f"the torch engine cannot be imported: {error}",
                fix="install torch, torchvision, timm and safetensors, or leave PEDIGREE_ENGINE out",
            ) from error
        side = archive.transform.crop
        self.logits(np.zeros((1, 3, side, side), np.float32))

    def logits(self, pixels: Pixels) -> Logits:
        """The network's answer [N, C] for pixels [N, 3, H, W], before any calibration."""
        import torch

        with torch.inference_mode():
            answer = self._network(torch.from_numpy(np.ascontiguousarray(pixels)))
        return np.array(answer.numpy(), np.float64)


def _network(archive: Archive) -> Any:
    import torch
    from safetensors.torch import load_file

    build = _BACKBONES.get(archive.backbone)
    if build is None or archive.weights is None:
        missing = "model.safetensors" if build else f"a way to build {archive.backbone!r}"
        raise ArchiveError(
            f"the torch engine lacks {missing}", fix="serve a run's own archive, or use OpenVINO"
        )
    tensors = load_file(archive.weights)
    classes, width = tensors["head.weight"].shape
    network = torch.nn.ModuleDict({"backbone": build(), "head": torch.nn.Linear(width, classes)})
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ArchiveError(f"the weights do not fit: {str(error)[:300]}") from error
    network.eval()
    return torch.nn.Sequential(network["backbone"], network["head"])


def _resnet50() -> Any:
    import torch
    from torchvision.models import resnet50

    module = resnet50(weights=None)
    module.fc = torch.nn.Identity()
    return module


def _lite0() -> Any:
    import timm

    return timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)


_BACKBONES: Final[Mapping[str, Callable[[], Any]]] = {
    "resnet50": _resnet50,
    "efficientnet_lite0": _lite0,
}
"""As training builds them; it may not be asked, because the image holds nothing of it."""
