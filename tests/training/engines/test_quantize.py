"""int8 graphs: near the float network, seven bits of weight, kept whole, the same on all hosts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.builders import write_photos
from tests.training.crowd import together
from tests.training.engines.nets import SIDE, nearness, pictures, small
from tests.training.features.build import TRANSFORM, survey
from tests.training.features.test_survey import share_out
from training.engines.calibration import calibration_places, int8_graph
from training.engines.on_openvino import on_openvino
from training.engines.quantize import Int8Graph, load_graph, quantized, save_graph
from training.graph import add_head, convert
from training.hosts.cluster import Cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def float_graph() -> Any:
    return convert(small(), SIDE)


@pytest.fixture(scope="module")
def int8(float_graph: Any) -> Any:
    return quantized(float_graph, list(pictures(24)))


def weights_of(graph: Any) -> dict[str, Any]:
    """The int8 constants of a graph, by their shapes."""
    constants = [node for node in graph.get_ops() if node.get_type_name() == "Constant"]
    arrays = [node.data for node in constants]
    return {str(a.shape): a.astype(int) for a in arrays if a.dtype == np.int8 and a.ndim > 1}


def test_an_int8_graph_stays_near_the_float_one(float_graph: Any, int8: Any) -> None:
    fresh = pictures(6, seed=9)
    one = on_openvino(int8, threads=1)(fresh)
    assert nearness(one, on_openvino(float_graph, threads=1)(fresh)) < 0.1


def test_weights_keep_to_seven_bits_so_that_no_processor_saturates(int8: Any) -> None:
    """Pairs of products of 255 and 127 overflow 16 bits without VNNI; of 255 and 64 they do not.

    NNCF leaves depthwise weights at 8 bits: their products are not summed in pairs at 16 bits.
    """
    weights = weights_of(int8)
    depthwise = weights.pop("(16, 1, 1, 3, 3)")
    assert weights.keys() == {"(16, 3, 3, 3)", "(16, 16, 1, 1)"}
    assert all(np.abs(array).max() <= 64 for array in weights.values())
    assert 2 * 255 * 64 <= 2**15 - 1 < 2 * 255 * 127 and np.abs(depthwise).max() <= 127


def test_a_head_joins_an_int8_graph(int8: Any) -> None:
    weight = np.eye(4, 16, dtype=np.float32)
    whole = add_head(int8, weight, np.ones(4, np.float32))
    batch = pictures(2)
    expected = on_openvino(int8, threads=1)(batch)[:, :4] + 1
    np.testing.assert_allclose(on_openvino(whole, threads=1)(batch), expected, atol=1e-4)


def test_a_kept_graph_is_whole_or_absent(int8: Any, tmp_path: Path) -> None:
    save_graph(int8, tmp_path / "kept")
    kept = load_graph(tmp_path / "kept")
    batch = pictures(2)
    np.testing.assert_array_equal(
        on_openvino(kept, threads=1)(batch), on_openvino(int8, threads=1)(batch)
    )
    damaged = tmp_path / "kept/model.bin"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert load_graph(tmp_path / "kept") is None
    assert load_graph(tmp_path / "none") is None


def test_hosts_with_shares_get_the_int8_graph_of_one_host(float_graph: Any, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    folders = share_out(photos, tmp_path / "shares", 2)

    def make(root: Path, cache: Path, host: Cluster) -> Int8Graph:
        return int8_graph(
            float_graph,
            survey=survey(root, host),
            transform=TRANSFORM,
            weights_digest="sha256:1",
            cluster=host,
            cache_root=cache,
        )

    alone = make(photos, tmp_path / "alone", Cluster(rank=0, world=1))
    shared = together(2, lambda h: make(folders[h.rank], tmp_path / f"cache-{h.rank}", h))
    batch = pictures(3)
    expected = on_openvino(alone.graph, threads=1)(batch)
    for one in shared:
        np.testing.assert_array_equal(on_openvino(one.graph, threads=1)(batch), expected)
        assert one.lineage == shared[0].lineage
    again = make(photos, tmp_path / "alone", Cluster(rank=0, world=1))
    assert again.lineage == alone.lineage


def test_calibration_takes_training_photos_whatever_their_order(tmp_path: Path) -> None:
    seen = survey(write_photos(tmp_path / "photos"))
    places = calibration_places(seen)
    assert {seen.listing.photos[place].split for place in places} == {"train"}
    digests = [seen.inspections[place].sha256 for place in places]
    assert digests == sorted(digests)
