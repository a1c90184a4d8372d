"""Every kind of store: PostgreSQL opened directly and behind an MLflow server, and a server asked by its
ARN with signed requests. Each gets a run's whole log, twice over, and is read back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from experiments.errors import CloudError
from experiments.events import metric_line
from experiments.following.mirror import Mirror
from experiments.following.output import Cursor
from experiments.following.run_log import Intent, RunLog, Settled
from experiments.leaderboard import leaderboard
from experiments.records import Basis, Cost
from experiments.tracking import Tracker
from experiments.tracking.sql import BOARD, board, read_runs
from tests.experiments.build import NOW, event, metric, plan, record, told
from tests.experiments.tracking.servers import mlflow_server, postgres, postgres_programs
from tests.experiments.tracking.signed_door import Door, signed_door

pytestmark = pytest.mark.slow
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/dogs"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a secret of the test"}
VALUES = 1200  # more than one batch


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The addresses: of PostgreSQL (empty where there is none), of a server over it, and its door."""

    database: str
    server: str
    door: Door
    root: Path


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Artifacts are in S3, as those of a managed server are, which its clients write themselves."""
    import boto3
    import mlflow
    from moto.server import ThreadedMotoServer

    root = tmp_path_factory.mktemp("stores")
    programs = postgres_programs()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        bucket = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        bucket.start()
        stack.callback(bucket.stop)
        host, port = bucket.get_host_and_port()
        for name, value in KEYS.items():
            environment.setenv(name, value)
        environment.delenv("AWS_SESSION_TOKEN", raising=False)
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://{host}:{port}")
        boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="artifacts")
        database = stack.enter_context(postgres(programs)) if programs else ""
        behind = database or f"sqlite:///{root / 'behind.db'}"
        if database:
            Tracker(database, root).runs(limit=1)  # its tables are made once, before the server
        options = ("--default-artifact-root", "s3://artifacts/mlflow", "--no-serve-artifacts")
        server = stack.enter_context(mlflow_server(root, behind, *options))
        door = stack.enter_context(
            signed_door(arn=ARN, key=KEYS["AWS_ACCESS_KEY_ID"],
                        secret=KEYS["AWS_SECRET_ACCESS_KEY"], behind=server)
        )  # fmt: skip
        environment.setenv("SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT", door.url)
        asked = mlflow.get_tracking_uri()
        yield Stores(database=database, server=server, door=door, root=root)
        mlflow.set_tracking_uri(asked)
        os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(params=["PostgreSQL", "a server", "an ARN"])
def store(stores: Stores, request: pytest.FixtureRequest) -> Tracker:
    if request.param != "an ARN" and not stores.database:
        pytest.skip("PostgreSQL is not installed here: `apt-get install postgresql`")
    addresses = {"PostgreSQL": stores.database, "a server": stores.server, "an ARN": ARN}
    root = stores.root / request.param.split()[-1]
    root.mkdir(exist_ok=True)
    return Tracker(addresses[request.param], root)


def said() -> list[str]:
    """A run's lines: told, a warning, trials, and more values than one batch holds."""
    settings = {"epochs": "3"}
    trial = event("trial", 8, number=1, settings=settings, metrics={"valid/loss": 0.5}, best=True)
    lines = [*told(top1=0.875), trial, event("warning", 9, message="class 'pug' has two photos")]
    began = NOW.timestamp()
    values = [
        metric_line(f"train/m{n % 3}", n / 7, t=began + n, host="algo-1") for n in range(VALUES)
    ]
    return [*lines, metric("valid/loss", 0.4, 10), *values]


def log_of(tracker: Tracker, run_id: str) -> RunLog:
    opened = Intent(plan=plan("two", run_id), cloud="local", opened_at=NOW)
    log = RunLog.create(tracker.root / "runs", opened)
    log.keep(said(), Cursor())
    return log


def mirrored(log: RunLog, tracker: Tracker) -> Mirror:
    told_of: list[str] = []
    mirror = Mirror(log=log, tracker=tracker, now=lambda: NOW, tell=told_of.append)
    assert mirror.catch_up(at_once=True), told_of
    return mirror


def settle(log: RunLog, tracker_run_id: str, **changes: str) -> None:
    found = log.intent().plan
    ended = record(
        **changes,
        run_id=log.run_id,
        tracker_run_id=tracker_run_id,
        name=found.run_name,
        params=found.params,
        metrics={"test/top1": 0.875},
        model_uri=f"{found.output_uri}model.tar.gz",
        ended_at=NOW + timedelta(minutes=2),
    )
    log.settle(Settled(record=ended, cost=Cost(basis=Basis.SIMULATED), at=NOW), {})


def test_a_run_is_mirrored_replayed_and_read_back(store: Tracker) -> None:
    run_id = f"5000{store.root.name[:4].lower()}"  # two of the stores have one database
    log = log_of(store, run_id)
    tracked = mirrored(log, store).run_id
    for _ in range(2):  # a launcher that forgot how far it was writes everything once more
        log.write_mirrored({"tracker": store.uri, "asked": True})
        assert mirrored(log, store).run_id == tracked
    settle(log, tracked, dataset_digest=log.intent().plan.params["data/digest"])
    mirrored(log, store)
    log.write_mirrored({"tracker": store.uri, "asked": True})
    mirrored(log, store)
    seen = store.find(run_id)
    assert (seen.metrics["test/top1"], seen.params["launch/on"]) == (0.875, "sagemaker")
    assert seen.warnings == ("class 'pug' has two photos",)
    assert seen.cost_usd == Decimal(0)
    for at in range(3):
        points = store.history(tracked, f"train/m{at}")
        assert Counter(value for _, value in points) == Counter(
            n / 7 for n in range(at, VALUES, 3)
        ), "each value once"
    assert store.read_text(tracked, "cost.json"), "artifacts are there"
    version = store.register("dogs", seen, {"pedigree.release": "r-1"})
    assert store.register("dogs", seen, {"pedigree.release": "r-1"}) == version


def test_the_leaderboard_is_that_of_search_runs(store: Tracker) -> None:
    log = log_of(store, f"6000{store.root.name[:4].lower()}")
    tracked = mirrored(log, store).run_id
    settle(log, tracked, dataset_digest="")  # of an older run that did not say
    mirrored(log, store)
    rows = leaderboard(board(store))
    assert tracked in {found.tracker_run_id for found in board(store)}
    assert rows == leaderboard(store.runs())


def test_postgresql_is_read_directly_and_only_read(stores: Stores) -> None:
    if not stores.database:
        pytest.skip("PostgreSQL is not installed here: `apt-get install postgresql`")
    tracker = Tracker(stores.database, stores.root)
    mirrored(log_of(Tracker(stores.database, stores.root / "direct"), "50000003"), tracker)
    found = read_runs(stores.database, BOARD)
    assert found is not None
    assert "50000003" in {record.run_id for record in found}
    assert read_runs(stores.database.replace("/mlflow", "/other"), BOARD) is None
    assert not list(stores.root.glob("*.db")), "no sqlite file was made beside it"


@pytest.mark.parametrize("wrong", ["key", "secret", "region", "arn"])
def test_a_request_that_is_not_signed_for_the_server_is_refused(
    stores: Stores, wrong: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arn = ARN.replace("/dogs", "/cats") if wrong == "arn" else ARN
    arn = arn.replace("eu-west-1", "us-east-1") if wrong == "region" else arn
    if wrong == "key":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    if wrong == "secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
    passed, before = stores.door.passed, len(stores.door.refused)
    with pytest.raises(CloudError, match="does not answer"):
        Tracker(arn, tmp_path).runs()
    assert stores.door.passed == passed
    assert len(stores.door.refused) > before
    expected = {"secret": "a wrong signature", "arn": "another server's ARN"}
    assert expected.get(wrong, "") in stores.door.refused[-1]


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/dogs",
        "arn:aws:s3:::bucket",
        "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/",
    ],
)
def test_what_is_no_tracking_server_is_refused_with_the_form_of_one(
    arn: str, tmp_path: Path
) -> None:
    with pytest.raises(CloudError, match="names no tracking server") as caught:
        Tracker(arn, tmp_path).runs()
    assert "mlflow-tracking-server/NAME" in caught.value.fix
