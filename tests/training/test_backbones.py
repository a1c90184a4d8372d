"""Backbones get the right weights, and weights of another network are refused by name."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18, resnet50

from tests.training.builders import lite0_weights
from training.backbones import Backbone, lite0_name, load_backbone
from training.errors import WeightsError
from training.weights import find_weights, read_weights

pytestmark = pytest.mark.slow


def load(name: str, weights: Path, digest: str = "") -> Backbone:
    return load_backbone(name, weights=weights, weights_digest=digest, resize=256, crop=224)


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.manual_seed(0)
    torch.save(resnet50(weights=None).state_dict(), path)
    return path


def test_lite0_takes_every_tensor_of_the_published_checkpoint() -> None:
    path = lite0_weights()
    found = load("efficientnet_lite0", path)
    published = {lite0_name(name): value for name, value in read_weights(path).items()}
    filled = found.module.state_dict()
    assert published.keys() - filled.keys() == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(value, published[name]) for name, value in filled.items())
    assert found.width == 1280 and not found.module.training
    assert found.transform.mean == (127 / 255,) * 3
    with torch.inference_mode():
        assert found.module(torch.zeros(1, 3, 64, 64)).shape == (1, 1280)


def test_lite0_names_its_layers_by_an_explicit_rule() -> None:
    assert lite0_name("_conv_stem.weight") == "conv_stem.weight"
    assert lite0_name("_blocks.0._project_conv.weight") == "blocks.0.0.conv_pw.weight"
    assert lite0_name("_blocks.2._project_conv.weight") == "blocks.1.1.conv_pwl.weight"
    assert lite0_name("_blocks.15._bn2.running_var") == "blocks.6.0.bn3.running_var"
    assert lite0_name("_fc.bias") == "classifier.bias"
    assert lite0_name("blocks.0.0.bn1.bias") == "blocks.0.0.bn1.bias"


def test_resnet50_from_a_checkpoint_file(resnet_file: Path) -> None:
    digest = f"sha256:{hashlib.sha256(resnet_file.read_bytes()).hexdigest()}"
    found = load("resnet50", resnet_file.parent, digest)
    assert found.weights_digest == digest and found.width == 2048
    assert not any(parameter.requires_grad for parameter in found.module.parameters())
    with torch.inference_mode():
        assert found.module(torch.zeros(1, 3, 64, 64)).shape == (1, 2048)


def test_safetensors_give_the_same_network(resnet_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "resnet50.safetensors"
    save_file(read_weights(resnet_file), path)
    one, other = (load("resnet50", p).module.state_dict() for p in (resnet_file, path))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(resnet18(weights=None).state_dict(), path)
    with pytest.raises(WeightsError, match=r"not those of resnet50: .* is missing"):
        load("resnet50", path)


def test_weights_of_another_shape_are_refused(resnet_file: Path, tmp_path: Path) -> None:
    tensors = read_weights(resnet_file)
    tensors["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    torch.save(tensors, tmp_path / "odd.pth")
    with pytest.raises(
        WeightsError, match=r"conv1\.weight is \[64, 3, 3, 3\], not \[64, 3, 7, 7\]"
    ):
        load("resnet50", tmp_path / "odd.pth")


def test_a_wrong_digest_is_refused(resnet_file: Path) -> None:
    with pytest.raises(WeightsError, match="correct weights_digest"):
        load("resnet50", resnet_file, "sha256:" + "0" * 64)


class Sneaky:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("unpickled",))


def test_a_pickle_that_runs_code_is_not_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"x": Sneaky()}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights(tmp_path / "bad.pth")
    assert capsys.readouterr().out == ""


def test_damaged_and_strange_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.pth", "b.safetensors"):
        (tmp_path / name).write_bytes(b"junk")
        with pytest.raises(WeightsError, match="cannot be read"):
            read_weights(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"save model\.state_dict"):
        read_weights(tmp_path / "list.pth")


def test_a_place_without_exactly_one_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds 0 weights files"):
        find_weights(tmp_path)
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(WeightsError, match="holds 2 weights files"):
        find_weights(tmp_path)
    with pytest.raises(WeightsError, match=r"is no \.pth or \.safetensors file"):
        find_weights(tmp_path / "none.bin")
    assert find_weights(tmp_path / "a.pth") == tmp_path / "a.pth"
