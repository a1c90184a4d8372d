"""The gates of a candidate: what they read, what they run, and what shuts them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from deployment.gates import Gate, require
from deployment.gates.checklist import Demands, Examiner
from deployment.gates.golden import pick
from deployment.gates.latency import measure, quantile
from deployment.gates.predictions import Prediction, read_predictions
from deployment.gates.price import Rates, Traffic, instances_for
from deployment.gates.significance import Mode, Question
from deployment.gates.trial import Asks, Reply, vcpus
from deployment.promote import prepare, propose
from deployment.store import ReleaseStore
from experiments.errors import ReleaseError
from experiments.records import RunRecord
from tests.deployment.builders import BOOK, BUCKET, means, rollback, run, settings, tar_gz
from tests.deployment.world import World

DATASET = "sha256:" + "d" * 64


@dataclass
class Artifact:
    """A served artifact that sees in a photo what the photo says, unless told otherwise."""

    cores: int = 2
    says: str = ""
    status: int = 200
    ms: list[float] = field(default_factory=lambda: [20.0])
    asked: int = 0

    def ask(self, photo: bytes, content_type: str) -> Reply:
        assert content_type == "image/jpeg"
        label = self.says or photo.decode().split()[0]
        body = {"predictions": [{"label": label, "probability": 0.9}]}
        self.asked += 1
        return Reply(status=self.status, body=body, ms=self.ms[self.asked % len(self.ms)])

    @contextmanager
    def serve(self, archive: bytes, cores: int) -> Iterator[Asks]:
        assert archive.startswith(b"\x1f\x8b") and cores in (1, 2)
        yield self


def examiner(world: World, artifact: Artifact | None = None, **demands: object) -> Examiner:
    served = artifact or Artifact()
    return Examiner(
        cloud=world,
        book=BOOK,
        trial=served.serve,
        demands=Demands(**demands),  # type: ignore[arg-type]
    )


def scored_run(world: World, name: str, wrong: int = 0, photos: int = 100) -> RunRecord:
    """A run with predictions of `photos` photos, the first `wrong` of them wrong."""
    rows = [
        {
            "path": f"test/beagle/{i:03}.jpg",
            "label": "beagle",
            "predicted": "whippet" if i < wrong else "beagle",
            "probability": 0.5 + i / 1000,
        }
        for i in range(photos)
    ]
    for row in rows:
        photo = f"beagle {row['path']}".encode()
        world.objects.bodies[f"datasets/{'d' * 16}/{row['path']}"] = photo
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    world.objects.bodies[f"runs/{name}/output/output.tar.gz"] = tar_gz({"predictions.jsonl": text})
    return run(world, name, dataset_digest=DATASET)


def released(world: World, of: RunRecord, judge: Examiner) -> dict[str, Gate]:
    from deployment.apply import apply_proposal

    ready = prepare(world, of, settings(), now=world.moment.now(), examiner=judge)
    applied = apply_proposal(propose(world, ready, book=BOOK), means(world))
    return {gate.name: gate for gate in applied.release.gates}


def test_a_first_release_keeps_its_evidence_and_its_golden_photos() -> None:
    world = World()
    gates = released(world, scored_run(world, "first", wrong=3), examiner(world))
    assert list(gates) == ["integrity", "significance", "golden photos", "latency", "price"]
    assert gates["significance"].evidence["nothing to compare"] == "no release is live"
    assert gates["golden photos"].evidence["artifact"] == "5 of 5 photos right"
    assert gates["latency"].evidence["p99"] == "20.0 ms, at most 1000"
    assert "2 of 2 vCPUs of ml.m5.large" in gates["latency"].evidence["measured"]
    assert gates["price"].evidence["traffic"] == "1,000 requests a day on 1 instances"
    store = ReleaseStore(cloud=world, name="dogs-prod")
    release = store.read(store.live().release_id).release
    assert [photo.label for photo in release.golden] == ["beagle"] * 5
    assert all(photo.stored.key in world.objects.bodies for photo in release.golden)


def test_a_model_that_is_worse_than_the_live_one_is_refused() -> None:
    world = World()
    released(world, scored_run(world, "first"), examiner(world))
    with pytest.raises(ReleaseError, match=r"significance: .* 0 gained, 20 lost") as caught:
        released(world, scored_run(world, "second", wrong=20), examiner(world))
    assert "--override" in caught.value.fix
    gates = released(
        world, scored_run(world, "second", wrong=20), examiner(world, override="a drill")
    )
    assert not gates["significance"].passed
    store = ReleaseStore(cloud=world, name="dogs-prod")
    assert store.read(store.live().release_id).release.override == "a drill"


def test_better_asks_for_more_than_not_worse() -> None:
    world = World()
    released(world, scored_run(world, "first", wrong=10), examiner(world))
    same = scored_run(world, "second", wrong=10)
    better = Question(mode=Mode.BETTER)
    with pytest.raises(ReleaseError, match="better than first"):
        released(world, same, examiner(world, question=better))
    gates = released(world, same, examiner(world))
    assert gates["significance"].evidence["photos"] == "100: 0 gained, 0 lost"
    gates = released(world, scored_run(world, "third"), examiner(world, question=better))
    assert gates["significance"].evidence["p"] == "0.0010, at most 0.05"


def test_without_predictions_nothing_is_proved() -> None:
    world = World()
    released(world, scored_run(world, "first"), examiner(world))
    with pytest.raises(ReleaseError, match=r"significance: .*its output has no predictions"):
        released(world, run(world, "second", dataset_digest=DATASET), examiner(world))
    gates = released(
        world,
        scored_run(world, "third"),
        examiner(world, question=Question(mode=Mode.OFF)),
    )
    assert gates["significance"].evidence == {"not asked": "switched off by who promotes"}


@pytest.mark.parametrize(
    ("artifact", "words"),
    [
        (Artifact(says="whippet"), r"golden photos: .*0 of 5 .*whippet, not beagle"),
        (Artifact(status=500), r"golden photos: .*status 500"),
        (Artifact(ms=[20.0, 1200.0]), r"latency: p50 .*p99 1200.0 ms, at most 1000"),
    ],
)
def test_a_bad_artifact_is_refused(artifact: Artifact, words: str) -> None:
    world = World()
    with pytest.raises(ReleaseError, match=words):
        released(world, scored_run(world, "first"), examiner(world, artifact))


def test_an_artifact_that_cannot_be_served_is_refused() -> None:
    world = World()

    @contextmanager
    def broken(archive: bytes, cores: int) -> Iterator[Asks]:
        raise ReleaseError("the packaged model cannot be served: boom", fix="x")
        yield Artifact()

    judge = Examiner(cloud=world, book=BOOK, trial=broken)
    with pytest.raises(ReleaseError, match="cannot be served: boom"):
        released(world, scored_run(world, "first"), judge)


def test_a_price_limit_is_held() -> None:
    world = World()
    of = scored_run(world, "first")
    with pytest.raises(ReleaseError, match=r"price: a month \$92.\d+, at most \$50"):
        released(world, of, examiner(world, max_month_usd=Decimal(50)))
    with pytest.raises(ReleaseError, match=r"1,000 predictions \$3.0\d+, at most \$1"):
        released(world, of, examiner(world, max_per_1000_usd=Decimal(1)))


def test_what_is_live_is_not_examined_again() -> None:
    world = World()
    of = scored_run(world, "first")
    released(world, of, examiner(world))
    artifact = Artifact()
    ready = prepare(
        world, of, settings(), now=world.moment.now(), examiner=examiner(world, artifact)
    )
    assert artifact.asked == 0 and propose(world, ready, book=BOOK).is_done


def test_a_golden_photo_that_was_lost_does_not_keep_a_release_from_coming_back() -> None:
    world = World()
    released(world, scored_run(world, "first"), examiner(world))
    store = ReleaseStore(cloud=world, name="dogs-prod")
    first = store.read(store.live().release_id).release
    released(world, scored_run(world, "second"), examiner(world))
    del world.objects.bodies[first.golden[0].stored.key]
    back = rollback(world)
    assert back.release.release_id == first.release_id and back.answer is not None


def test_integrity_cannot_be_overridden() -> None:
    shut = Gate(name="integrity", passed=False, evidence={"fault": "links"})
    with pytest.raises(ReleaseError, match="links"):
        require([shut], override="please")
    require([Gate(name="price", passed=False, evidence={})], override="please")


def test_the_surest_photo_of_each_class_comes_first() -> None:
    def said(path: str, label: str, predicted: str, probability: float) -> Prediction:
        return Prediction(path=path, label=label, predicted=predicted, probability=probability)

    found = pick(
        [
            said("1", "a", "a", 0.9),
            said("2", "a", "a", 0.8),
            said("3", "b", "b", 0.7),
            said("4", "b", "a", 0.99),
        ],
        count=3,
    )
    assert [p.path for p in found] == ["1", "3", "2"]


def test_damaged_predictions_are_an_error() -> None:
    world = World()
    world.objects.bodies["runs/x/output/output.tar.gz"] = tar_gz({"predictions.jsonl": b"{}\n"})
    with pytest.raises(ReleaseError, match="cannot be read"):
        read_predictions(world, f"s3://{BUCKET}/runs/x/output/model.tar.gz")
    assert read_predictions(world, f"s3://{BUCKET}/runs/y/output/model.tar.gz") == ()


def test_the_first_questions_do_not_count() -> None:
    from deployment.gates.golden import LabelledPhoto

    slow_start = Artifact(ms=[5.0])
    photo = LabelledPhoto(path="x", label="beagle", data=b"beagle")
    assert measure(slow_start, [photo], samples=10).samples == 10
    assert slow_start.asked == 15
    assert quantile([1, 2, 3, 4], 0.5) == 2 and quantile([1, 2, 3, 4], 0.99) == 4


def test_prices_follow_the_traffic() -> None:
    how = settings()
    assert instances_for(Traffic(requests_per_day=1000), how) == 1
    assert instances_for(Traffic(requests_per_day=60_000), how) == 2
    assert instances_for(Traffic(requests_per_day=9_000_000), how) == 3
    quiet, busy = (
        Rates(model_ms=50, stored_bytes=0, region="us-east-1", book=BOOK).price(
            how, Traffic(requests_per_day=n)
        )
        for n in (100, 30_000)
    )
    assert quiet.per_1000_usd > 100 * busy.per_1000_usd > 0
    # 730 h x 0.115 + 3 x 0.25 GB x 2,628,000 s x 0.0000041667 + 3,042 calls
    assert f"{quiet.month_usd:.2f}" == "92.16"


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("ml.m5.large", 2),
        ("ml.c5.xlarge", 4),
        ("ml.m5.4xlarge", 16),
        ("ml.t2.medium", 2),
        ("ml.m6g.medium", 1),
    ],
)
def test_vcpus_follow_from_the_size(kind: str, count: int) -> None:
    assert vcpus(kind) == count
