"""The engine runs the archive's own graph and applies its temperature."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from serving.archive import ArchiveError, read_archive
from serving.engine import Engine
from tests.serving.builders import write_archive


def test_probabilities_are_the_softmax_of_logits_over_temperature(tmp_path: Path) -> None:
    engine = Engine(read_archive(write_archive(tmp_path)), threads=1)
    pixels = np.zeros((2, 3, 32, 32), np.float32)
    pixels[0, 0], pixels[1, 2] = 1.0, 2.0
    shares = engine.shares(pixels)
    # The tiny graph answers the channels' means in the order blue, green, red; temperature is 0.5.
    logits = np.array([[0, 0, 2.0], [4.0, 0, 0]])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    np.testing.assert_allclose(engine.shares(pixels[1:]), expected[1:], atol=1e-5)


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
