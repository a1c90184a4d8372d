"""Which settings meet a goal for the least money: a search over simulations on the same visitors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.errors import SpecError
from simulator.goal import Goal, misses
from simulator.outcome import Outcome
from simulator.run import Question, simulate
from simulator.search_space import endpoints, functions, moves, priced_kinds
from simulator.settings import Settings
from simulator.study import Market, Study, gather

_SEEDS = 3
_CHECKED = 40
_FINALISTS = 4
Report = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Settings with what they cost and do, by one seed unless it was checked by more."""

    settings: Settings
    month_usd: float
    p99_ms: float | None
    refused_share: float
    failed_share: float
    missed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What moving one setting by one step does to the recommended ones."""

    setting: str
    before: str
    after: str
    month_usd: float
    p99_ms: float | None
    refused_share: float
    failed_share: float
    missed: tuple[str, ...]
    words: str


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The cheapest that met the goal in every seed it was checked with, or None.

    `front`: of all tried that keep to the goal's refusals and failures, those that no other beats
    in both price and p99, cheapest first.
    """

    goal: Goal
    asked: Candidate
    best: Candidate | None
    study: Study | None
    front: tuple[Candidate, ...]
    tried: tuple[Candidate, ...]
    sensitivities: tuple[Sensitivity, ...]
    words: tuple[str, ...]


def recommend(
    question: Question,
    goal: Goal,
    market: Market,
    *,
    kinds: Sequence[str] = (),
    report: Report | None = None,
) -> Recommendation:
    """Search instance types, their numbers, the target and the function's concurrency.

    `kinds`: instance types to try beside the asked one; none: all hosting types of the book whose
    vCPUs are known. Every candidate sees the same visitors (seed 1); the cheapest that meet the goal
    are checked with more seeds. Raises PriceError, SpecError.
    """
    search = _Search(question, goal, market, report)
    asked = search.look(question.settings)
    for settings in endpoints(question, kinds or priced_kinds(question, market)):
        search.look(settings)
    for candidate in search.cheapest(_FINALISTS):
        for settings in functions(question, candidate.settings):
            search.look(settings)
    best, found = search.checked()
    front = pareto(
        [
            one
            for one in search.tried.values()
            if one.refused_share <= goal.max_refused and one.failed_share <= goal.max_failed
        ]
    )
    near = tuple(search.sensitivities(best)) if best is not None else ()
    return Recommendation(
        goal=goal,
        asked=asked,
        best=best,
        study=found,
        front=front,
        tried=tuple(sorted(search.tried.values(), key=lambda one: one.month_usd)),
        sensitivities=near,
        words=_words(asked, best, found, len(search.tried)),
    )


def pareto(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those that no other beats in both price and p99, cheapest first."""
    front: list[Candidate] = []
    for one in sorted(candidates, key=lambda c: (c.month_usd, c.p99_ms or 0.0)):
        if one.p99_ms is not None and (not front or one.p99_ms < (front[-1].p99_ms or 0.0)):
            front.append(one)
    return tuple(front)


class _Search:
    def __init__(
        self, question: Question, goal: Goal, market: Market, report: Report | None
    ) -> None:
        self._question, self._goal, self._market = question, goal, market
        self._report = report
        self.tried: dict[Settings, Candidate] = {}

    def look(self, settings: Settings) -> Candidate:
        """What these settings do, by seed 1."""
        if settings not in self.tried:
            question = replace(self._question, settings=settings)
            found = gather(question, self._market, (simulate(question, seed=1),))
            self.tried[settings] = _candidate(found, self._goal)
            if self._report is not None:
                self._report("settings tried", len(self.tried))
        return self.tried[settings]

    def cheapest(self, count: int) -> list[Candidate]:
        """The cheapest that meet the goal; the nearest misses where none does."""
        ranked = sorted(self.tried.values(), key=lambda one: (len(one.missed), one.month_usd))
        return ranked[:count]

    def checked(self) -> tuple[Candidate | None, Study | None]:
        """The cheapest that meets the goal in every seed, among the first _CHECKED."""
        for one in self.cheapest(_CHECKED):
            if one.missed:
                break
            found = self._with_more_seeds(one.settings)
            if found is not None:
                return _candidate(found, self._goal), found
        return None, None

    def _with_more_seeds(self, settings: Settings) -> Study | None:
        """The study of all seeds; None at the first seed that misses the goal."""
        question = replace(self._question, settings=settings)
        outcomes: tuple[Outcome, ...] = ()
        for seed in range(1, _SEEDS + 1):
            outcomes += (simulate(question, seed=seed),)
            if misses(gather(question, self._market, outcomes[-1:]), self._goal):
                return None
        return gather(question, self._market, outcomes)

    def sensitivities(self, best: Candidate) -> Iterator[Sensitivity]:
        """Each setting moved by one step, both ways, on the visitors of seed 1."""
        base = self.look(best.settings)
        for name, after in moves(best.settings):
            change: dict[str, Any] = {name: after}
            try:
                moved = replace(best.settings, **change)
            except SpecError:
                continue
            one = self.look(moved)
            yield Sensitivity(
                setting=name,
                before=f"{getattr(best.settings, name)}",
                after=f"{after}",
                month_usd=one.month_usd,
                p99_ms=one.p99_ms,
                refused_share=one.refused_share,
                failed_share=one.failed_share,
                missed=one.missed,
                words=_sentence(name, base, one, best.settings, after),
            )


def _candidate(found: Study, goal: Goal) -> Candidate:
    p99 = found.bands.get("p99_ms")
    return Candidate(
        settings=found.question.settings,
        month_usd=float(found.month.total_usd),
        p99_ms=p99.mid if p99 else None,
        refused_share=found.bands["refused_share"].mid,
        failed_share=found.bands["failed_share"].mid,
        missed=misses(found, goal),
    )


def _sentence(
    name: str, base: Candidate, one: Candidate, settings: Settings, after: float | int
) -> str:
    money = one.month_usd - base.month_usd
    parts = [f"{'+' if money >= 0 else '-'}${abs(money):.2f} a month"]
    if one.p99_ms is not None and base.p99_ms is not None:
        parts.append(f"p99 {one.p99_ms - base.p99_ms:+.0f} ms")
    parts.append(f"refused {base.refused_share * 100:.2g}% to {one.refused_share * 100:.2g}%")
    end = "; misses the goal" if one.missed else ""
    return f"{name} {getattr(settings, name):g} to {after:g}: {', '.join(parts)}{end}"


def _words(
    asked: Candidate, best: Candidate | None, found: Study | None, tried: int
) -> tuple[str, ...]:
    said = []
    if asked.missed:
        said.append(f"the settings asked about miss the goal: {'; '.join(asked.missed)}")
    else:
        said.append(f"the settings asked about meet the goal at ${asked.month_usd:,.2f} a month")
    if best is None or found is None:
        said.append(
            f"none of {tried} settings met the goal in every seed: allow a longer time or more"
            " refusals, name larger --try-types, or measure the service time again"
        )
        return tuple(said)
    band = found.bands["month_usd"]
    said.append(
        f"the cheapest of {tried} that meets it in {len(found.outcomes)} seeds:"
        f" ${best.month_usd:,.2f} a month (${band.low:,.2f} to ${band.high:,.2f})"
    )
    said += [f"  {change}" for change in changes(asked.settings, best.settings)]
    return tuple(said)


def changes(before: Settings, after: Settings) -> tuple[str, ...]:
    """In words, every setting that differs."""
    names = (
        "instance_type",
        "min_instances",
        "max_instances",
        "target_per_minute",
        "reserved_concurrency",
        "provisioned_concurrency",
    )
    return tuple(
        f"{name}: {getattr(before, name)} -> {getattr(after, name)}"
        for name in names
        if getattr(before, name) != getattr(after, name)
    )
