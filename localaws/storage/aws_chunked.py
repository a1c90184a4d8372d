"""The `aws-chunked` content encoding: signed or unsigned chunks, then trailers.

Format: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
Chunk signatures are not verified.
"""

from __future__ import annotations

from typing import Protocol

_LINE_LIMIT = 8192
_TRAILER_LIMIT = 32


class Source(Protocol):
    """A body to read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end."""

    def readline(self, size: int, /) -> bytes:
        """A line of at most `size` bytes, with its end."""


class BrokenBody(Exception):
    """The body ends early or is not in the format it claims."""


class ChunkedBody:
    """Reads the decoded bytes; `trailers` (lower-case names) is filled once the end was read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self._ended = False
        self.trailers: dict[str, str] = {}

    def read(self, size: int, /) -> bytes:
        """At most `size` decoded bytes; empty at the end. Raises `BrokenBody`."""
        if self._ended:
            return b""
        if self._left == 0:
            self._left = self._chunk_size()
            if self._left == 0:
                self._read_trailers()
                self._ended = True
                return b""
        data = self._source.read(min(size, self._left))
        if not data:
            raise BrokenBody("the body ends inside a chunk")
        self._left -= len(data)
        if self._left == 0 and self._line() != b"":
            raise BrokenBody("a chunk is longer than its size says")
        return data

    def _line(self) -> bytes:
        line = self._source.readline(_LINE_LIMIT)
        if not line.endswith(b"\n"):
            raise BrokenBody("a line of the chunked body has no end")
        return line.rstrip(b"\r\n")

    def _chunk_size(self) -> int:
        text = self._line().partition(b";")[0]
        if not text or any(byte not in b"0123456789abcdefABCDEF" for byte in text):
            raise BrokenBody(f"{text[:40]!r} is no chunk size")
        return int(text, 16)

    def _read_trailers(self) -> None:
        for _ in range(_TRAILER_LIMIT):
            line = self._source.readline(_LINE_LIMIT).strip()
            if not line:
                return
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers[name.strip().lower()] = value.strip()
        raise BrokenBody("too many trailers")
