"""Data capture: a sample of requests and answers as JSON Lines in S3, in SageMaker's format."""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localaws.clock import Timer
from localaws.sagemaker.words import Doc, Params, could_not_find, split_s3_uri
from localaws.storage.objects import Objects
from localaws.wire.protocol import AwsError

FLUSH_S = 60.0
LINES_PER_FILE = 1000
BYTES_PER_FILE = 8 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and its answer, as the container saw them."""

    content_type: str
    body: bytes
    answer_type: str
    answer: bytes
    inference_id: str | None
    custom_attributes: str | None


@dataclass(frozen=True, kw_only=True)
class _Place:
    uri: str
    endpoint: str
    variant: str
    hour: str


class DataCapture:
    """Samples, buffers, and writes a file of each variant every minute of the clock."""

    def __init__(self, objects: Objects, clock: Timer, chance: random.Random | None = None) -> None:
        self._objects = objects
        self._clock = clock
        self._chance = chance or random.SystemRandom()
        self._lock = threading.Lock()
        self._lines: dict[_Place, list[str]] = {}
        self._bytes = 0
        self._some = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="data-capture", daemon=True)
        self._thread.start()

    def note(self, config: Params, endpoint: str, variant: str, exchange: Exchange) -> None:
        """Keep the exchange, if it is to be captured and falls into the sample."""
        if not config or not config.get("EnableCapture", True):
            return
        if self._chance.random() * 100 >= config["InitialSamplingPercentage"]:
            return
        moment = datetime.fromtimestamp(self._clock.now(), UTC)
        place = _Place(
            uri=config["DestinationS3Uri"],
            endpoint=endpoint,
            variant=variant,
            hour=moment.strftime("%Y/%m/%d/%H"),
        )
        text = json.dumps(record(config, exchange, moment), separators=(",", ":"))
        with self._lock:
            lines = self._lines.setdefault(place, [])
            lines.append(text)
            self._bytes += len(text)
            full = len(lines) >= LINES_PER_FILE or self._bytes >= BYTES_PER_FILE
        self._some.set()
        if full:
            self.flush()

    def flush(self) -> None:
        """Write all that is buffered."""
        with self._lock:
            batches, self._lines, self._bytes = self._lines, {}, 0
            self._some.clear()
        for place, lines in batches.items():
            moment = datetime.fromtimestamp(self._clock.now(), UTC)
            stamp = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}"
            bucket, prefix = split_s3_uri(place.uri)
            start = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
            key = f"{start}{place.endpoint}/{place.variant}/{place.hour}/{stamp}.jsonl"
            try:
                self._objects.put(bucket, key, ("\n".join(lines) + "\n").encode())
            except AwsError as error:
                _log.warning("captured data of %s is lost: %s", place.endpoint, error)

    def close(self) -> None:
        """Write the rest and end the thread."""
        self._closed.set()
        self._some.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._some.wait()
            self._clock.sleep(FLUSH_S, self._closed)
            self.flush()


def record(config: Params, exchange: Exchange, moment: datetime) -> Doc:
    """One line: what the CaptureOptions ask for, encoded by CaptureContentTypeHeader."""
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    both = "InputAndOutput" in modes
    data: Doc = {}
    if both or "Input" in modes:
        data["endpointInput"] = _side(config, "INPUT", exchange.content_type, exchange.body)
    if both or "Output" in modes:
        data["endpointOutput"] = _side(config, "OUTPUT", exchange.answer_type, exchange.answer)
    event: Doc = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    if exchange.inference_id is not None:
        event["inferenceId"] = exchange.inference_id
    if exchange.custom_attributes is not None:
        event["customAttributes"] = [exchange.custom_attributes]
    return {"captureData": data, "eventMetadata": event, "eventVersion": "0"}


def _side(config: Params, mode: str, content_type: str, body: bytes) -> Doc:
    encoding, data = _encoded(config.get("CaptureContentTypeHeader", {}), content_type, body)
    return {
        "observedContentType": content_type,
        "mode": mode,
        "data": data,
        "encoding": encoding,
    }


def _encoded(headers: Params, content_type: str, body: bytes) -> tuple[str, Any]:
    kind = content_type.partition(";")[0].strip().lower()
    for member, encoding in (("CsvContentTypes", "CSV"), ("JsonContentTypes", "JSON")):
        if kind in [one.lower() for one in headers.get(member, [])]:
            try:
                return encoding, body.decode()
            except UnicodeDecodeError:
                break
    return "BASE64", base64.b64encode(body).decode()


def check_destination(config: Doc, objects: Objects) -> None:
    """Raises SageMaker's error when the captured data cannot be written."""
    capture = config.get("DataCaptureConfig")
    if capture is None or not capture.get("EnableCapture", True):
        return
    bucket, _ = split_s3_uri(capture["DestinationS3Uri"])
    try:
        objects.require_bucket(bucket)
    except AwsError as error:
        raise could_not_find("bucket", f"s3://{bucket}") from error
