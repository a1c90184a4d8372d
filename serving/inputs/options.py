"""What a client may ask for besides the prediction: how many classes, which answer, until when.

The query reaches a server that is called directly; SageMaker passes on only Content-Type, Accept and
X-Amzn-SageMaker-Custom-Attributes, so everything can be said there too: `top_k=3,output=logits`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from serving.errors import RequestError

ATTRIBUTES: Final = "x-amzn-sagemaker-custom-attributes"
DEADLINE: Final = "x-pedigree-deadline-ms"
TIMEOUT: Final = "x-pedigree-timeout-ms"
OUTPUTS: Final = ("predictions", "logits")
LOGITS_TYPE: Final = "application/vnd.pedigree.logits+json"
DEFAULT_TOP_K: Final = 5
_MAX_TOP_K = 10_000
_MAX_TEXT = 1024
_MAX_DIGITS = 15


@dataclass(frozen=True, kw_only=True)
class Options:
    """`output` is one of OUTPUTS."""

    top_k: int = DEFAULT_TOP_K
    output: str = OUTPUTS[0]


def read_options(
    query: str, attributes: Mapping[str, str], accept: str, body: Mapping[str, object]
) -> Options:
    """The body's own word counts most, then the attributes, the query, and Accept.

    Raises RequestError `bad_option`.
    """
    asked: dict[str, object] = {}
    if LOGITS_TYPE in accept:
        asked["output"] = "logits"
    with contextlib.suppress(ValueError):  # too many fields, or no text: nothing that we know
        asked |= dict(parse_qsl(query[:_MAX_TEXT], max_num_fields=20))
    asked |= attributes
    asked |= {name: body[name] for name in ("top_k", "output") if name in body}
    output = asked.get("output", OUTPUTS[0])
    if output not in OUTPUTS:
        raise _bad("output", " or ".join(OUTPUTS))
    return Options(top_k=_count(asked.get("top_k", DEFAULT_TOP_K)), output=str(output))


def read_attributes(text: str) -> dict[str, str]:
    """`a=1,b=2` (or with `;`) as a mapping; what is not of this form is somebody else's and skipped."""
    pairs = (part.partition("=") for part in text[:_MAX_TEXT].replace(";", ",").split(","))
    return {name.strip().lower(): value.strip() for name, sign, value in pairs if sign}


def allowed_s(headers: Mapping[str, str], attributes: Mapping[str, str], now: float) -> float:
    """Seconds until the client no longer wants the answer, infinite if it did not say; may be < 0.

    X-Pedigree-Deadline-Ms (`deadline-ms`) is a time in milliseconds since 1970, for which both
    clocks must agree; X-Pedigree-Timeout-Ms (`timeout-ms`) counts from the arrival. The earlier
    counts. `now` in seconds since 1970. Raises RequestError `bad_option`.
    """
    left = math.inf
    for name, start in ((DEADLINE, now), (TIMEOUT, 0.0)):
        short = name.removeprefix("x-pedigree-")
        text = headers.get(name) or attributes.get(short) or ""
        if not text:
            continue
        if not text.isascii() or not text.isdecimal() or len(text) > _MAX_DIGITS:
            raise _bad(name, "a whole number of milliseconds")
        left = min(left, int(text) / 1000 - start)
    return left


def accepts_json(accept: str) -> bool:
    """Whether a client with this Accept header can take application/json."""
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")} - {""}
    return not kinds or bool(kinds & {"*/*", "application/*", "application/json", LOGITS_TYPE})


def _count(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 6:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_TOP_K:
        raise _bad("top_k", f"a whole number from 1 to {_MAX_TOP_K}")
    return value


def _bad(name: str, wanted: str) -> RequestError:
    return RequestError(400, "bad_option", f"{name} cannot be used", f"give {wanted}")
