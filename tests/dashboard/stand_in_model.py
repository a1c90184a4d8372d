"""A model server that knows its photos by heart: the serving contract without a model.

Reads `answers.json` in SM_MODEL_DIR: {"classes": [...], "photos": {"<sha256 of the file>": class}}.
Refuses with 415 what does not begin like a JPEG.
"""

from __future__ import annotations

import hashlib
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_JPEG = b"\xff\xd8\xff"
_REFUSAL = {
    "error": {
        "code": "not_an_image",
        "message": "the file is not a photo that can be read",
        "fix": "send a JPEG, PNG or WebP file",
    }
}


def answer_for(photo: bytes, known: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and body for one photo."""
    if not photo.startswith(_JPEG):
        return 415, _REFUSAL
    classes = list(known["classes"])
    label = known["photos"].get(hashlib.sha256(photo).hexdigest(), classes[0])
    others = [name for name in classes if name != label][:4]
    shares = [0.871, 0.064, 0.031, 0.018, 0.007]
    found = [{"label": n, "probability": p} for n, p in zip([label, *others], shares, strict=False)]
    timing = {"decode": 0.4, "model": 0.9}
    return 200, {"predictions": found, "model_version": "seeded", "timing_ms": timing}


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
    Handler.known = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
