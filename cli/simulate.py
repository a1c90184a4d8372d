"""`pedigree simulate`: what serving settings would cost, and how they would feel, before you pay."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.own_rate import own_rate_option
from cli.workspace import DEFAULT_REGION, cloud_option, json_option

if TYPE_CHECKING:
    from simulator import Goal, Market, Question, Recommendation, Settings, Study

WARM_UP_S = 3600.0
_F = TypeVar("_F", bound=Callable[..., Any])
_SETTINGS: tuple[tuple[str, str, Any, str], ...] = (
    ("--instance-type", "instance_type", str, "Of the endpoint."),
    ("--min-instances", "min_instances", int, "Autoscaling's least."),
    ("--max-instances", "max_instances", int, "Autoscaling's most."),
    ("--target", "target_per_minute", float, "Invocations for each instance in a minute."),
    ("--scale-in-cooldown", "scale_in_cooldown_s", float, "Seconds."),
    ("--scale-out-cooldown", "scale_out_cooldown_s", float, "Seconds."),
    ("--routing", "routing", click.Choice(["least_outstanding", "random"]), "To an instance."),
    ("--workers", "workers", int, "Photos an instance works on at a time."),
    ("--queue-limit", "queue_limit", int, "Requests in an instance before it answers 429."),
    ("--reserved", "reserved_concurrency", int, "Calls the function runs at once; 0: no limit."),
    ("--provisioned", "provisioned_concurrency", int, "Environments kept warm."),
    ("--memory-mb", "memory_mb", int, "Of the function."),
    ("--timeout", "timeout_s", float, "Of the function, seconds."),
    ("--endpoint-read-timeout", "endpoint_read_timeout_s", float, "Seconds."),
)
_SERVERLESS: tuple[tuple[str, str, Any, str], ...] = (
    ("--serverless-memory-mb", "memory_mb", int, "A serverless endpoint of this size instead."),
    ("--serverless-concurrency", "max_concurrency", int, "Its most invocations at once."),
    ("--serverless-provisioned", "provisioned_concurrency", int, "Its warm environments."),
)


def settings_options(command: _F) -> _F:
    """One option for each setting; those not given stay as `promote-model` has them."""
    for flag, name, kind, words in reversed(_SETTINGS):
        command = click.option(flag, f"set_{name}", type=kind, help=words)(command)
    for flag, name, kind, words in reversed(_SERVERLESS):
        command = click.option(flag, f"serverless_{name}", type=kind, help=words)(command)
    return command


def question_options(command: _F) -> _F:
    """Traffic, service time, length and assumptions."""
    path = click.Path(path_type=Path)
    for option in reversed(
        (
            click.option("--traffic", help="As little, constant:10/s, daily:mean=20/h,peak=40/h, "
                         "bursts:base=1/min,burst=3/s,for=2min,every=6h; several joined by +."),
            click.option("--trace", help="Recorded: CSV, CloudWatch JSON, captured requests (file, "
                         "folder or s3://), cloudwatch:ENDPOINT."),
            click.option("--service-ms", type=float, help="What one photo takes."),
            click.option("--service-file", type=path, help="Measured milliseconds, one a line."),
            click.option("--archive", type=path, help="Measure this model here, for 20 s at most."),
            click.option("--photo", type=path, help="Measure with this one."),
            click.option("--measured-on", help="Instance type or vCPUs of --service-ms or -file, "
                         "to scale it to other types."),
            click.option("--service-spread", type=float, default=0.2, show_default=True,
                         help="Sigma of its lognormal, for --service-ms."),
            click.option("--hours", type=float, help="To simulate. Default: 24, or the trace."),
            click.option("--seeds", type=click.IntRange(1, 100), default=5, show_default=True),
            click.option("--assume", multiple=True, metavar="NAME=VALUE", help="See the list below "
                         "the result; as instance_start_s=420."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@question_options
@settings_options
@click.option("--live", is_flag=True, help="Start from the settings of what is live.")
@click.option("--app", help="With --live. Default: the one that is released.")
@click.option("--stage", default="prod", show_default=True)
@click.option("--slo", multiple=True, help="A goal, as p99=800ms.")
@click.option("--max-429", "max_429", default="0.1%", show_default=True, help="May be refused.")
@click.option("--max-5xx", "max_5xx", default="0.1%", show_default=True, help="May fail.")
@click.option("--recommend", is_flag=True, help="Search the cheapest settings that meet the goal.")
@click.option("--try-type", multiple=True, help="With --recommend. Default: all with a price.")
@click.option("--region", default=DEFAULT_REGION, show_default=True)
@click.option("--price", multiple=True, metavar="NAME=USD", help="What the price book has not.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="The timeline.")
@click.option("--chart", type=click.Path(path_type=Path), help="A .html or .png file.")
@own_rate_option
@cloud_option
@json_option
def simulate(**given: Any) -> int:
    """Tell what serving settings cost and how they feel, without a cloud.

    Arrivals, the function's limits, the endpoint's queues, autoscaling and the bill are simulated;
    docs/simulator.md says by which rules. Settings that are not given are those of `promote-model`.
    """
    from cli import simulation_output as output
    from simulator.recommend import recommend
    from simulator.study import study

    if given["chart"] is not None:
        output.check_chart(given["chart"])
    question, market, goal = _asked(given)
    quiet = given["as_json"]
    advice: Recommendation | None = None
    with output.steps("simulating", quiet=quiet) as step:
        found = study(
            question, market, seeds=given["seeds"], report=lambda done, _: step(done, "seeds")
        )
        if given["recommend"]:
            advice = recommend(
                question,
                goal,
                market,
                kinds=given["try_type"],
                report=lambda what, done: step(done, what),
            )
    _write(found, advice, given)
    if quiet:
        output.print_result(found, goal, advice)
    else:
        output.show_result(found, goal if given["slo"] or advice else None, advice)
    return 0


def _write(found: Study, advice: Recommendation | None, given: dict[str, Any]) -> None:
    from cli import simulation_output as output

    if given["csv_file"] is not None:
        output.write_csv(given["csv_file"], found)
    if given["chart"] is not None:
        output.write_chart(given["chart"], found, advice)


def _asked(given: dict[str, Any]) -> tuple[Question, Market, Goal]:
    from cli.own_rate import book_with
    from cli.simulation_inputs import read_traffic
    from simulator import Market, Question, parse_goal
    from simulator.traffic import DAY_S, Steps, Trace

    traffic = read_traffic(given["traffic"], given["trace"], given["cloud_name"])
    recorded = given["trace"] is not None
    warm_up_s = 0.0 if recorded else WARM_UP_S
    natural_s = DAY_S
    if recorded and isinstance(traffic, Steps | Trace):
        natural_s = max(60.0, traffic.period_s)
    question = Question(
        settings=_settings(given),
        traffic=traffic,
        service=_service(given),
        assumed=_assumptions(given["assume"]),
        length_s=given["hours"] * 3600 if given["hours"] else natural_s,
        warm_up_s=warm_up_s,
    )
    prices = {name: _number(text, Decimal) for name, text in map(_pair, given["price"])}
    market = Market(book=book_with(given, given["region"]), region=given["region"], prices=prices)
    goal = parse_goal(given["slo"], max_refused=given["max_429"], max_failed=given["max_5xx"])
    return question, market, goal


def _settings(given: dict[str, Any]) -> Settings:
    from dataclasses import replace

    from cli.simulation_inputs import default_settings
    from simulator import Serverless

    base = _live(given) if given["live"] else default_settings()
    changes = {name: given[f"set_{name}"] for _, name, _, _ in _SETTINGS}
    changes = {name: value for name, value in changes.items() if value is not None}
    if changes.get("reserved_concurrency") == 0:
        changes["reserved_concurrency"] = None
    chosen = {name: given[f"serverless_{name}"] for _, name, _, _ in _SERVERLESS}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if chosen:
        changes["serverless"] = Serverless(**chosen)
    return replace(base, **changes)


def _live(given: dict[str, Any]) -> Settings:
    from cli import serving
    from cli.simulation_inputs import settings_of
    from cli.workspace import Workspace

    cloud = Workspace.here().open_cloud(given["cloud_name"], given["region"])
    app = serving.released_app(cloud, given["stage"], given["app"])
    return settings_of(serving.live_settings(cloud, app, given["stage"]))


def _service(given: dict[str, Any]) -> Any:
    from cli.measure_service import measure_archive
    from cli.simulation_inputs import read_service_time
    from experiments.errors import SpecError

    archive = given["archive"]
    if archive is None:
        return read_service_time(
            given["service_ms"],
            given["service_file"],
            given["measured_on"],
            given["service_spread"],
        )
    if given["service_ms"] is not None or given["service_file"] is not None:
        raise SpecError("--archive measures the service time", fix="leave out the given one")
    return measure_archive(archive, given["photo"])


def _assumptions(pairs: tuple[str, ...]) -> Any:
    from experiments.errors import SpecError
    from simulator import Assumptions

    usual = Assumptions()
    changes: dict[str, Any] = {}
    for name, text in map(_pair, pairs):
        if not hasattr(usual, name) or name.startswith("_") or callable(getattr(usual, name)):
            raise SpecError(f"{name!r} is no assumption", fix="see the names in docs/simulator.md")
        kind = type(getattr(usual, name))
        value = _number(text, int if kind in (bool, int) else float)
        if value < 0:
            raise SpecError(f"{name} = {text} is below 0", fix="give 0 or more")
        changes[name] = kind(value)
    return Assumptions(**changes)


def _pair(text: str) -> tuple[str, str]:
    from experiments.errors import SpecError

    name, mark, value = text.partition("=")
    if not mark:
        raise SpecError(f"{text!r} has no value", fix="write NAME=VALUE")
    return name.strip(), value.strip()


def _number(text: str, kind: Callable[[str], Any]) -> Any:
    from experiments.errors import SpecError

    try:
        value = kind(text)
    except (ValueError, ArithmeticError) as error:
        raise SpecError(f"{text!r} is no number", fix="give a number, as 0.00002") from error
    if not 0 <= value < 10**12:
        raise SpecError(f"{text} cannot be", fix="give a number of 0 or more")
    return value
