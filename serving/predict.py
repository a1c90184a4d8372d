"""From the body of a request to its answer, without HTTP: pure but for the engine."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from serving.archive import Archive
from serving.engine import Shares
from serving.preprocess import DEFAULT_LIMITS, ImageError, Limits, Pixels, load

IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/webp")
JSON_TYPE: Final = "application/json"
TOP: Final = 5
_STATUS: Final = {"empty": 400, "too_many_bytes": 413, "unsupported_format": 415}


class RequestError(Exception):
    """A fault of the client's: the HTTP status and what the body says of it."""

    def __init__(self, status: int, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fix = fix


class Runs(Protocol):
    """What turns pixels [N, 3, H, W] into probabilities [N, C]."""

    def shares(self, pixels: Pixels) -> Shares: ...


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """One loaded model. Safe to call from several threads if its engine is."""

    archive: Archive
    engine: Runs
    limits: Limits = DEFAULT_LIMITS
    clock: Callable[[], float] = time.perf_counter

    def answer(self, body: bytes, content_type: str) -> dict[str, Any]:
        """The five likeliest classes of the photo, the model's version and the milliseconds taken.

        Raises RequestError for whatever is wrong with the request.
        """
        started = self.clock()
        try:
            pixels = load(_photo(body, content_type), self.archive.transform, self.limits)
        except ImageError as error:
            status = _STATUS.get(error.code, 422)
            raise RequestError(status, error.code, error.message, error.fix) from error
        decoded = self.clock()
        shares = self.engine.shares(pixels[None])[0]
        done = self.clock()
        ranked = sorted(zip(shares.tolist(), self.archive.classes, strict=True), reverse=True)
        return {
            "predictions": [{"label": name, "probability": p} for p, name in ranked[:TOP]],
            "model_version": self.archive.version,
            "timing_ms": {
                "decode": round((decoded - started) * 1000, 3),
                "model": round((done - decoded) * 1000, 3),
            },
        }


def _photo(body: bytes, content_type: str) -> bytes:
    kind = content_type.partition(";")[0].strip().lower()
    if kind in IMAGE_TYPES:
        return body
    if kind == JSON_TYPE:
        return _photo_in_json(body)
    raise RequestError(
        415,
        "unsupported_content_type",
        f"content type {kind[:80]!r} is not served",
        f"send {', '.join(IMAGE_TYPES)} or {JSON_TYPE}",
    )


def _photo_in_json(body: bytes) -> bytes:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            400, "bad_json", f"the body is not JSON: {str(error)[:200]}", 'send {"image": base64}'
        ) from error
    if isinstance(content, dict) and "url" in content:
        raise RequestError(
            400,
            "url_not_enabled",
            "fetching a photo by URL is not enabled on this server",
            'send the photo itself, or {"image": base64}; fetching will be for the hosts listed in'
            " PEDIGREE_URL_HOSTS, which this version does not read yet",
        )
    if not isinstance(content, dict) or not isinstance(content.get("image"), str):
        raise RequestError(
            400, "no_image", 'the JSON has no text under "image"', 'send {"image": base64}'
        )
    try:
        return base64.b64decode(content["image"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            400, "bad_base64", f"image is not base64: {error}", "encode the photo's bytes as base64"
        ) from error
