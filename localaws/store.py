"""Durable documents: what localaws must know again after a crash."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any


class Store:
    """JSON documents in one sqlite file, by table and key.

    Every write is on disk (WAL, synchronous=FULL) when the call returns. One `Store` may be used by
    many threads. Times are kept as epoch seconds by the callers.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # isolation_level=None: every statement is its own transaction.
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents ("
            "kind TEXT NOT NULL, key TEXT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (kind, key)"
            ") WITHOUT ROWID"
        )

    def table(self, name: str) -> Table:
        """The table `name`; it needs no creation."""
        return Table(self._db, self._lock, name)

    def close(self) -> None:
        """Close the file; further calls fail."""
        with self._lock:
            self._db.close()


class Table:
    """Documents of one kind. Keys are compared by code point."""

    def __init__(self, db: sqlite3.Connection, lock: threading.Lock, name: str) -> None:
        self._db = db
        self._lock = lock
        self._name = name

    def get(self, key: str) -> dict[str, Any] | None:
        """The document, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT doc FROM documents WHERE kind = ? AND key = ?", (self._name, key)
            ).fetchone()
        return None if row is None else _document(row[0])

    def put(self, key: str, doc: dict[str, Any]) -> None:
        """Write or replace the document."""
        self._write("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", key, doc)

    def insert(self, key: str, doc: dict[str, Any]) -> bool:
        """Write a new document; False, and no change, when the key is taken."""
        return self._write("INSERT OR IGNORE INTO documents VALUES (?, ?, ?)", key, doc) == 1

    def delete(self, key: str) -> bool:
        """Remove the document; False when there was none."""
        with self._lock:
            cursor = self._db.execute(
                "DELETE FROM documents WHERE kind = ? AND key = ?", (self._name, key)
            )
        return cursor.rowcount == 1

    def items(self, prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
        """All `(key, document)` pairs whose key starts with `prefix`, sorted by key."""
        found = []
        with self._lock:
            rows = self._db.execute(
                "SELECT key, doc FROM documents WHERE kind = ? AND key >= ? ORDER BY key",
                (self._name, prefix),
            )
            for key, doc in rows:
                if not key.startswith(prefix):
                    break
                found.append((key, doc))
        return [(key, _document(doc)) for key, doc in found]

    def _write(self, statement: str, key: str, doc: dict[str, Any]) -> int:
        text = json.dumps(doc, separators=(",", ":"))
        with self._lock:
            return self._db.execute(statement, (self._name, key, text)).rowcount


def _document(text: str) -> dict[str, Any]:
    doc: dict[str, Any] = json.loads(text)
    return doc
