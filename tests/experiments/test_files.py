from __future__ import annotations

import hashlib
from pathlib import Path

from experiments.files import file_digest, write_whole


def test_a_digest_is_the_sha256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"


def test_a_file_is_written_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    for data in (b"first", b"second and longer"):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert [found.name for found in path.parent.iterdir()] == ["a.json"]
