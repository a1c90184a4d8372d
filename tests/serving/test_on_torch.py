"""The torch engine answers what the exported graph answers, and says what it lacks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.errors import ArchiveError, SettingError
from serving.models.archive import read_archive
from serving.models.engine import Engine
from serving.models.on_torch import TorchEngine
from serving.preprocess import Transform
from serving.settings import Settings
from tests.serving.builders import drawn, encoded, write_archive
from tests.serving.processes import serving
from tests.training.builders import config, write_photos
from training import export
from training.backbones import Backbone
from training.fit.head import Head
from training.fit.progress import Epoch
from training.graph import convert
from training.manifest import scan

SIDE = 64


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNet-Lite0 with random weights, exported as training does."""
    import timm
    import torch

    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("lite0")
    module = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0).eval()
    backbone = Backbone(
        name="efficientnet_lite0",
        module=module.requires_grad_(False),
        width=1280,
        transform=Transform(resize=SIDE, crop=SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        weights_digest="sha256:" + "1" * 64,
    )
    epoch = Epoch(number=1, train_loss=1.0, valid_loss=1.0, valid_calibrated=1.0, valid_top1=0.5)
    weight = np.random.default_rng(3).normal(size=(3, 1280)).astype(np.float32)
    head = Head(weight=weight, bias=np.ones(3, np.float32), temperature=1.5, epoch=epoch)
    folder = place / "model"
    export.write_model(folder, graph=convert(module, SIDE), backbone=backbone, head=head)
    export.write_manifest(
        folder,
        config=config(run_id="run-1"),
        manifest=scan(write_photos(place / "photos"), max_unreadable_fraction=0.0, threads=1),
        backbone=backbone,
        engine="openvino-f32",
        head=head,
        metrics={},
    )
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_it_answers_what_the_graph_answers(exported: Path) -> None:
    archive = read_archive(exported)
    pixels = np.random.default_rng(1).standard_normal((4, 3, SIDE, SIDE)).astype(np.float32)
    expected = Engine(archive, threads=1).logits(pixels)
    found = TorchEngine(archive, threads=1).logits(pixels)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_a_server_that_is_asked_for_it_answers_with_it(exported: Path) -> None:
    with serving(exported, {"PEDIGREE_ENGINE": "torch", "PEDIGREE_THREADS": "1"}) as server:
        assert server.started["engine"] == "torch-f32"
        status, answer = server.post(encoded(drawn()))
    assert status == 200 and len(answer["predictions"]) == 3


def test_a_promoted_archive_lacks_its_weights_and_says_so(tmp_path: Path) -> None:
    write_archive(tmp_path)
    content = json.loads((tmp_path / "pedigree.json").read_text())
    del content["files"]["model.safetensors"]
    (tmp_path / "pedigree.json").write_text(json.dumps(content))
    with pytest.raises(ArchiveError, match=r"lacks model\.safetensors.*OpenVINO"):
        TorchEngine(read_archive(tmp_path), threads=1)
    with pytest.raises(ArchiveError, match="a way to build 'other'"):
        TorchEngine(read_archive(write_archive(tmp_path, backbone="other")), threads=1)


def test_another_engine_is_refused_by_name() -> None:
    assert Settings.of({}).engine == "openvino"
    with pytest.raises(SettingError, match="PEDIGREE_ENGINE is 'jax'"):
        Settings.of({"PEDIGREE_ENGINE": "jax"})


def test_it_is_not_imported_unless_it_is_asked_for() -> None:
    code = "import serving.build, sys; print([m for m in sys.modules if m in ('torch', 'timm')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
