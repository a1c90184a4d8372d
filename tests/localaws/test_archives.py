"""Archives: the same bytes for the same files, and nothing dangerous unpacked."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.sagemaker.archives import UnpackLimits, UnsafeArchive, pack, regular_files, unpack


@given(contents=st.dictionaries(st.text("abc", min_size=1), st.binary(max_size=100), max_size=5))
def test_what_was_packed_is_unpacked(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("archive")
    source, target = root / "source", root / "target"
    source.mkdir()
    for name, content in contents.items():
        (source / name).write_bytes(content)
    pack(regular_files(source), root / "a.tar.gz")
    unpack(root / "a.tar.gz", target)
    assert {name: path.read_bytes() for name, path in regular_files(target).items()} == contents


def test_an_archive_depends_on_names_and_bytes_only(tmp_path: Path) -> None:
    made = []
    for number in range(2):
        folder = tmp_path / str(number)
        (folder / "code").mkdir(parents=True)
        (folder / "code/run.sh").write_text("echo")
        (folder / "model").write_bytes(b"weights")
        os.utime(folder / "model", (number, number))
        pack(regular_files(folder), tmp_path / f"{number}.tar.gz")
        made.append((tmp_path / f"{number}.tar.gz").read_bytes())
    assert made[0] == made[1]


def test_links_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    assert list(regular_files(tmp_path)) == ["real"]


def _member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, "/etc/passwd"
    return member


def _archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([_member("a", tarfile.SYMTYPE)], "neither a file nor a folder"),
        ([_member("a", tarfile.LNKTYPE)], "neither a file nor a folder"),
        ([_member("a", tarfile.FIFOTYPE)], "neither a file nor a folder"),
        ([_member("/a")], "leaves the folder"),
        ([_member("b/../../a")], "leaves the folder"),
        ([_member("a", size=11)], "over"),
        ([_member("a"), _member("b"), _member("c")], "over"),
    ],
)
def test_dangerous_archives_are_refused(
    tmp_path: Path, members: list[tarfile.TarInfo], reason: str
) -> None:
    archive = _archive(tmp_path / "bad.tar", *members)
    with pytest.raises(UnsafeArchive, match=reason):
        unpack(archive, tmp_path / "out", UnpackLimits(files=2, total_bytes=10))


@pytest.mark.parametrize("spoil", [lambda raw: raw[:50], lambda raw: b"", lambda raw: b"x" * 99])
def test_broken_archives_are_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    (tmp_path / "a").write_bytes(os.urandom(5000))
    pack({"a": tmp_path / "a"}, tmp_path / "whole")
    (tmp_path / "broken").write_bytes(spoil((tmp_path / "whole").read_bytes()))
    with pytest.raises(UnsafeArchive, match="cannot be read"):
        unpack(tmp_path / "broken", tmp_path / "out")
