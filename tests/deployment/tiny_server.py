"""A model server of the standard library: answers every photo with its model's first class.

What kind of model it is, the run's id begins with: `broken` answers 500, `nan` predicts no number and
answers 500 as the real server does, `slow` takes a second, `crash` ends while it loads.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = json.loads(
    (Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model")) / "pedigree.json").read_text()
)
KIND = MODEL["run_id"].partition("-")[0]
SLOW_S = 1.0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200, {"status": "ok"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if not self.headers["Content-Type"].startswith("image/"):
            return self.answer(415, {"error": {"code": "type", "message": "no photo", "fix": "x"}})
        if KIND in ("broken", "nan"):
            return self.answer(500, {"error": {"code": KIND, "message": "no", "fix": "x"}})
        if KIND == "slow":
            time.sleep(SLOW_S)
        found = [{"label": label, "probability": 0.8} for label in MODEL["classes"][:1]]
        self.answer(200, {"predictions": found, "model_version": f"{MODEL['run_id']}@1"})

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is written for each request."""


if __name__ == "__main__":
    if KIND == "crash":
        sys.exit("the weights are damaged")
    port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
