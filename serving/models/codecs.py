"""The encodings that SageMaker's inference toolkit reads and writes for a script that does not."""

from __future__ import annotations

import io
import json
from typing import Any, Final

import numpy as np

from serving.errors import RequestError

JSON: Final = "application/json"
CSV: Final = "text/csv"
NPY: Final = "application/x-npy"
TEXT_TYPES: Final = (JSON, CSV)
"""Bodies of these types reach `input_fn` as text, all others as bytes."""


def decode(body: str | bytes, content_type: str) -> Any:
    """A NumPy array from JSON, CSV or NPY (never a pickled one).

    Raises RequestError 415 for another type, 400 for a body that is none of its type.
    """
    kind = base_type(content_type)
    try:
        if kind == JSON:
            return np.array(json.loads(body))
        if kind == CSV and isinstance(body, str):
            return np.genfromtxt(io.StringIO(body), delimiter=",")
        if kind == NPY and isinstance(body, bytes):
            return np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, RecursionError, EOFError, OSError) as error:
        raise RequestError(
            400, "bad_body", f"the body is not {kind}: {str(error)[:200]}", "check the body"
        ) from error
    raise RequestError(
        415,
        "unsupported_content_type",
        f"content type {kind[:80]!r} is not read without an input_fn",
        f"send {JSON}, {CSV} or {NPY}",
    )


def encode(prediction: Any, accept: str) -> tuple[bytes, str]:
    """The first of the accepted types that can be written: JSON, CSV or NPY. RequestError 406."""
    for kind in (base_type(part) for part in accept.split(",")):
        if kind in (JSON, "*/*", "application/*", ""):
            return json.dumps(prediction, default=_plain).encode(), JSON
        if kind == CSV:
            out = io.StringIO()
            np.savetxt(out, np.atleast_1d(np.asarray(prediction)), delimiter=",", fmt="%s")
            return out.getvalue().encode(), CSV
        if kind == NPY:
            raw = io.BytesIO()
            np.save(raw, np.asarray(prediction), allow_pickle=False)
            return raw.getvalue(), NPY
    raise RequestError(
        406, "not_acceptable", "the answer cannot have that type", f"accept {JSON}, {CSV} or {NPY}"
    )


def base_type(content_type: str) -> str:
    """A content type in lower case without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def _plain(value: Any) -> Any:
    """What JSON does not know, by its own `tolist` (arrays, tensors) or as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
