"""The integrity gate, with archives as training leaves them and as an attacker would."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from deployment.artifact import archive
from deployment.artifact.archive import Examined, examine, fetch_archive
from deployment.artifact.function_code import as_base64, from_base64, pack_function
from experiments.errors import CloudError
from tests.deployment.builders import BUCKET, digest, handler, model_files, safetensors, tar_gz
from tests.deployment.world import World


def look(tmp_path: Path, data: bytes) -> Examined:
    path = tmp_path / "run.tar.gz"
    path.write_bytes(data)
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    return examine(path, folder)


def fault(tmp_path: Path, data: bytes) -> str:
    found = look(tmp_path, data)
    assert not found.gate.passed and found.archive is None
    return found.gate.evidence["fault"]


def served(found: Examined) -> dict[str, bytes]:
    assert found.archive is not None
    with tarfile.open(fileobj=io.BytesIO(found.archive.data)) as tar:
        members = {m.name: tar.extractfile(m) for m in tar}
        return {name: stream.read() for name, stream in members.items() if stream is not None}


def test_a_good_archive_is_served_without_its_second_copy_of_the_weights(tmp_path: Path) -> None:
    files = model_files("first")
    found = look(tmp_path, tar_gz({f"./{name}": data for name, data in files.items()}))
    assert found.gate.passed
    inside = served(found)
    assert sorted(inside) == ["model.bin", "model.xml", "pedigree.json"]
    assert inside["model.bin"] == files["model.bin"]
    manifest = json.loads(inside["pedigree.json"])
    assert sorted(manifest["files"]) == ["model.bin", "model.xml"]
    assert manifest["run_id"] == "first"


def test_another_engine_keeps_its_weights(tmp_path: Path) -> None:
    files = model_files("first")
    manifest = {**json.loads(files["pedigree.json"]), "engine": "torch"}
    files["pedigree.json"] = json.dumps(manifest).encode()
    assert "model.safetensors" in served(look(tmp_path, tar_gz(files)))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    files = model_files("first")
    turned = dict(reversed(files.items()))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = look(tmp_path / "a", tar_gz(files)), look(tmp_path / "b", tar_gz(turned))
    assert one.archive == two.archive
    (tmp_path / "c").mkdir()
    other = look(tmp_path / "c", tar_gz(model_files("second")))
    assert other.archive is not None and one.archive is not None
    assert other.archive.content != one.archive.content


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("model.bin", b"other weights", "the bytes of model.bin"),
        ("model.pkl", b"\x80\x04.", "does not belong"),
        ("../escape", b"x", "does not belong"),
        ("/etc/passwd", b"x", "does not belong"),
        ("code/../run.py", b"x", "does not belong"),
        ("code/sub/run.py", b"x", "does not belong"),
        ("pedigree.json", b"{}", "not of schema 1"),
        ("pedigree.json", b"nothing", "no JSON"),
        ("pedigree.json", b" " * (archive.MAX_MANIFEST_BYTES + 1), "too large"),
    ],
)
def test_what_does_not_belong_is_refused(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    assert words in fault(tmp_path, tar_gz({**model_files("first"), name: data}))
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("code/inference.py")
    entry.type = kind
    entry.linkname = "/etc/passwd"
    assert "no plain file" in fault(tmp_path, tar_gz(model_files("first"), (entry,)))


def test_more_refusals(tmp_path: Path) -> None:
    files = model_files("first")
    twice = tarfile.TarInfo("model.xml")
    assert "twice" in fault(tmp_path, tar_gz(files, (twice,)))
    many = {f"code/part_{i}.py": b"" for i in range(archive.MAX_FILES)}
    assert "more than" in fault(tmp_path, tar_gz({**files, **many}))
    without = {name: data for name, data in files.items() if name != "model.bin"}
    assert "model.bin" in fault(tmp_path, tar_gz(without))
    (tmp_path / "new").mkdir()
    alone = {name: data for name, data in files.items() if name != "pedigree.json"}
    assert "missing" in fault(tmp_path / "new", tar_gz(alone))
    assert "no readable" in fault(tmp_path, b"no archive at all")
    assert "no readable" in fault(tmp_path, tar_gz(files)[:-40])


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    files = model_files("first")
    manifest = json.loads(files["pedigree.json"])
    pickled = b"\x80\x04\x95" + safetensors()
    manifest["files"]["model.safetensors"] = digest(pickled)
    files |= {"model.safetensors": pickled, "pedigree.json": json.dumps(manifest).encode()}
    assert "no safetensors" in fault(tmp_path, tar_gz(files))


def test_a_bomb_is_stopped_by_its_unpacked_size(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("model.bin")
    entry.size = 64 << 20
    path = tmp_path / "run.tar.gz"
    path.write_bytes(gzip.compress(entry.tobuf() + bytes(entry.size)))
    assert path.stat().st_size < 100_000
    folder = tmp_path / "model"
    folder.mkdir()
    found = examine(path, folder, max_unpacked_bytes=8 << 20)
    assert "unpacks to more than 8388608 bytes" in found.gate.evidence["fault"]
    assert (folder / "model.bin").stat().st_size <= 8 << 20


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="NoSuchKey"):
        fetch_archive(World(), f"s3://{BUCKET}/runs/none/model.tar.gz", tmp_path)


def test_digests_are_the_same_in_both_writings() -> None:
    assert from_base64(as_base64(digest(b"x"))) == digest(b"x")


def test_the_function_package_has_the_same_bytes_anywhere(tmp_path: Path) -> None:
    assert pack_function() == pack_function()
    assert handler(tmp_path) == pack_function()
    assert handler(tmp_path, "changed") != pack_function()
    assert len(pack_function().data) <= 60_000
