"""What `promote-model` can be told: the rule of the choice, the gates, how it is served, how it takes over.

Each group of options is read into one value of deployment; what is left out is its default there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from deployment.choose import Rule
    from deployment.gates.checklist import Demands
    from deployment.rollout import Rollout
    from deployment.settings import ServingSettings

_F = TypeVar("_F", bound=Callable[..., Any])
_MONEY = Decimal

_CHOICE = (
    click.option("--metric", help="The largest is the best.  [default: test/top1]"),
    click.option("--min-metric", type=float, help="Refuse runs whose metric is below this."),
    click.option("--min-top5", type=float, help="Refuse runs whose test/top5 is below this."),
    click.option("--max-cost-usd", type=_MONEY, help="Refuse runs that cost more than this."),
)
_GATES = (
    click.option(
        "--significance",
        "mode",
        type=click.Choice(["not-worse", "better", "off"]),
        help="What the model has to be shown to be against the live one, on the test photos that"
        " both runs logged.  [default: not-worse]",
    ),
    click.option(
        "--margin", type=float, help="Not worse by this share of the photos.  [default: 0.05]"
    ),
    click.option(
        "--alpha", type=float, help="The largest share of false promotions.  [default: 0.05]"
    ),
    click.option(
        "--max-p99-ms",
        type=float,
        help="Of the packaged model, on as many processors as the instance type has."
        "  [default: 1000]",
    ),
    click.option(
        "--requests-per-day",
        type=click.IntRange(1),
        help="Your traffic, for the price of a month and of 1,000 predictions.  [default: 1000]",
    ),
    click.option("--max-month-usd", type=_MONEY, help="Refuse to cost more a month at that."),
    click.option("--max-per-1000-usd", type=_MONEY, help="Refuse to cost more per 1,000."),
    click.option(
        "--override", metavar="REASON", help="Go live past a shut gate; kept on the release."
    ),
)
_SERVING = (
    click.option(
        "--endpoint-kind",
        type=click.Choice(["real-time", "serverless"]),
        help="real-time: instances, paid by the hour. serverless: paid by the request, cold after a"
        " pause, no canary. The price gate says what the other kind would cost.  [default: real-time]",
    ),
    click.option("--instance-type", help="Of the endpoint.  [default: ml.m5.large]"),
    click.option(
        "--min-instances",
        type=click.IntRange(1),
        help="Paid by the hour whether asked or not; a canary needs 2.  [default: 1]",
    ),
    click.option("--max-instances", type=click.IntRange(1), help="[default: 3]"),
    click.option(
        "--target-invocations",
        "target_invocations_per_instance",
        type=click.IntRange(1),
        help="Per instance and minute, not at once: 25 is 0.42 a second.  [default: 25]",
    ),
    click.option(
        "--scale-in-cooldown-s",
        type=click.IntRange(0),
        help="After instances were removed, the wait before more may be.  [default: 300]",
    ),
    click.option(
        "--scale-out-cooldown-s",
        type=click.IntRange(0),
        help="After instances were added, the wait before more may be.  [default: 30]",
    ),
    click.option(
        "--reserved-concurrency",
        type=click.IntRange(1),
        help="The most calls at once; more get 429. Costs nothing, and is taken out of the"
        " account's pool.  [default: 5]",
    ),
    click.option(
        "--provisioned-concurrency",
        type=click.IntRange(0),
        help="Of those, environments kept warm; paid by the second whether asked or not."
        "  [default: 3]",
    ),
    click.option("--memory-mb", type=int, help="Of the function.  [default: 256]"),
    click.option(
        "--capture-percent",
        type=click.IntRange(0, 100),
        help="Keep this share of questions and answers in the bucket.  [default: 0]",
    ),
    click.option(
        "--function-url",
        is_flag=True,
        default=None,
        help="Give the function an HTTPS address that answers signed requests (AWS_IAM).",
    ),
    click.option(
        "--allowed-origin",
        "allowed_origins",
        multiple=True,
        metavar="ORIGIN",
        help="Pages of this origin may call it from a browser: https://dogs.example. Repeatable.",
    ),
    click.option(
        "--serverless-memory-mb",
        type=int,
        help="Of a serverless endpoint, and makes it one.  [default: 2048]",
    ),
    click.option("--serverless-concurrency", type=int, help="Its most requests at once."),
)
_ROLLOUT = (
    click.option(
        "--canary-percent",
        type=int,
        help="The share of the instances that takes the new model first.  [default: 10]",
    ),
    click.option(
        "--bake-s",
        type=int,
        help="How long the alarms watch the canary, and then all of it.  [default: 300]",
    ),
    click.option(
        "--max-error-share",
        type=float,
        help="5xx answers of a minute that bring the old model back.  [default: 0.05]",
    ),
    click.option(
        "--max-model-ms",
        type=int,
        help="p99 of a minute that brings the old model back.  [default: 2000]",
    ),
    click.option(
        "--alarm", "alarms", multiple=True, help="A CloudWatch alarm of your own that does too."
    ),
)


def promote_options(command: _F) -> _F:
    """All of them, in this order in the help."""
    for option in reversed((*_CHOICE, *_GATES, *_SERVING, *_ROLLOUT)):
        command = option(command)
    return command


def _given(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) not in (None, ())}


def rule(options: Mapping[str, Any]) -> Rule:
    """The rule of the choice. Raises ReleaseError for a metric of which less is better."""
    from deployment.choose import Rule

    least = {"test/top5": options["min_top5"]} if options["min_top5"] is not None else {}
    return Rule(minimums=least, **_given(options, "metric", "min_metric", "max_cost_usd"))


def demands(options: Mapping[str, Any]) -> Demands:
    """What the gates ask for. Raises SpecError."""
    from deployment.gates.checklist import Demands
    from deployment.gates.price import Traffic
    from deployment.gates.significance import Mode, Question

    question = _given(options, "alpha", "margin")
    if options["mode"]:
        question["mode"] = Mode(options["mode"])
    limits = ("max_p99_ms", "max_month_usd", "max_per_1000_usd", "override")
    return Demands(
        question=Question(**question),
        traffic=Traffic(**_given(options, "requests_per_day")),
        **_given(options, *limits),
    )


def settings(options: Mapping[str, Any], *, app: str, stage: str) -> ServingSettings:
    """How the model is served. Raises SpecError."""
    from deployment.settings import SERVERLESS_MB, ServingSettings
    from experiments.errors import SpecError

    kind, memory_mb = options.get("endpoint_kind"), options.get("serverless_memory_mb")
    if kind == "real-time" and memory_mb:
        raise SpecError(
            "a real-time endpoint has no --serverless-memory-mb",
            fix="leave one of the two out",
        )
    if kind == "serverless":
        options = {**options, "serverless_memory_mb": memory_mb or SERVERLESS_MB}

    names = (
        "instance_type",
        "min_instances",
        "max_instances",
        "target_invocations_per_instance",
        "scale_in_cooldown_s",
        "scale_out_cooldown_s",
        "reserved_concurrency",
        "provisioned_concurrency",
        "memory_mb",
        "capture_percent",
        "function_url",
        "allowed_origins",
        "serverless_memory_mb",
        "serverless_concurrency",
    )
    return ServingSettings(app=app, stage=stage, **_given(options, *names))


def rollout(options: Mapping[str, Any]) -> Rollout:
    """How the new model takes over. Raises SpecError."""
    from deployment.rollout import Rollout

    names = ("canary_percent", "bake_s", "max_error_share", "max_model_ms", "alarms")
    return Rollout(**_given(options, *names))
