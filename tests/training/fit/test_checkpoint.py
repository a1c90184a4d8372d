"""Checkpoints: whole or absent, verified, two of them; a damaged one is passed over by name."""

from pathlib import Path

import pytest
import torch

from training.fit.checkpoint import CheckpointStore, Snapshot, pack, unpack


def snapshot(number: int) -> Snapshot:
    facts = {"step": number, "loss_sum": 0.1 + 0.2, "history": [{"number": 1}]}
    tensors = {"now.weight": torch.full((2, 3), float(number)), "rng.torch": torch.get_rng_state()}
    return Snapshot(tensors=tensors, facts=facts)


def step(found: Snapshot | None) -> int:
    assert found is not None
    return int(found.facts["step"])


def test_a_snapshot_survives_packing_to_the_bit() -> None:
    found = unpack(pack(snapshot(7)))
    assert found.facts == snapshot(7).facts
    assert torch.equal(found.tensors["now.weight"], torch.full((2, 3), 7.0))
    assert torch.equal(found.tensors["rng.torch"], torch.get_rng_state())


@pytest.mark.parametrize("data", [b"", b"{}", b"\x02\0\0\0\0\0\0\0{}", pack(snapshot(1))[:-3]])
def test_bytes_that_are_no_checkpoint_are_told(data: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(data)


def test_the_newest_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "kept")
    assert store.load() is None
    for number in (1, 2, 10):
        store.save(number, snapshot(number))
    assert step(store.load()) == 10 and store.warnings == []
    names = sorted(path.name[:14] for path in (tmp_path / "kept").iterdir())
    assert names == ["step-000000002", "step-000000010"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_one_is_passed_over_and_named(tmp_path: Path, damage: str) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, snapshot(1))
    path = store.save(2, snapshot(2))
    data = path.read_bytes()
    changed = {"cut": data[:-9], "flip": data[:-1] + bytes([data[-1] ^ 1]), "empty": b""}
    path.write_bytes(changed[damage])
    assert step(store.load()) == 1
    assert store.warnings == ["checkpoint step-000000002 is damaged; the one before is used"]
    path.with_name(path.name).write_bytes(b"")
    store.save(2, snapshot(2))
    assert step(store.load()) == 2


def test_what_was_begun_and_never_finished_is_no_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, snapshot(1))
    (tmp_path / ".checkpoint.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("not ours")
    assert step(store.load()) == 1 and store.warnings == []
    store.save(2, snapshot(2))
    assert (tmp_path / "notes.txt").exists() and not (tmp_path / ".checkpoint.part").exists()
