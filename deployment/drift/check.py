"""The check: the live release's test photos against what its endpoint captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from deployment.drift.answers import Seen, read_answers
from deployment.drift.statistics import Comparison, Verdict, class_mix, confidence
from deployment.gates.predictions import Prediction, read_predictions
from deployment.release import Release
from experiments.aws import Cloud
from experiments.captured import captured_lines
from experiments.errors import DataError

_WORST_FIRST = (Verdict.DRIFTED, Verdict.SHIFTED, Verdict.TOO_FEW, Verdict.STABLE)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What was compared and what it says. `alpha` is split over the comparisons (Bonferroni)."""

    release_id: str
    place: str
    since: datetime | None
    answers: int
    unreadable: int
    test_photos: int
    alpha: float
    comparisons: tuple[Comparison, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the comparisons."""
        return min((c.verdict for c in self.comparisons), key=_WORST_FIRST.index)


def capture_place(cloud: Cloud, release: Release) -> str:
    """Where the release's endpoint writes its sample, as `s3://…`. Raises DataError if nowhere."""
    name = release.settings.name
    seen = cloud.ask("sagemaker", "describe_endpoint", EndpointName=name)
    capture = seen.get("DataCaptureConfig", {})
    if capture.get("CaptureStatus") != "Started":
        raise DataError(
            f"endpoint {name} captures nothing",
            fix="promote with a capture share above 0, or name what was captured with --capture",
        )
    return f"{str(capture['DestinationS3Uri']).rstrip('/')}/{name}/"


def check_drift(
    cloud: Cloud, release: Release, *, place: str, since: datetime | None, alpha: float
) -> Drift:
    """Read both samples and compare them. Raises DataError, ReleaseError and CloudError."""
    tested = read_predictions(cloud, release.source_uri)
    if not tested:
        raise DataError(
            f"the run of release {release.release_id} left no predictions of its test photos",
            fix="promote a run that evaluates on a test split",
        )
    return compare(release, tested, captured_lines(cloud, place, since=since), place, since, alpha)


def compare(
    release: Release,
    tested: Sequence[Prediction],
    lines: Sequence[str],
    place: str,
    since: datetime | None,
    alpha: float,
) -> Drift:
    """The comparison itself. Pure. Raises DataError if no line holds an answer."""
    answers = read_answers(lines)
    if not answers.seen:
        raise DataError(
            f"none of the {len(lines)} captured lines at {place} holds a classifier's answer",
            fix="name the capture of an endpoint that Pedigree serves, with answers captured",
        )
    reference = [Seen(label=p.predicted, confidence=p.probability) for p in tested]
    each = alpha / 2
    return Drift(
        release_id=release.release_id,
        place=place,
        since=since,
        answers=len(answers.seen),
        unreadable=answers.unreadable,
        test_photos=len(reference),
        alpha=alpha,
        comparisons=(
            class_mix(reference, answers.seen, alpha=each),
            confidence(reference, answers.seen, alpha=each),
        ),
    )
