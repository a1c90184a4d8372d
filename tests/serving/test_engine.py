"""The engine runs the archive's own graph and applies its temperature."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from serving.errors import ArchiveError
from serving.models.archive import read_archive
from serving.models.engine import Batches, Engine, batches, shares_of
from tests.serving.builders import write_archive


def test_probabilities_are_the_softmax_of_logits_over_temperature(tmp_path: Path) -> None:
    engine = Engine(read_archive(write_archive(tmp_path)), threads=1)
    pixels = np.zeros((2, 3, 32, 32), np.float32)
    pixels[0, 0], pixels[1, 2] = 1.0, 2.0
    shares = shares_of(engine.logits(pixels), 0.5)
    # The tiny graph answers the channels' means in the order blue, green, red; temperature is 0.5.
    logits = np.array([[0, 0, 2.0], [4.0, 0, 0]])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    np.testing.assert_allclose(engine.logits(pixels[1:]), logits[1:] / 2, atol=1e-5)


def test_a_graph_of_another_size_is_refused_at_the_start(tmp_path: Path) -> None:
    found = read_archive(write_archive(tmp_path, classes=("a", "b", "c", "d")))
    with pytest.raises(ArchiveError, match="3 numbers for 4 classes"):
        Engine(found, threads=1)


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path)
    (tmp_path / "model.xml").write_text("<net/>")
    manifest = json.loads((tmp_path / "pedigree.json").read_text())
    manifest["files"]["model.xml"] = f"sha256:{hashlib.sha256(b'<net/>').hexdigest()}"
    (tmp_path / "pedigree.json").write_text(json.dumps(manifest))
    with pytest.raises(ArchiveError, match="cannot be loaded"):
        Engine(read_archive(tmp_path), threads=1)


@pytest.mark.parametrize("engine", ["openvino-f32", "openvino-bf16", "openvino-int8"])
def test_a_photo_has_the_same_answer_alone_and_in_a_batch(tmp_path: Path, engine: str) -> None:
    network = Engine(read_archive(write_archive(tmp_path, engine=engine)), threads=1, streams=2)
    pixels = np.random.default_rng(1).standard_normal((4, 3, 32, 32)).astype(np.float32)
    alone = np.concatenate([network.logits(one[None]) for one in pixels])
    np.testing.assert_allclose(network.logits(pixels), alone, atol=1e-6)


def test_the_largest_batch_is_the_measured_one_unless_given(tmp_path: Path) -> None:
    found = read_archive(write_archive(tmp_path, engine="openvino-int8"))
    alone, several = Engine(found, threads=1), Engine(found, threads=2)
    assert (alone.max_batch, alone.busy_batch) == (4, 1)
    assert (several.max_batch, several.busy_batch) == (4, 2)
    assert Engine(found, threads=2, streams=2).busy_batch == 1
    asked = Engine(found, threads=1, max_batch=3)
    assert (asked.max_batch, asked.busy_batch) == (3, 2)
    assert Engine(found, threads=2, max_batch=1).busy_batch == 1
    assert batches("openvino-bf16", 1) == Batches(most=4, busy=2)
    assert batches("openvino-f32", 8) == Batches(most=1, busy=1)
