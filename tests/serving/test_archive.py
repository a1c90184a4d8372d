"""A model folder is served only when it is whole and unchanged."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.errors import ArchiveError
from serving.models.archive import read_archive
from tests.serving.builders import TRANSFORM, write_archive


def test_reads_a_whole_archive(tmp_path: Path) -> None:
    found = read_archive(write_archive(tmp_path))
    assert found.classes == ("blue", "green", "red")
    assert found.transform == TRANSFORM
    assert found.temperature == 0.5
    assert found.precision == "f32"
    assert found.version.startswith("run-7@") and len(found.version) == 18


def test_the_version_tells_two_archives_of_one_run_apart(tmp_path: Path) -> None:
    one = read_archive(write_archive(tmp_path / "a"))
    other = read_archive(write_archive(tmp_path / "b", temperature=0.6))
    assert one.version != other.version


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema 1"),
        ({"engine": "torch"}, "openvino-f32"),
        ({"classes": ["a"]}, "classes"),
        ({"classes": ["a", "a"]}, "classes"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": None}, "temperature"),
        ({"transform": {"crop": 3}}, "transform"),
        ({"files": {"../model.xml": "x"}}, "files"),
        ({"files": {"model.xml": "x"}}, "files"),
        ({"run_id": 3}, "run_id"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ArchiveError, match=words) as caught:
        read_archive(write_archive(tmp_path, **change))
    assert caught.value.fix


@pytest.mark.parametrize("key", ["classes", "files", "transform", "temperature", "run_id"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    path = write_archive(tmp_path) / "pedigree.json"
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(ArchiveError, match=key):
        read_archive(tmp_path)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path)
    with (tmp_path / "model.bin").open("ab") as out:
        out.write(b"x")
    with pytest.raises(ArchiveError, match=r"model\.bin hashes to"):
        read_archive(tmp_path)


def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / "model")
    real = (tmp_path / "model/model.bin").rename(tmp_path / "elsewhere")
    (tmp_path / "model/model.bin").symlink_to(real)
    with pytest.raises(ArchiveError, match="not a plain file"):
        read_archive(tmp_path / "model")


def test_a_missing_folder_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="SM_MODEL_DIR"):
        read_archive(tmp_path / "nowhere")


def test_text_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (write_archive(tmp_path) / "pedigree.json").write_text("{")
    with pytest.raises(ArchiveError, match="not JSON"):
        read_archive(tmp_path)


@pytest.mark.parametrize(
    ("engine", "precision"),
    [("openvino-f32", "f32"), ("openvino-bf16", "bf16"), ("openvino-int8", "f32")],
)
def test_the_engine_says_in_which_arithmetic_it_runs(
    tmp_path: Path, engine: str, precision: str
) -> None:
    found = read_archive(write_archive(tmp_path, engine=engine))
    assert (found.engine, found.precision) == (engine, precision)
