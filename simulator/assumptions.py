"""What the simulator takes for granted: each with its value, its reason and its source."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Numbers that AWS does not promise and that were not measured there.

    Spreads are the sigma of a lognormal: 0.35 means that two in three draws lie within a factor of
    1.42 of the median. A seed draws one factor for all start-ups of its run, so that bands over
    seeds show what not knowing the median means, and another for each single start.
    """

    instance_start_s: float = 300.0
    instance_start_spread: float = 0.35
    init_ms: float = 350.0
    init_spread: float = 0.3
    environment_idle_s: float = 600.0
    front_ms: float = 12.0
    alarm_delay_minutes: int = 1
    grows_in_cooldown: bool = True
    serverless_init_ms: float = 12_000.0
    serverless_idle_s: float = 600.0
    answer_timeout_s: float = 55.0
    photo_bytes: int = 150_000
    log_bytes_per_call: int = 1_200
    new_environments: int = 1000
    new_environments_per_s: float = 100.0

    def certain(self) -> Assumptions:
        """The same without any spread."""
        return replace(self, instance_start_spread=0.0, init_spread=0.0)


_WHY: dict[str, str] = {
    "instance_start_s": "median from the decision to add an instance until it answers. AWS says"
    " minutes; nothing was measured there",
    "instance_start_spread": "of the above, between seeds and between starts",
    "init_ms": "median of starting an environment: AWS's own part, and loading the code (50 to 190"
    " ms on a server processor)",
    "init_spread": "of the above",
    "environment_idle_s": "an environment that nobody called for so long is gone; AWS does not say"
    " when (Lambda's users report 5 to 15 minutes)",
    "front_ms": "what the function and InvokeEndpoint add to the model's own time, without the"
    " visitor's network",
    "alarm_delay_minutes": "minutes until CloudWatch's alarm sees a minute's count",
    "grows_in_cooldown": "within the scale-out cooldown a larger step is still taken (AWS: unless a"
    " larger scale out is triggered)",
    "serverless_init_ms": "median of a serverless endpoint's cold start: the container and the model",
    "serverless_idle_s": "a serverless environment that nobody called for so long is gone",
    "answer_timeout_s": "the model server gives up a photo after this (serving/settings.py)",
    "photo_bytes": "of a request and its answer, for SageMaker's data processing price",
    "log_bytes_per_call": "written to CloudWatch Logs by function and endpoint for each call",
    "new_environments": "environments that Lambda adds at once: 1,000 for every 10 seconds",
    "new_environments_per_s": "refilled continuously: 1,000 for every 10 seconds",
}

TAKEN_FOR_GRANTED: tuple[str, ...] = (
    "visitors arrive independently of each other within a minute (Poisson), except in a trace of"
    " single arrivals; nobody tries again after a refusal and nobody leaves early",
    "an instance works on one photo after the other with all its vCPUs (the model server's one"
    " stream); that photos which wait go through the network together is not counted, so throughput"
    " under load is a little better than simulated",
    "one photo's time falls in proportion to the vCPUs, from those where it was measured; other"
    " processors are not corrected for; a serverless endpoint has a vCPU for every 1769 MB",
    "an hour goes by before the time that is counted, so that it is a day of many and not the first;"
    " a trace begins at once",
    "instances are healthy from their start to their end; nobody deploys meanwhile",
    "an instance is paid from the decision to start it; several that were asked for together join"
    " together; while a change is under way no other is made",
    "a photo whose caller gave up is still worked on",
    "the function's memory changes its price, not its time",
    "capacity is there when it is asked for, and the account's other functions leave Lambda's pool",
    "prices are on-demand, without free tier, savings plans or taxes",
)


@dataclass(frozen=True, kw_only=True)
class Stated:
    """One assumption for a table."""

    name: str
    value: str
    why: str


def stated(assumptions: Assumptions) -> tuple[Stated, ...]:
    """Every number taken for granted, with its reason."""
    return tuple(
        Stated(name=field.name, value=f"{getattr(assumptions, field.name)}", why=_WHY[field.name])
        for field in fields(assumptions)
    )
