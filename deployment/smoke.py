"""Try a function version with a photo whose answer is known, before and after it goes live."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from deployment.clock import Clock
from deployment.invoke import Answer, invoke
from deployment.release import Release
from deployment.state.desired import Wanted
from experiments.aws import Cloud, is_code
from experiments.errors import CloudError, ReleaseError
from experiments.following.output import read_object
from experiments.prices import PriceBook

_TRIES = 5
_PAUSE_S = 2.0
# What a system that has just changed may answer for a moment; anything else is its last word.
_PASSING = (429, 502, 503, 504)


class SmokeError(ReleaseError):
    """The version does not answer as it should."""


@dataclass(frozen=True, kw_only=True)
class GoldenPhoto:
    """A photo to try a release with. With `label`, that has to be the first prediction."""

    image: bytes
    content_type: str = "image/jpeg"
    label: str | None = None


def golden_photos(cloud: Cloud, wanted: Wanted) -> tuple[GoldenPhoto, ...]:
    """The release's own photos: from the plan where it holds them, else out of the bucket."""
    at_hand = {file.stored.key: file.data for file in wanted.files}
    found = []
    for photo in wanted.release.golden:
        data = at_hand.get(photo.stored.key)
        if data is None:
            data = read_object(cloud, f"s3://{wanted.foundation.bucket}/{photo.stored.key}")
        if data is None:  # lost since; the others still say whether it is the model
            continue
        found.append(GoldenPhoto(image=data, content_type=photo.content_type, label=photo.label))
    return tuple(found)


def prove(
    cloud: Cloud,
    release: Release,
    golden: GoldenPhoto,
    *,
    qualifier: str,
    version: str,
    book: PriceBook,
    clock: Clock,
    heartbeat: Callable[[], None] = lambda: None,
) -> Answer:
    """Ask `qualifier` until `version` answers with the release's model and the answer is right.

    A passing error, and an answer of what was there before (an alias or an endpoint that has not
    changed everywhere yet), is asked again a few times; a wrong prediction is not. Raises SmokeError,
    or CloudError if the cloud itself cannot be reached.
    """
    fault = ""
    for attempt in range(_TRIES):
        if attempt:
            clock.sleep(_PAUSE_S)
        heartbeat()
        try:
            answer = _ask(cloud, release, golden, qualifier=qualifier, book=book, clock=clock)
        except CloudError as error:
            if is_code(error, "Unreachable"):
                raise
            fault = error.message
            continue
        fault = _passing_fault(answer, release, version)
        if not fault:
            fault = _fault(answer, golden)
            if not fault:
                return answer
            break
    raise SmokeError(
        f"the golden photo through {release.settings.name}:{qualifier} failed: {fault}",
        fix="see the logs of the function and the endpoint; promote another run",
    )


def _ask(
    cloud: Cloud,
    release: Release,
    golden: GoldenPhoto,
    *,
    qualifier: str,
    book: PriceBook,
    clock: Clock,
) -> Answer:
    return invoke(
        cloud,
        release.settings,
        golden.image,
        golden.content_type,
        book=book,
        qualifier=qualifier,
        clock=clock.monotonic,
    )


def _passing_fault(answer: Answer, release: Release, version: str) -> str:
    """What may pass by itself; empty if the answer is a settled one of this release."""
    if answer.function_version not in ("", version):
        return f"version {answer.function_version} answered instead of {version}"
    if answer.status in _PASSING:
        return f"status {answer.status}: {answer.error}"
    # The model server answers `<run id>@<digest>`.
    if answer.model_version and not answer.model_version.startswith(release.run_id):
        return f"model {answer.model_version} answered instead of one of run {release.run_id}"
    return ""


def _fault(answer: Answer, golden: GoldenPhoto) -> str:
    """What is wrong with a settled answer; empty if nothing is."""
    if answer.status != 200:
        return f"status {answer.status}: {answer.error}"
    if not answer.predictions:
        return "there are no predictions in the answer"
    shares = [p.probability for p in answer.predictions]
    if not all(math.isfinite(share) and 0 <= share <= 1 for share in shares):
        return f"the probabilities are {shares}"
    if golden.label is not None and answer.predictions[0].label != golden.label:
        return f"it says {answer.predictions[0].label!r} and should say {golden.label!r}"
    return ""
