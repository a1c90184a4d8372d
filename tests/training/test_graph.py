"""OpenVINO's graph computes what torch computes, with and without the head, from memory and from disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.engines.on_openvino import on_openvino
from training.engines.on_torch import on_torch
from training.graph import Floats, add_head, convert, save

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    ).eval()


def pixels(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(1, 3, 32, 32)).astype(np.float32)


def test_both_engines_give_the_same_features(small: torch.nn.Module) -> None:
    one, other = on_openvino(convert(small, 32), threads=1), on_torch(small)
    for seed in range(3):
        np.testing.assert_allclose(one(pixels(seed)), other(pixels(seed)), atol=1e-5)


def test_the_head_is_joined_to_the_graph_and_survives_the_disk(
    small: torch.nn.Module, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(5, 8)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    graph = convert(small, 32)
    save(add_head(graph, weight, bias), tmp_path / "model.xml")
    features = on_openvino(graph, threads=1)(pixels())
    logits = on_openvino(tmp_path / "model.xml", threads=1)(pixels())
    np.testing.assert_allclose(logits, features @ weight.T + bias, atol=1e-5)


def test_the_exported_graph_has_the_agreed_names_and_takes_any_batch(
    small: torch.nn.Module, tmp_path: Path
) -> None:
    import openvino as ov

    whole = add_head(convert(small, 32), np.zeros((5, 8), np.float32), np.zeros(5, np.float32))
    save(whole, tmp_path / "model.xml")
    read = ov.Core().read_model(tmp_path / "model.xml")
    assert read.input(0).get_names() == {"image"} and read.output(0).get_names() == {"logits"}
    assert str(read.input(0).partial_shape) == "[?,3,32,32]"
    answer = ov.Core().compile_model(read, "CPU")({"image": np.zeros((4, 3, 32, 32), np.float32)})
    assert answer["logits"].shape == (4, 5)
