"""A model server that knows its photos by heart: the serving contract without a model.

Reads `pedigree.json` in SM_MODEL_DIR, which beside what a manifest holds has {"photos": {"<sha256 of
the file>": class}}. Refuses with 415 what does not begin like a JPEG.
"""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stand_in_script import answer_for  # type: ignore[import-not-found]  # beside this file


class Handler(BaseHTTPRequestHandler):
    """GET /ping and POST /invocations."""

    protocol_version = "HTTP/1.1"
    known: dict[str, Any]

    def do_GET(self) -> None:
        self._send(200, {})

    def do_POST(self) -> None:
        photo = self.rfile.read(int(self.headers["content-length"]))
        self._send(*answer_for(photo, self.known))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests look at answers."""

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    folder = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    Handler.known = json.loads((folder / "pedigree.json").read_text(encoding="utf-8"))
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
