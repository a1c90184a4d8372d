"""What is done for a script that does not define all four functions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serving.errors import ArchiveError, RequestError
from serving.inputs.photos import Inline, read_body
from serving.models import codecs
from serving.models.archive import Archive, read_archive
from serving.models.batching import Network
from serving.models.engine import Logits, shares_of
from serving.preprocess import DEFAULT_LIMITS, ImageError, Limits, Pixels, load


class ToolkitDefaults:
    """As in sagemaker-inference and, where the model is one of torch's, its PyTorch sibling."""

    def model_fn(self, model_dir: str) -> Any:
        raise ArchiveError(
            f"{model_dir} has neither pedigree.json nor a script with model_fn",
            fix="define model_fn(model_dir) in code/inference.py",
        )

    def input_fn(self, body: Any, content_type: str) -> Any:
        return codecs.decode(body, content_type)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """model(data); a torch module gets a tensor, without gradients."""
        torch: Any = sys.modules.get("torch")  # there only if the script brought it
        if torch is not None and isinstance(model, torch.nn.Module):
            tensor = data if isinstance(data, torch.Tensor) else torch.as_tensor(data)
            weights = next(iter(model.parameters()), None)
            if weights is not None and not torch.is_tensor(data):
                tensor = tensor.to(weights.dtype)
            with torch.no_grad():
                return model.eval()(tensor)
        if not callable(model):
            raise TypeError(f"a {type(model).__name__} is not callable: define predict_fn")
        return model(data)

    def output_fn(self, prediction: Any, accept: str) -> Any:
        return codecs.encode(prediction, accept)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What our own model_fn gives: the archive and the network that runs it."""

    archive: Archive
    engine: Network

    def __call__(self, pixels: Pixels) -> Logits:
        """Logits [N, C] of pixels [N, 3, H, W]."""
        return self.engine.logits(pixels)


class PedigreeDefaults:
    """Beside a `pedigree.json`: photographs in, this server's own answer out.

    input_fn gives pixels [N, 3, H, W]; predict_fn {"labels", "probabilities" [N, C], "logits" [N, C],
    "model_version"}; output_fn the answer to a batch, {"results": [{"predictions": […]}]}.
    """

    def __init__(
        self,
        model_dir: Path,
        make_engine: Callable[[Archive], Network],
        *,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Reads and verifies the archive. Raises ArchiveError."""
        self._archive = read_archive(model_dir)
        self._make_engine = make_engine
        self._limits = limits

    def model_fn(self, model_dir: str) -> Loaded:
        return Loaded(archive=self._archive, engine=self._make_engine(self._archive))

    def input_fn(self, body: Any, content_type: str) -> Pixels:
        raw = body.encode() if isinstance(body, str) else body
        photos = [s.data for s in read_body(raw, content_type).sources if isinstance(s, Inline)]
        if not photos:
            raise RequestError(
                400,
                "no_image",
                "a model with its own code takes photos inline only",
                'send {"image": base64} or {"images": […]}',
            )
        try:
            return np.stack([load(p, self._archive.transform, self._limits) for p in photos])
        except ImageError as error:
            raise RequestError(422, error.code, error.message, error.fix) from error

    def predict_fn(self, data: Any, model: Any) -> dict[str, Any]:
        logits = model(data)
        return {
            "labels": list(self._archive.classes),
            "probabilities": shares_of(logits, self._archive.temperature).tolist(),
            "logits": logits.tolist(),
            "model_version": self._archive.version,
        }

    def output_fn(self, prediction: Any, accept: str) -> Any:
        if not isinstance(prediction, dict) or "probabilities" not in prediction:
            return codecs.encode(prediction, accept)
        results = [
            {
                "predictions": [
                    {"label": name, "probability": p}
                    for p, name in sorted(
                        zip(row, prediction["labels"], strict=True), reverse=True
                    )[:5]
                ]
            }
            for row in prediction["probabilities"]
        ]
        content = {"results": results, "model_version": prediction["model_version"]}
        return codecs.encode(content, accept)
