"""What became of the questions of a load test, second by second and in all. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from deployment.invoke import Answer
from experiments.errors import CloudError, PedigreeError

_REFUSED = (429, 503)
# Lambda's word, SageMaker's own two, and what API Gateway and a draining server say.
_REFUSED_CODES = (
    "TooManyRequestsException",
    "ThrottlingException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "ModelNotReadyException",
)
_MOST_FAULTS = 5
_FAULT_CHARACTERS = 200


class Outcome(StrEnum):
    """`refused`: told to come back later (429, 503). `failed`: any other answer, or none."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One question: when it was due and when it ended, in seconds from the start.

    `usd` is what the call cost, None where nothing is known; `fault` says what went wrong.
    """

    due_s: float
    ended_s: float
    outcome: Outcome
    usd: Decimal | None = None
    fault: str = ""

    @property
    def ms(self) -> float:
        """From when it was due: a generator that falls behind does not hide the wait."""
        return (self.ended_s - self.due_s) * 1000


@dataclass(frozen=True, kw_only=True)
class Second:
    """One second: what was sent in it, and what came back in it. Latencies are of the answered ones.

    `instances` is how many the endpoint has; None where AWS does not say.
    """

    second: int
    sent: int
    answered: int
    refused: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    instances: int | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The whole test. `usd` is what the calls are known to have cost; `ended`: it ran to its end."""

    ended: bool
    seconds: float
    sent: int
    answered: int
    refused: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    usd: Decimal
    faults: tuple[str, ...]


def outcome(found: Answer | PedigreeError) -> Outcome:
    """What an answer, or the error in place of one, counts as."""
    if isinstance(found, CloudError):
        return Outcome.REFUSED if found.code in _REFUSED_CODES else Outcome.FAILED
    if isinstance(found, PedigreeError):
        return Outcome.FAILED
    if found.status == 200:
        return Outcome.ANSWERED
    return Outcome.REFUSED if found.status in _REFUSED else Outcome.FAILED


def second_of(
    number: int, sent_s: Sequence[float], shots: Sequence[Shot], instances: int | None
) -> Second:
    """The second that begins `number` seconds after the start."""
    ended = [shot for shot in shots if number <= shot.ended_s < number + 1]
    counts = Counter(shot.outcome for shot in ended)
    good = [shot.ms for shot in ended if shot.outcome is Outcome.ANSWERED]
    return Second(
        second=number + 1,
        sent=sum(number <= at < number + 1 for at in sent_s),
        answered=counts[Outcome.ANSWERED],
        refused=counts[Outcome.REFUSED],
        failed=counts[Outcome.FAILED],
        p50_ms=percentile(good, 0.50),
        p99_ms=percentile(good, 0.99),
        instances=instances,
    )


def summary(sent: int, shots: Sequence[Shot], *, seconds: float, ended: bool) -> Summary:
    """All of it. `sent` may be above the number of shots if it was ended in between."""
    counts = Counter(shot.outcome for shot in shots)
    good = [shot.ms for shot in shots if shot.outcome is Outcome.ANSWERED]
    return Summary(
        ended=ended,
        seconds=round(seconds, 1),
        sent=sent,
        answered=counts[Outcome.ANSWERED],
        refused=counts[Outcome.REFUSED],
        failed=counts[Outcome.FAILED],
        p50_ms=percentile(good, 0.50),
        p99_ms=percentile(good, 0.99),
        usd=sum((shot.usd for shot in shots if shot.usd is not None), Decimal(0)),
        faults=_faults(shot.fault for shot in shots if shot.outcome is Outcome.FAILED),
    )


def _faults(said: Iterable[str]) -> tuple[str, ...]:
    """The most frequent ones with how often."""
    counted = Counter(text[:_FAULT_CHARACTERS] for text in said if text)
    return tuple(f"{many} x {text}" for text, many in counted.most_common(_MOST_FAULTS))


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of them do not exceed; None of none."""
    if not values:
        return None
    return round(sorted(values)[max(0, math.ceil(share * len(values)) - 1)], 2)
