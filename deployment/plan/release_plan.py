"""From what is wanted and what is there to the steps between, with the price before and after. Pure."""

from __future__ import annotations

from dataclasses import replace

from deployment.monthly import (
    Monthly,
    Requests,
    Standing,
    call_cost,
    monthly,
    standing_usd_per_hour,
)
from deployment.plan.endpoint import (
    alarm_steps,
    endpoint_steps,
    file_steps,
    model_steps,
    role_steps,
    scaling_steps,
)
from deployment.plan.function import (
    alias_steps,
    concurrency_steps,
    function_steps,
    target_version,
    url_steps,
)
from deployment.plan.steps import Phase, ReleasePlan, Step
from deployment.release import Release
from deployment.state.desired import Wanted
from deployment.state.seen import Observed
from experiments.contract import check
from experiments.cost import money
from experiments.errors import PriceError
from experiments.prices import PriceBook
from experiments.records import Basis, Call

_ORDER = {phase: place for place, phase in enumerate(Phase)}
ASSUMED_MS = 100
"""What Lambda bills for a call where nothing was measured."""


def plan_release(
    release: Release,
    wanted: Wanted,
    observed: Observed,
    prices: PriceBook,
    *,
    basis: Basis,
    back: bool = False,
    requests: Requests | None = None,
) -> ReleasePlan:
    """Only the missing steps, in the order that keeps what is live alive.

    What no caller can notice comes first, then the endpoint, then the alias, and at the end what is
    not needed any more; models, configurations and versions of earlier releases stay for a
    rollback. `basis` is that of the cloud; `back`: the release was live before. Raises ReleaseError
    for a world that has to be looked at by a person, PriceError for what has no price, unless `back`.
    """
    steps = _missing(wanted, observed, back=back)
    check(_calls(steps))
    figure = Basis.SIMULATED if basis is Basis.SIMULATED else Basis.ESTIMATED
    before, before_notes = _before(wanted, observed, prices, figure, requests)
    return ReleasePlan(
        release_id=release.release_id,
        steps=tuple(steps),
        basis_digest=observed.digest,
        version=target_version(wanted, observed)[0],
        before=before,
        after=monthly(
            replace(standing(wanted, observed), requests=requests),
            region=wanted.foundation.region,
            book=prices,
            basis=figure,
            lenient=back,
        ),
        notes=(*before_notes, *_notes(wanted, observed, prices, basis, back=back)),
    )


def _missing(wanted: Wanted, observed: Observed, *, back: bool) -> list[Step]:
    """What is wanted and not there, phase by phase."""
    steps = [
        *role_steps(wanted, observed),
        *file_steps(wanted, observed),
        *model_steps(wanted, observed),
        *function_steps(wanted, observed),
        *concurrency_steps(wanted, observed),
        *alarm_steps(wanted, observed),
        *endpoint_steps(wanted, observed, back=back),
        *scaling_steps(wanted, observed),
        *alias_steps(wanted, observed),
        *url_steps(wanted, observed),
    ]
    steps.sort(key=lambda step: _ORDER[step.phase])
    return steps


def _calls(steps: list[Step]) -> list[Call]:
    """Every request of the steps, also those that waits ask."""
    asked = [step.wait.call for step in steps if step.wait is not None]
    return [step.call for step in steps if step.call is not None] + asked


def standing(wanted: Wanted, observed: Observed | None = None) -> Standing:
    """What will stand there once the release is live."""
    settings = wanted.settings
    stored = observed.stored_bytes if observed else 0
    model = wanted.release.model
    if observed is None or model.key not in observed.files:
        stored += model.size_bytes
    return Standing(
        instance_type=settings.instance_type,
        min_instances=settings.min_instances,
        max_instances=settings.max_instances,
        provisioned_concurrency=settings.provisioned_concurrency,
        memory_mb=settings.memory_mb,
        stored_bytes=stored,
        alarms=len(wanted.alarms),
        serverless_memory_mb=settings.serverless_memory_mb,
    )


def _before(
    wanted: Wanted,
    seen: Observed,
    prices: PriceBook,
    basis: Basis,
    requests: Requests | None,
) -> tuple[Monthly | None, tuple[str, ...]]:
    """What stands there now costs, or None and why that is not known."""
    if seen.endpoint is None:
        return None, ()
    bounds = seen.scalable_target or {}
    count = max(seen.endpoint.initial_instances, 1)
    now = Standing(
        instance_type=seen.endpoint.instance_type,
        min_instances=bounds.get("MinCapacity", count),
        max_instances=bounds.get("MaxCapacity", count),
        provisioned_concurrency=sum(entry.requested for entry in seen.provisioned),
        memory_mb=seen.function.config.get("MemorySize", 128) if seen.function else 0,
        stored_bytes=seen.stored_bytes,
        alarms=len(seen.alarms),
        requests=requests,
        serverless_memory_mb=seen.endpoint.serverless_memory_mb,
    )
    try:
        return monthly(now, region=wanted.foundation.region, book=prices, basis=basis), ()
    except PriceError as error:
        return None, (f"what it costs now is not known: {error.message}",)


def _notes(
    wanted: Wanted, seen: Observed, prices: PriceBook, basis: Basis, *, back: bool
) -> tuple[str, ...]:
    settings = wanted.settings
    try:
        notes = _price_notes(wanted, seen, prices)
    except PriceError as error:
        if not back:
            raise
        notes = [f"what it costs is not known in full: {error.message}"]
    if settings.min_instances == 1 and not settings.is_serverless:
        notes.append("with one instance, a failure of it is a gap until AWS has replaced it")
    if basis is Basis.BILLED:
        notes.append(
            f"the image {wanted.release.image} has to be in ECR; this command does not push it"
        )
    return tuple(notes)


def _price_notes(wanted: Wanted, seen: Observed, prices: PriceBook) -> list[str]:
    settings, region = wanted.settings, wanted.foundation.region
    each = call_cost(
        ASSUMED_MS,
        memory_mb=settings.memory_mb,
        provisioned=settings.provisioned_concurrency > 0,
        region=region,
        book=prices,
        basis=Basis.ESTIMATED,
    ).total_usd
    hour = standing_usd_per_hour(standing(wanted, seen), region=region, book=prices)
    return [
        f"without a single request it costs {money(hour)} an hour",
        f"1,000 predictions cost {money(1000 * each)} more in Lambda, at {ASSUMED_MS} ms each",
    ]
