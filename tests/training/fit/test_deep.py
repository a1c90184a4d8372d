"""Fine-tuning: what learns and how fast, never worse than its start, the same bits after a stop."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from serving.preprocess import Transform
from tests.training.builders import config, write_photos
from training.backbones import Backbone
from training.config import TrainConfig
from training.errors import StoppedError
from training.features.survey import Survey, survey_photos
from training.features.table import FeatureTable
from training.fit.checkpoint import CheckpointStore
from training.fit.deep import BLOCKS, Whole, fine_tune, learning_groups
from training.fit.head import Head
from training.fit.keeper import DiskKeeper, Keeper
from training.fit.photos import PhotoRows, gather_rows
from training.fit.progress import Epoch
from training.fit.stop import Stop
from training.hosts.cluster import Cluster
from training.manifest import list_photos

ALONE = Cluster(rank=0, world=1)
SETTINGS = config(
    trainable="all", deep_epochs=3, batch_size=5, deep_learning_rate=0.01, ema_decay=0.5, seed=1
)


class Tiny(torch.nn.Module):
    """A few small layers under the names of EfficientNet-Lite0's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv_stem = torch.nn.Conv2d(3, 4, 3, stride=4)
        self.bn1 = torch.nn.BatchNorm2d(4)
        self.blocks = torch.nn.ModuleList(torch.nn.Conv2d(4, 4, 1) for _ in range(7))
        self.conv_head = torch.nn.Conv2d(4, 6, 1)
        self.bn2 = torch.nn.BatchNorm2d(6)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv_stem(pixels)))
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return torch.relu(self.bn2(self.conv_head(x))).mean(dim=(2, 3))


TRANSFORM = Transform(resize=40, crop=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def backbone() -> Backbone:
    return Backbone(
        name="efficientnet_lite0",
        module=Tiny().eval().requires_grad_(False),
        width=6,
        transform=TRANSFORM,
        weights_digest="sha256:" + "0" * 64,
    )


def head() -> Head:
    epoch = Epoch(number=1, train_loss=1.0, valid_loss=1.0, valid_calibrated=1.0, valid_top1=0.3)
    weight, bias = np.zeros((3, 6), np.float32), np.zeros(3, np.float32)
    return Head(weight=weight, bias=bias, temperature=1.0, epoch=epoch)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    root = write_photos(tmp_path_factory.mktemp("photos"))
    settings = replace(SETTINGS, data=root)
    return survey_photos(list_photos(root), settings, ALONE, 2)


def rows(survey: Survey, split: str, **options: Any) -> PhotoRows:
    photos = tuple(photo for photo in survey.listing.photos if photo.split == split)
    labels = np.array([survey.listing.classes.index(photo.label) for photo in photos], np.int64)
    empty = np.zeros((len(photos), 1, 6), np.float32)
    made = FeatureTable(features=empty, labels=labels, photos=photos, digest="")
    return PhotoRows(made, survey, TRANSFORM, threads=2, **options)


def tune(
    survey: Survey, settings: TrainConfig, keeper: Keeper | None = None
) -> tuple[Backbone, Head, float]:
    network = backbone()
    tuned, before = fine_tune(
        network,
        head(),
        train=rows(survey, "train", augment="trivialaugment", seed=1),
        valid=rows(survey, "valid"),
        config=settings,
        cluster=ALONE,
        threads=2,
        keeper=keeper,
    )
    return network, tuned, before


def changed(network: Backbone) -> set[str]:
    fresh = backbone().module.state_dict()
    return {
        n for n, value in network.module.state_dict().items() if not torch.equal(value, fresh[n])
    }


def test_all_learns_all_but_the_statistics_and_is_better_than_its_start(survey: Survey) -> None:
    network, tuned, before = tune(survey, SETTINGS)
    assert tuned.epoch.valid_calibrated < before == pytest.approx(np.log(3))
    weights = {name for name, _ in network.module.named_parameters()}
    assert changed(network) == weights, "batch-norm statistics stay as they were"
    assert not any(weight.requires_grad for weight in network.module.parameters())


def test_the_last_block_leaves_the_others_alone(survey: Survey) -> None:
    network, _, _ = tune(survey, replace(SETTINGS, trainable="last_block"))
    assert changed(network) and all(
        n.startswith(BLOCKS[network.name][-1]) for n in changed(network)
    )


def test_step_sizes_fall_from_block_to_block() -> None:
    groups = learning_groups(Whole(backbone().module, head()), "efficientnet_lite0", SETTINGS)
    rates = [group.learning_rate for group in groups]
    assert rates == pytest.approx([0.01, *(0.01 * 0.7**depth for depth in range(8))])
    learnt = sum(len(group.weights) for group in groups)
    assert learnt == 2 + len(list(backbone().module.parameters()))


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_lite0"])
def test_every_weight_of_a_backbone_is_in_one_block(name: str) -> None:
    import timm
    from torchvision.models import resnet50

    with torch.device("meta"):
        if name == "resnet50":
            module: torch.nn.Module = resnet50(weights=None)
        else:
            module = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    for weight, _ in module.named_parameters():
        if not weight.startswith("fc."):
            assert sum(weight.startswith(block) for block in BLOCKS[name]) == 1, weight


def test_what_makes_it_worse_is_not_kept(survey: Survey) -> None:
    network, tuned, before = tune(survey, replace(SETTINGS, deep_learning_rate=50.0, clip_norm=0.0))
    if not tuned.history:
        assert changed(network) == set() and tuned.epoch.number == 1
    else:
        assert tuned.epoch.valid_calibrated < before


class StopAt(Stop):
    """Told to stop when asked for the n-th time."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    @property
    def asked(self) -> bool:
        self._left -= 1
        return self._left <= 0


@pytest.mark.parametrize("at", [1, 5])
def test_stopped_and_resumed_it_ends_in_the_same_bits(
    survey: Survey, tmp_path: Path, at: int
) -> None:
    def kept(stop: Stop) -> DiskKeeper:
        store = CheckpointStore(tmp_path)
        return DiskKeeper(store, every_s=1e9, stop=stop, clock=lambda: 0.0, warn=lambda _t: None)

    whole, tuned, _ = tune(survey, SETTINGS)
    with pytest.raises(StoppedError):
        tune(survey, SETTINGS, kept(StopAt(at)))
    again, resumed, _ = tune(survey, SETTINGS, kept(Stop()))
    assert np.array_equal(resumed.weight, tuned.weight)
    for name, value in whole.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[name], value), name


def test_rows_of_several_hosts_come_together_in_order() -> None:
    found = gather_rows([2, 0], np.array([[5.0, 6.0], [1.0, 2.0]], np.float32), 3, ALONE)
    assert found.tolist() == [[1, 2], [0, 0], [5, 6]]
