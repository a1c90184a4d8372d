"""From a predicted duration to an estimate in USD. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from experiments.forecast.predict import Prediction, Predictor, learn
from experiments.forecast.work import Seen, Work, seen
from experiments.ledger.settle import for_seconds
from experiments.prices import PriceBook
from experiments.records import Basis, Estimate, Hosts, RunRecord


def learned(history: Iterable[RunRecord], basis: Basis) -> Predictor | None:
    """A predictor from the runs of `history` whose money is of the kind that `basis` makes.

    Simulated time never predicts AWS, nor the other way. `history` is newest first.
    """
    simulated = basis is Basis.SIMULATED
    known = (
        seen(record)
        for record in history
        if record.cost_basis is not None and (record.cost_basis is Basis.SIMULATED) == simulated
    )
    found: list[Seen] = [run for run in known if run is not None]
    return learn(found, basis)


def usd_for(hosts: Hosts, seconds: float, book: PriceBook) -> Decimal:
    """What so many seconds on each host cost. Raises PriceError."""
    cost = for_seconds(hosts, Decimal(str(round(seconds, 3))), book=book, basis=Basis.ESTIMATED)
    return cost.total_usd


def estimate(
    work: Work,
    hosts: Hosts,
    *,
    limit_s: int,
    predictor: Predictor | None,
    book: PriceBook,
    kept_s: int = 0,
) -> Estimate:
    """What a run may cost: its interval by the runs on record, and what its time limit caps it at.

    `kept_s` is how long its hosts are kept warm afterwards, reckoned at the training price (a published
    bill has both at the same). Raises PriceError if the book has no price for its hosts.
    """
    ceiling = usd_for(hosts, limit_s + kept_s, book)
    if predictor is None:
        why = f"no run on record: at most the maximum run time of {limit_s} s"
        return Estimate(low_usd=Decimal(0), expected_usd=None, high_usd=ceiling, why=why)
    found: Prediction = predictor.predict(work, limit_s=limit_s)
    duration = found.duration
    why = found.why
    if duration.high_s >= limit_s:
        why += f"; may reach the maximum run time of {limit_s} s"
    return Estimate(
        low_usd=usd_for(hosts, duration.low_s + kept_s, book),
        expected_usd=usd_for(hosts, duration.expected_s + kept_s, book),
        high_usd=ceiling,
        why=why,
        likely_high_usd=usd_for(hosts, duration.high_s + kept_s, book),
        duration=duration,
        extrapolates=found.extrapolates,
    )
