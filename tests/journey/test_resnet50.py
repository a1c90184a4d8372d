"""ResNet50 from a checkpoint file of the user's, by the commands one after another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.journey.house import House, small_photos

pytestmark = pytest.mark.slow


def test_resnet50_from_a_checkpoint_file_to_the_answer(house: House) -> None:
    small_photos(house.root / "photos")
    _random_resnet50(house.root / "resnet50.pth")
    spec = house.root / "spec.yaml"
    spec.write_text(
        """
experiment: resnet
app: shapes
data: photos
weights: resnet50.pth
train: {backbone: resnet50, epochs: 3, batch_size: 8}
runs:
  - {name: one, on: sagemaker, instance_type: ml.m5.xlarge}
"""
    )
    house.type("pedigree", "cloud", "up")
    try:
        rows = house.type_json("pedigree", "run", str(spec), timeout_s=300)
        assert rows[0]["status"] == "succeeded"
        # How fast this machine is while others use it is not asked here.
        slow = ("--max-p99-ms", "20000")
        said = house.type("promote-model", "--yes", "--experiment", "resnet", *slow, timeout_s=300)
        assert re.search(r"live: r-\S+", said), said
        photo = next((house.root / "photos" / "test").glob("*/*.jpg"))
        answer = house.type_json("pedigree", "invoke", str(photo), "--app", "shapes")
        assert answer["status"] == 200
        assert answer["predictions"][0]["label"] in ("blue", "red")
    finally:
        house.type("pedigree", "cloud", "down")
    assert house.none_left() == []


def _random_resnet50(path: Path) -> None:
    import torch
    from torchvision.models import resnet50

    torch.manual_seed(0)
    torch.save(resnet50().state_dict(), path)
