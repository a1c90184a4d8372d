"""`pedigree demo`: the whole path on this machine, from photographs to an answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.experiment import Checked, check_experiment, execute, prepared_plans
from cli.workspace import Workspace

if TYPE_CHECKING:
    from deployment.settings import ServingSettings
    from experiments.aws import Boto3Cloud
    from experiments.records import RunRecord
    from experiments.tracking import Tracker

SPEC = Path(__file__).resolve().parent.parent / "specs" / "demo.yaml"


class Stopwatch:
    """Where the time went, by step; seconds of wall time."""

    def __init__(self) -> None:
        self.laps: list[tuple[str, float]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step and say that it begins."""
        click.secho(f"\n{name}", bold=True)
        started = time.monotonic()
        yield
        self.laps.append((name, time.monotonic() - started))

    def tell(self) -> None:
        """Say where the time went."""
        click.secho("\nWhere the time went", bold=True)
        for name, lap_s in self.laps:
            click.echo(f"  {lap_s:6.1f} s  {name}")
        click.echo(f"  {sum(lap_s for _, lap_s in self.laps):6.1f} s  in all")


@contextmanager
def only_one(space: Workspace) -> Iterator[None]:
    """Refuse a second demo in the same folder while one runs."""
    from filelock import FileLock, Timeout

    from experiments.errors import BusyError

    space.state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(space.state / "demo.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            "another `make demo` is running in this folder", fix="wait for it to end, or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def draw(space: Workspace) -> Path:
    """The drawn photographs; those of an earlier demo are used again."""
    from cli import show
    from demo import DemoDataError, draw_dataset
    from experiments.errors import DataError

    folder = space.state / "demo-data"
    try:
        with show.progress("drawing") as progress:
            draw_dataset(folder, progress=progress)
    except DemoDataError as error:
        raise DataError(error.message, fix=error.fix) from error
    return folder


def test_photo(data: Path) -> Path:
    """The first photograph of the first class in the test split."""
    return min(path for path in (data / "test").glob("*/*") if path.is_file())


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), help="An ImageFolder; else dogs are drawn."
)
@click.option(
    "--enforce-iam",
    is_flag=True,
    help="Refuse what a role's policies do not allow, to this command too.",
)
def demo(data: Path | None, enforce_iam: bool) -> int:
    """Train three ways, compare, promote the best, and ask it about a photograph.

    Needs no account: AWS is this machine. Takes a few minutes.
    """
    from cli import local_cloud

    space, watch = Workspace.here(), Stopwatch()
    with only_one(space):
        with watch.step("Photographs"):
            checked = _check(data if data is not None else draw(space))
        with contextlib.ExitStack() as stack:
            with watch.step("AWS on this machine"):
                url = stack.enter_context(
                    local_cloud.running(space.cloud_state, enforce_iam=enforce_iam)
                )
                click.echo(f"answers at {url}")
            space.remember_data(checked.data.root)
            cloud = space.open_cloud("local", checked.spec.region)
            if enforce_iam:
                cloud = _as_operator(cloud)
            code = _train_and_promote(space, cloud, checked, watch)
    watch.tell()
    if code == 0:
        click.echo(
            "\nnext: `make up` serves the dashboard and the MLflow UI; the model is live again then"
        )
    return code


def _check(folder: Path) -> Checked:
    from cli import show

    with show.waiting("reading every photograph"):
        checked = check_experiment(SPEC, folder)
    counts = ", ".join(f"{count} {split}" for split, count in checked.data.images.items())
    click.echo(f"{folder}: {len(checked.data.classes)} classes; {counts}")
    for warning in checked.data.warnings:
        click.echo(f"warning: {warning}")
    return checked


def _as_operator(owner: Boto3Cloud) -> Boto3Cloud:
    from cli.operator import ROLE, take_operator

    cloud = take_operator(owner)
    click.echo(f"IAM is enforced; from here on this command is the role {ROLE}")
    return cloud


def _train_and_promote(
    space: Workspace, cloud: Boto3Cloud, checked: Checked, watch: Stopwatch
) -> int:
    from cli import show

    tracker = space.open_tracker()
    with watch.step("Data, code and weights into the private bucket"):
        plans = prepared_plans(checked, cloud, tracker, space, click.echo)
    records = []
    for plan in plans:
        with watch.step(f"Run {plan.run_name}"):
            show.launch_plan(plan)
            records += execute((plan,), cloud, tracker, space, parallel=1, say=click.echo)
    click.echo()
    show.leaderboard(records, as_json=False)
    with watch.step("Promote the best"):
        live = _promote(cloud, tracker, records, checked)
    with watch.step("Ask it about a photograph"):
        _ask(cloud, live, checked)
    return 0 if all(record.status.value == "succeeded" for record in records) else 5


def _promote(
    cloud: Boto3Cloud, tracker: Tracker, records: list[RunRecord], checked: Checked
) -> ServingSettings:
    from cli import serving
    from deployment.choose import Rule
    from deployment.settings import ServingSettings

    settings = ServingSettings(app=checked.spec.app)
    choice = serving.choose_run(records, Rule())
    best = choice.best()
    click.echo(f"chosen: {best.name} ({best.run_id})")
    for record, reason in choice.refused:
        click.echo(f"  not {record.name}: {reason}")
    proposal = serving.propose_run(cloud, best, settings)
    serving.show_proposal(proposal)
    golden = serving.golden_photo(test_photo(checked.data.root))
    applied = serving.apply(
        cloud, tracker, proposal, golden=golden, say=lambda text: click.echo(f"  {text}")
    )
    click.echo(f"live: {applied.release.release_id}")
    return settings


def _ask(cloud: Boto3Cloud, settings: ServingSettings, checked: Checked) -> None:
    from cli import serving
    from cli.invoke import show_answer
    from deployment.invoke import invoke
    from experiments.prices import latest_book

    photo = test_photo(checked.data.root)
    data, kind = serving.read_photo(photo)
    click.echo(f"photograph: {photo.relative_to(checked.data.root)}")
    show_answer(invoke(cloud, settings, data, kind, book=latest_book()))
