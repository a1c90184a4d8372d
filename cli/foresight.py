"""What `promote-model` and `plan` say of serving before it is paid for: the simulator's warning and range."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from deployment.settings import ServingSettings
    from simulator import Market, Question

_F = TypeVar("_F", bound=Callable[..., Any])
_SPREAD = 0.2


def foresight_options(command: _F) -> _F:
    """`--slo`, `--max-429`, `--traffic`, `--service-ms`: what people shall feel, and under what."""
    for option in (
        click.option("--service-ms", type=float, help="With those: what one photo takes."),
        click.option("--max-429", "max_429", default="0.1%", help="With --slo: may be refused."),
        click.option(
            "--traffic", help="Simulate it: little, constant:10/s, ... (docs/simulator.md)"
        ),
        click.option("--slo", multiple=True, help="Warn if not met by simulation, as p99=800ms."),
    ):
        command = option(command)
    return command


def traffic_options(command: _F) -> _F:
    """`--traffic` and `--service-ms`: what serving the model would cost a month."""
    for option in (
        click.option("--service-ms", type=float, help="With --traffic: what one photo takes."),
        click.option(
            "--traffic", help="Add what serving would cost a month, simulated: little, ..."
        ),
    ):
        command = option(command)
    return command


def tell_foresight(settings: ServingSettings, options: dict[str, Any], region: str) -> None:
    """Say on standard error whether the settings meet the goal, and the month's range.

    Nothing without `--slo` or `--traffic`. Raises SpecError, PriceError.
    """
    from simulator import parse_goal, warn

    if not options["slo"] and not options["traffic"]:
        return
    question, market = _asked(settings, options, region)
    goal = parse_goal(options["slo"], max_refused=options["max_429"])
    advice = warn(question, goal, market)
    band = advice.month_usd
    _say(f"simulated under {question.traffic.text}: ${band.low:,.2f} to ${band.high:,.2f} a month")
    for words in advice.warnings:
        _say(f"{click.style('warning:', fg='yellow')} {words}")
    if advice.warnings:
        _say(
            "  `pedigree simulate --recommend` with the same options finds settings that do better"
        )
    elif options["slo"]:
        _say(f"  {', '.join(options['slo'])} is met in every seed")


def tell_monthly_range(traffic: str | None, service_ms: float | None, region: str) -> None:
    """Say on standard error what serving as `promote-model` would cost a month under `traffic`.

    Nothing without any. Raises SpecError, PriceError.
    """
    from deployment.settings import ServingSettings
    from simulator import monthly_range

    if not traffic:
        return
    options = {"traffic": traffic, "service_ms": service_ms}
    question, market = _asked(ServingSettings(app="any"), options, region)
    band = monthly_range(question, market)
    _say(
        f"serving the model under {question.traffic.text}, simulated with promote-model's settings:"
        f" ${band.low:,.2f} to ${band.high:,.2f} a month"
    )


def _asked(
    settings: ServingSettings, options: dict[str, Any], region: str
) -> tuple[Question, Market]:
    from cli.simulation_inputs import read_service_time, read_traffic, settings_of
    from experiments.prices import latest_book
    from simulator import Market, Question

    question = Question(
        settings=settings_of(settings),
        traffic=read_traffic(options["traffic"], None, "local"),
        service=read_service_time(options["service_ms"], None, None, _SPREAD),
    )
    return question, Market(book=latest_book(), region=region)


def _say(text: str) -> None:
    click.echo(text, err=True)
