"""Golden photos: a few test photos whose answers are known, shipped with the release.

They are tried on the packaged artifact before anything is changed, and through the live path after.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, field

from deployment.gates.gate import Gate
from deployment.gates.predictions import Prediction
from deployment.gates.trial import Asks
from experiments.aws import Cloud, is_code
from experiments.errors import CloudError

COUNT = 5
_MAX_PHOTO_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class LabelledPhoto:
    """A photo and the class that the model has to see in it."""

    path: str
    label: str
    data: bytes = field(repr=False)
    content_type: str = "image/jpeg"


def pick(predictions: Sequence[Prediction], count: int = COUNT) -> tuple[Prediction, ...]:
    """The photos the run was right and surest about, first one of each class. Pure."""
    sure = sorted((p for p in predictions if p.is_right), key=lambda p: (-p.probability, p.path))
    firsts: dict[str, Prediction] = {}
    for prediction in sure:
        firsts.setdefault(prediction.label, prediction)
    chosen = list(firsts.values())
    chosen += [p for p in sure if p not in chosen]
    return tuple(chosen[:count])


def fetch(
    cloud: Cloud, bucket: str, dataset_digest: str, picked: Sequence[Prediction]
) -> tuple[LabelledPhoto, ...]:
    """The picked photos out of the data set in the bucket: those that are there, each once."""
    prefix = f"datasets/{dataset_digest.removeprefix('sha256:')[:16]}"
    found: list[LabelledPhoto] = []
    for prediction in picked if dataset_digest else ():
        data = _object(cloud, bucket, f"{prefix}/{prediction.path}")
        kind = mimetypes.guess_type(prediction.path)[0] or ""
        known = any(photo.data == data for photo in found)
        if data is not None and kind.startswith("image/") and not known:
            found.append(
                LabelledPhoto(
                    path=prediction.path, label=prediction.label, data=data, content_type=kind
                )
            )
    return tuple(found)


def _object(cloud: Cloud, bucket: str, key: str) -> bytes | None:
    try:
        answer = cloud.ask("s3", "get_object", Bucket=bucket, Key=key)
    except CloudError as error:
        if is_code(error, "NoSuchKey", "NoSuchBucket", "404"):
            return None
        raise
    data: bytes = answer["Body"].read(_MAX_PHOTO_BYTES + 1)
    return data if len(data) <= _MAX_PHOTO_BYTES else None


def golden_gate(served: Asks, photos: Sequence[LabelledPhoto]) -> Gate:
    """Every golden photo gets its label from the packaged artifact."""
    if not photos:
        return _without_photos()
    wrong = []
    for photo in photos:
        reply = served.ask(photo.data, photo.content_type)
        said = _first(reply.body) if reply.status == 200 else f"status {reply.status}"
        if said != photo.label:
            wrong.append(f"{photo.path}: {said}, not {photo.label}")
    evidence = {"artifact": f"{len(photos) - len(wrong)} of {len(photos)} photos right"}
    if wrong:
        evidence["wrong"] = "; ".join(wrong)
    return Gate(name="golden photos", passed=not wrong, evidence=evidence)


def _without_photos() -> Gate:
    fault = "the run left no predictions, or its test photos are not in the bucket"
    return Gate(name="golden photos", passed=False, evidence={"fault": fault})


def _first(body: dict[str, object]) -> str:
    found = body.get("predictions")
    best = found[0] if isinstance(found, list) and found else {}
    return str(best.get("label", "")) if isinstance(best, dict) else ""
