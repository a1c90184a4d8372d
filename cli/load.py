"""`pedigree load`: a short load test of what is live, with its price before and its course as it goes."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.workspace import Workspace, cloud_option, json_option

if TYPE_CHECKING:
    from deployment.invoke import Answer
    from deployment.load.plan import LoadPlan
    from deployment.load.tally import Second, Summary
    from deployment.settings import ServingSettings
    from experiments.aws import Boto3Cloud

_INTERRUPTED = 130
_MOST_PHOTOS = 200
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.option(
    "--rate", type=float, default=5.0, show_default=True, help="Questions a second, at most 50."
)
@click.option(
    "--seconds", type=int, default=30, show_default=True, help="For how long, at most 120."
)
@click.option(
    "--way",
    type=click.Choice(["lambda", "endpoint"]),
    default="lambda",
    show_default=True,
    help="Through the function, or straight to the endpoint.",
)
@click.option("--app", help="Default: the one that is released.")
@click.option("--stage", default="prod", show_default=True)
@click.option(
    "--log", type=click.Path(path_type=Path), help="Write one line of JSON a second into this file."
)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", is_flag=True, help="Do not ask on AWS.")
@cloud_option
@json_option
def load(
    photos: Path,
    rate: float,
    seconds: int,
    way: str,
    app: str | None,
    stage: str,
    log: Path | None,
    dry_run: bool,
    yes: bool,
    cloud_name: str,
    as_json: bool,
) -> int:
    """Ask the live model about PHOTOS (a photo, or a folder of them in turn) at a steady rate.

    Questions go out when they are due, whatever becomes of those before. Ctrl-C ends it with the
    summary so far.
    """
    from cli import serving, show
    from deployment.invoke import Way
    from deployment.load.plan import Load

    wanted = Load(rate_per_s=rate, seconds=seconds, way=Way(way))
    found = [_read(path) for path in _paths(photos)]
    space = Workspace.here()
    cloud = _open(space, cloud_name)
    settings = serving.live_settings(cloud, serving.released_app(cloud, stage, app), stage)
    plan = _plan(wanted, settings, tuple(len(data) for data, _ in found), cloud)
    if as_json and cloud_name == "aws" and not (yes or dry_run):
        raise click.UsageError("--json asks nothing: give --yes or --dry-run with it")
    if dry_run and as_json:
        show.print_json(plan)
    if not as_json:
        _show_plan(plan)
    if dry_run:
        return 0
    if cloud_name == "aws" and not yes:
        click.confirm("Send this to AWS?", abort=True)
    with _only_one(space), _log(log) as write:
        done = _driven(plan, settings, cloud, found, write, quiet=as_json)
    _tell(done, plan, as_json=as_json)
    return 0 if done.ended else _INTERRUPTED


def _paths(photos: Path) -> list[Path]:
    """The photo, or the first 200 of a folder and what is below it."""
    from experiments.errors import DataError

    if not photos.is_dir():
        return [photos]
    there = sorted(p for p in photos.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    if not there:
        raise DataError(
            f"there is no photo in {photos}", fix="name a folder with JPEG, PNG or WebP"
        )
    step = max(1, -(-len(there) // _MOST_PHOTOS))
    return there[::step]


def _read(path: Path) -> tuple[bytes, str]:
    """A photo and its content type. Raises DataError for one that cannot be sent."""
    from cli import serving
    from deployment.invoke import refuse_size

    data, kind = serving.read_photo(path)
    refuse_size(data)
    return data, kind


def _open(space: Workspace, cloud_name: str) -> Boto3Cloud:
    """The cloud, asked once for each question: a refusal counts and is not tried again."""
    from deployment.load.drive import MOST_AT_ONCE
    from experiments.aws import Boto3Cloud

    address = space.open_cloud(cloud_name).address
    return Boto3Cloud(address, attempts=1, connections=MOST_AT_ONCE)


def _plan(
    wanted: Any, settings: ServingSettings, sizes: tuple[int, ...], cloud: Boto3Cloud
) -> LoadPlan:
    from deployment.load.plan import plan_load
    from experiments.prices import latest_book

    return plan_load(
        wanted,
        settings,
        photo_bytes=sizes,
        region=cloud.region,
        book=latest_book(),
        basis=cloud.basis,
    )


def _driven(
    plan: LoadPlan,
    settings: ServingSettings,
    cloud: Boto3Cloud,
    photos: list[tuple[bytes, str]],
    write: Callable[[dict[str, Any]], None],
    *,
    quiet: bool,
) -> Summary:
    import time

    from deployment.invoke import Way, invoke
    from deployment.load.drive import Drive, Timer
    from deployment.state.instances import count_instances
    from deployment.straight import ask_endpoint
    from experiments.prices import latest_book

    book = latest_book()
    call = invoke if plan.load.way is Way.LAMBDA else ask_endpoint

    def ask(number: int) -> Answer:
        data, kind = photos[number % len(photos)]
        return call(cloud, settings, data, kind, book=book)

    def each(second: Second) -> None:
        write(asdict(second))
        if not quiet:
            _say_second(second)

    timer = Timer(monotonic=time.monotonic, sleep=time.sleep)
    for service in ("lambda", "sagemaker-runtime", "sagemaker"):
        cloud.client(service)  # made before the clock starts: it takes longer than a call
    # A shell that started this in the background has Ctrl-C ignored; here it always ends the test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    done = Drive(plan.load, ask, lambda: count_instances(cloud, settings), timer).run(each)
    write({"summary": {**asdict(done), "usd": str(done.usd)}})
    return done


@contextmanager
def _only_one(space: Workspace) -> Iterator[None]:
    """Two tests at once would measure each other."""
    from filelock import FileLock, Timeout

    from experiments.errors import BusyError

    space.state.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(space.state / "load.lock", timeout=0):
            yield
    except Timeout:
        raise BusyError("another load test runs here", fix="wait for it, or stop it") from None


@contextmanager
def _log(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Writes a line of JSON and hands it to the system at once, for whoever reads along."""
    if path is None:
        yield lambda line: None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", buffering=1) as stream:
        yield lambda line: print(json.dumps(line), file=stream, flush=True)


def _show_plan(plan: LoadPlan) -> None:
    from cli import show
    from experiments.cost import money

    wanted = plan.load
    where = "through the function" if wanted.way == "lambda" else "straight to the endpoint"
    photos = "1 photo" if plan.photos == 1 else f"{plan.photos} photos"
    show.say(
        f"{plan.name}: {wanted.requests:,} questions about {photos} {where},"
        f" {wanted.rate_per_s:g} a second for {wanted.seconds} s"
    )
    show.say(f"the calls: about {money(plan.cost.total_usd)} ({plan.cost.basis.value})")
    for text in plan.cost.not_counted:
        show.say(f"  not counted: {text}")
    for note in plan.notes:
        show.say(f"  note: {note}")


def _say_second(second: Second) -> None:
    from cli import show

    def ms(value: float | None) -> str:
        return "-" if value is None else f"{value:.0f} ms"

    instances = "?" if second.instances is None else second.instances
    show.say(
        f"{second.second:>4} s  sent {second.sent}, answered {second.answered},"
        f" refused {second.refused}, failed {second.failed};"
        f" p50 {ms(second.p50_ms)}, p99 {ms(second.p99_ms)}; instances {instances}"
    )


def _tell(done: Summary, plan: LoadPlan, *, as_json: bool) -> None:
    from cli import show
    from experiments.cost import money

    if as_json:
        show.print_json({"plan": plan, "summary": done})
        return
    how = "done" if done.ended else "stopped"
    show.say(
        f"{how} after {done.seconds:.0f} s: {done.sent} sent, {done.answered} answered,"
        f" {done.refused} refused, {done.failed} failed"
    )
    if done.p50_ms is not None and done.p99_ms is not None:
        show.say(f"latency: p50 {done.p50_ms:.0f} ms, p99 {done.p99_ms:.0f} ms")
    show.say(f"the calls cost {money(done.usd)} ({plan.cost.basis.value})")
    for fault in done.faults:
        show.say(f"  failed: {fault}")
