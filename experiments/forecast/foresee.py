"""One run before it starts: its estimate, and the warnings that go with it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from experiments.forecast.estimate import estimate, learned
from experiments.forecast.needs import missing_prices, need_of, warnings
from experiments.forecast.predict import Predictor
from experiments.forecast.work import Work, work_of
from experiments.prices import PriceBook
from experiments.records import Basis, Estimate, Hosts, RunRecord, RunStatus


def usable(runs: Iterable[RunRecord], basis: Basis) -> tuple[RunRecord, ...]:
    """The runs that may predict what a cloud of this basis makes: simulated never predicts AWS."""
    simulated = basis is Basis.SIMULATED
    return tuple(
        run
        for run in runs
        if run.status is RunStatus.SUCCEEDED and (run.cost_basis is Basis.SIMULATED) == simulated
    )


def predictor_of(history: Sequence[RunRecord]) -> Predictor | None:
    """A predictor from runs of one kind of money. Raises ValueError if simulated and AWS's are mixed."""
    kinds = {run.cost_basis is Basis.SIMULATED for run in history if run.cost_basis is not None}
    if len(kinds) > 1:
        raise ValueError("simulated time never predicts AWS: give runs of one kind")
    return learned(history, Basis.SIMULATED if kinds == {True} else Basis.BILLED)


def foresee(
    hosts: Hosts,
    params: Mapping[str, str],
    *,
    history: Sequence[RunRecord],
    book: PriceBook,
    limit_s: int,
    checkpoints: bool,
    kept_s: int = 0,
) -> tuple[Estimate, tuple[str, ...]]:
    """What the run that `params` describe may cost on `hosts`, and what to know before spending it.

    `history` holds runs of one kind of money, newest first. Raises PriceError without a compute price.
    """
    work = of_hosts(hosts, params)
    found = estimate(
        work, hosts, limit_s=limit_s, predictor=predictor_of(history), book=book, kept_s=kept_s
    )
    need = need_of(work, history)
    said = warnings(work, hosts, found, need, checkpoints=checkpoints, limit_s=limit_s)
    return found, (*said, *missing_prices(hosts, book))


def of_hosts(hosts: Hosts, params: Mapping[str, str]) -> Work:
    """The work that a run's params describe, on these hosts."""
    return work_of(
        params, launcher=hosts.launcher, instance_type=hosts.instance_type, hosts=hosts.count
    )
