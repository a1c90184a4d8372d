"""A model server that is nothing but a queue: one photo at a time, and 429 beyond a limit.

python queue_server.py SECONDS LIMIT
"""

from __future__ import annotations

import asyncio
import os
import sys

_STATUS = {200: b"OK", 404: b"Not Found", 429: b"Too Many Requests"}


class Queue:
    """`inside`: worked on or waiting."""

    def __init__(self, seconds: float, limit: int) -> None:
        self.inside = 0
        self._free_at = 0.0
        self._seconds, self._limit = seconds, limit

    async def work(self) -> int:
        """The status, when the photo's turn is over."""
        if self.inside >= self._limit:
            return 429
        self.inside += 1
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time()) + self._seconds
        await asyncio.sleep(self._free_at - loop.time())
        self.inside -= 1
        return 200

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").lower().split("\r\n")
                length = [
                    line.partition(":")[2] for line in lines if line.startswith("content-len")
                ]
                if length:
                    await reader.readexactly(int(length[0]))
                status = 200 if lines[0].startswith("get /ping") else await self.work()
                writer.write(
                    b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
                    % (status, _STATUS[status])
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def main(seconds: float, limit: int) -> None:
    """Serve until the process is ended."""
    port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    server = await asyncio.start_server(Queue(seconds, limit).serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), int(sys.argv[2])))
