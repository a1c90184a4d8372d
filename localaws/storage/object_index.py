"""Which objects exist: one row each, in a sqlite file that is synced at every change."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_COLUMNS = "bucket, key, blob_id, size, etag, last_modified, facts"
_PUT = f"INSERT OR REPLACE INTO objects ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_GET = f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key = ?"  # noqa: S608
_SCAN = f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key >= ? ORDER BY key LIMIT ?"  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One object. `etag` has no quotes; `last_modified` is epoch seconds.

    `headers` are system headers by S3's member name (`ContentType`); `checksums` are base64 by
    algorithm; `part_sizes` is empty unless the object came from a multipart upload.
    """

    bucket: str
    key: str
    blob_id: str
    size: int
    etag: str
    last_modified: float
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    part_sizes: tuple[int, ...] = ()


Check = Callable[[Entry | None], None]


def accept(_: Entry | None) -> None:
    """The check that refuses nothing."""


class ObjectIndex:
    """Entries by bucket and key. A change is durable when the call returns.

    Readers have their own connection, so they never wait for a writer's sync.
    """

    def __init__(self, path: Path) -> None:
        self._writer = _connect(path)
        self._writer.execute(
            "CREATE TABLE IF NOT EXISTS objects ("
            "bucket TEXT NOT NULL, key TEXT NOT NULL, blob_id TEXT NOT NULL, size INTEGER NOT NULL,"
            " etag TEXT NOT NULL, last_modified REAL NOT NULL, facts TEXT NOT NULL,"
            " PRIMARY KEY (bucket, key)) WITHOUT ROWID"
        )
        self._reader = _connect(path)
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody changes the index meanwhile."""
        with self._write_lock:
            yield

    def get(self, bucket: str, key: str) -> Entry | None:
        """The entry, or None."""
        return self._select(self._reader, self._read_lock, bucket, key)

    def replace(self, entry: Entry, check: Check = accept) -> Entry | None:
        """Write `entry` unless `check(old)` raises; the old entry."""
        with self._write_lock:
            old = self._select(self._writer, self._write_lock, entry.bucket, entry.key)
            check(old)
            self._writer.execute(_PUT, (entry.bucket, entry.key, *_row(entry)))
            return old

    def remove(self, bucket: str, key: str, check: Check = accept) -> Entry | None:
        """Remove the entry unless `check(old)` raises; the old entry."""
        with self._write_lock:
            old = self._select(self._writer, self._write_lock, bucket, key)
            check(old)
            if old is not None:
                self._writer.execute(
                    "DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key)
                )
            return old

    def scan(self, bucket: str, start: str, limit: int) -> list[Entry]:
        """At most `limit` entries with key >= `start`, in the order of their UTF-8 bytes."""
        with self._read_lock:
            rows = self._reader.execute(_SCAN, (bucket, start, limit)).fetchall()
        return [_entry(row) for row in rows]

    def blob_ids(self) -> list[str]:
        """All blobs that entries point to."""
        with self._read_lock:
            return [row[0] for row in self._reader.execute("SELECT blob_id FROM objects")]

    def close(self) -> None:
        """Close both connections."""
        with self._write_lock, self._read_lock:
            self._writer.close()
            self._reader.close()

    def _select(self, db: sqlite3.Connection, lock: Any, bucket: str, key: str) -> Entry | None:
        with lock:
            row = db.execute(_GET, (bucket, key)).fetchone()
        return None if row is None else _entry(row)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    return db


def _row(entry: Entry) -> tuple[Any, ...]:
    facts = {
        "headers": dict(entry.headers),
        "metadata": dict(entry.metadata),
        "tags": dict(entry.tags),
        "checksums": dict(entry.checksums),
        "checksum_type": entry.checksum_type,
        "part_sizes": list(entry.part_sizes),
    }
    text = json.dumps(facts, separators=(",", ":"))
    return entry.blob_id, entry.size, entry.etag, entry.last_modified, text


def _entry(row: tuple[Any, ...]) -> Entry:
    facts = json.loads(row[6])
    facts["part_sizes"] = tuple(facts["part_sizes"])
    return Entry(
        bucket=row[0],
        key=row[1],
        blob_id=row[2],
        size=row[3],
        etag=row[4],
        last_modified=row[5],
        **facts,
    )
