"""Small photos, model archives and an HTTP-less client for the server's tests."""

import asyncio
import hashlib
import io
import json
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from serving.errors import RequestError
from serving.http.admission import Admission, Bounds
from serving.http.app import App
from serving.http.exchange import HttpLimits, Message
from serving.http.metrics import Metrics
from serving.inputs.bucket import BucketFetcher, BucketSettings
from serving.inputs.web import WebFetcher
from serving.models.archive import Archive
from serving.models.classifier import Classifier, Fetches
from serving.models.engine import Logits
from serving.preprocess import Pixels, Transform

TRANSFORM = Transform(resize=40, crop=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
COLOURS = {"blue": (40, 60, 220), "green": (40, 200, 70), "red": (220, 50, 40)}


def shared_data() -> Path:
    """The folder of shared photos; skips the test where there is none."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("PEDIGREE_DATA") or root.parent / "shared/data")
    if not folder.is_dir():
        pytest.skip(f"no shared photos at {folder}; set PEDIGREE_DATA")
    return folder


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def drawn(
    colour: tuple[int, int, int] = COLOURS["red"],
    *,
    size: tuple[int, int] = (64, 48),
    seed: int = 0,
) -> Image.Image:
    """A disc of one colour somewhere on noise."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(90, 160, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    left, top = rng.uniform(0, 0.3, 2) * size
    box = (left, top, left + 0.6 * size[0], top + 0.6 * size[1])
    ImageDraw.Draw(image).ellipse(box, fill=colour)
    return image


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def write_archive(
    folder: Path, classes: Sequence[str] = ("blue", "green", "red"), **changes: Any
) -> Path:
    """A whole model folder: its network tells which colour channel is the strongest."""
    import openvino as ov
    from openvino import opset13 as ops

    folder.mkdir(parents=True, exist_ok=True)
    image = ops.parameter([-1, 3, 32, 32], np.float32, name="image")
    pooled = ops.reduce_mean(image, np.array([2, 3]), False)
    weight = np.eye(3, dtype=np.float32)[::-1].copy()[: len(classes)]
    logits = ops.matmul(pooled, ops.constant(weight), False, True)
    graph = ov.Model([logits.output(0)], [image], "tiny")
    graph.input(0).get_tensor().set_names({"image"})
    graph.output(0).get_tensor().set_names({"logits"})
    ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    (folder / "model.safetensors").write_bytes(b"weights")
    names = ("model.xml", "model.bin", "model.safetensors")
    files = {n: f"sha256:{hashlib.sha256((folder / n).read_bytes()).hexdigest()}" for n in names}
    content = {
        "schema": 1,
        "backbone": "efficientnet_lite0",
        "classes": list(classes),
        "engine": "openvino-f32",
        "transform": TRANSFORM.to_dict(),
        "run_id": "run-7",
        "temperature": 0.5,
        "files": files,
        **changes,
    }
    (folder / "pedigree.json").write_text(json.dumps(content))
    return folder


def archive(classes: Sequence[str] = ("blue", "green", "red")) -> Archive:
    return Archive(
        graph=Path("model.xml"),
        engine="openvino-f32",
        precision="f32",
        classes=tuple(classes),
        transform=TRANSFORM,
        temperature=1.0,
        version="run-7@abc",
        backbone="efficientnet_lite0",
        weights=None,
    )


@dataclass(kw_only=True)
class FakeNetwork:
    """Answers fixed logits; `before` runs first and may wait or raise. `batches` are the sizes seen."""

    row: tuple[float, ...] = (0.2, 0.1, 0.7)
    before: Callable[[], None] = lambda: None
    streams: int = 1
    max_batch: int = 1
    batches: list[int] = field(default_factory=list)

    def logits(self, pixels: Pixels) -> Logits:
        self.batches.append(len(pixels))
        self.before()
        return np.tile(np.array(self.row), (len(pixels), 1))


@dataclass(frozen=True, kw_only=True)
class FakeStore:
    """Photographs at addresses; anything else is refused as a fetcher would."""

    photos: dict[str, bytes]

    async def fetch(self, address: str) -> bytes:
        if address not in self.photos:
            raise RequestError(422, "url_status", "the host answered 404", "check the address")
        return self.photos[address]


def classifier(
    network: FakeNetwork | None = None,
    *,
    classes: Sequence[str] = ("blue", "green", "red"),
    workers: int = 1,
    web: Fetches | None = None,
) -> Classifier:
    """A classifier over a fake network; nothing is fetched unless `web` can."""
    return Classifier(
        archive(classes),
        network or FakeNetwork(),
        workers=workers,
        web=web or WebFetcher(frozenset()),
        bucket=BucketFetcher(BucketSettings(), {}),
    )


def make_app(
    network: FakeNetwork | None = None,
    *,
    bounds: Bounds | None = None,
    workers: int = 1,
    web: Fetches | None = None,
    **limits: Any,
) -> tuple[App, list[dict[str, Any]]]:
    """An app over a fake network, and its log."""
    log: list[dict[str, Any]] = []
    admission, metrics = Admission(bounds or Bounds()), Metrics()
    model = classifier(network, workers=workers, web=web)
    app = App(model, admission, metrics, limits=HttpLimits(**limits), log=log.append)
    metrics.serves(model.version, lambda: admission.inside)
    return app, log


@dataclass(frozen=True, kw_only=True)
class Got:
    status: int
    headers: dict[str, str]
    body: Any
    raw: bytes = b""


async def call(
    app: App,
    path: str = "/invocations",
    *,
    method: str = "POST",
    parts: Sequence[bytes] = (b"",),
    kind: str = "image/jpeg",
    headers: dict[str, str] | None = None,
    stalls: bool = False,
) -> Got:
    """One request through the ASGI app; with `stalls` the last part of the body never comes."""
    waiting = list(parts)
    sent: list[Message] = []

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting) or stalls}

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"content-type": kind, **(headers or {})}
    path, _, query = path.partition("?")
    scope: Message = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }
    await app(scope, receive, send)
    start, body = sent
    answered = {k.decode(): v.decode() for k, v in start["headers"]}
    is_json = answered["content-type"] == "application/json"
    return Got(
        status=start["status"],
        headers=answered,
        body=json.loads(body["body"]) if is_json else None,
        raw=body["body"],
    )


def one(app: App, path: str = "/invocations", **request: Any) -> Got:
    """`call` in an event loop of its own."""
    return asyncio.run(call(app, path, **request))
