"""An array file is whole or refused: cut, changed or strange files never come back as numbers."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.features.array_file import ArrayWriter, DamagedFileError, open_array, write_array


def rows(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int]
) -> None:
    path = tmp_path_factory.mktemp("file") / "a.table"
    array = rows(*shape)
    write_array(path, array, {"faults": {"3": "undecodable: x"}})
    found = open_array(path)
    np.testing.assert_array_equal(found.array, array)
    assert found.about == {"faults": {"3": "undecodable: x"}}
    assert not found.array.flags.writeable or found.array.size == 0


def test_any_byte_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.table"
    write_array(path, rows(2, 3), {"k": 1})
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedFileError):
            open_array(path)


def test_any_length_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.table"
    write_array(path, rows(2, 3), {})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError):
            open_array(path)


def test_a_file_appears_only_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.table"
    writer = ArrayWriter(path, (4, 2))
    writer.array[:] = 1
    assert not path.exists()
    writer.finish({})
    assert open_array(path).array.sum() == 8
    assert [p.name for p in path.parent.iterdir()] == ["a.table"]


def test_equal_contents_have_equal_digests(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_array(tmp_path / name, rows(3, 3), {"x": 1})
    write_array(tmp_path / "c", rows(3, 3), {"x": 2})
    digests = [open_array(tmp_path / name).digest for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
