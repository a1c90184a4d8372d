"""What `promote-model` and `plan` ask before anything is paid for."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.goal import Goal, misses
from simulator.run import Question
from simulator.study import Band, Market, Study, study

_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class Advice:
    """`warnings` is empty when the goal was met in every seed."""

    study: Study
    warnings: tuple[str, ...]

    @property
    def month_usd(self) -> Band:
        """The month's price over the seeds."""
        return self.study.bands["month_usd"]


def warn(question: Question, goal: Goal, market: Market, *, seeds: int = _SEEDS) -> Advice:
    """Whether these settings can meet the goal under this traffic, with a reason where they can't.

    Takes about 0.1 s a seed for a day of little traffic. Raises PriceError, SpecError.
    """
    found = study(question, market, seeds=seeds)
    return Advice(study=found, warnings=misses(found, goal))


def monthly_range(question: Question, market: Market, *, seeds: int = _SEEDS) -> Band:
    """What a month costs under this traffic: the lowest, the median, the highest over seeds, USD."""
    return study(question, market, seeds=seeds).bands["month_usd"]
