"""Requests at a steady rate, whatever becomes of the ones before: an open loop of threads."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from experiments.aws import Boto3Cloud

_THREADS = 32


@dataclass(frozen=True)
class Shot:
    """One request: when it was sent, whether it was answered well and in time, and by which run."""

    at: float
    good: bool
    run: str
    fault: str


@dataclass
class Traffic:
    """What was asked so far."""

    cloud: Boto3Cloud
    endpoint: str
    patience_s: float
    shots: list[Shot] = field(default_factory=list)

    def ask(self) -> None:
        at = time.monotonic()
        run, fault = "", ""
        try:
            answer = self.cloud.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=self.endpoint, Body=b"photo", ContentType="image/jpeg"
            )
            run = json.loads(answer["Body"].read())["model_version"].partition("@")[0]
        except (ClientError, BotoCoreError) as error:
            fault = str(error)[:200]
        if time.monotonic() - at > self.patience_s:
            fault = fault or "too slow"
        self.shots.append(Shot(at=at, good=not fault, run=run, fault=fault))

    def since(self, at: float) -> list[Shot]:
        return [shot for shot in self.shots if shot.at >= at]


@contextmanager
def traffic(
    cloud: Boto3Cloud, endpoint: str, *, per_second: float, patience_s: float = 30.0
) -> Iterator[Traffic]:
    """Ask `per_second` times a second until the block ends, then wait for the last answers."""
    cloud.client("sagemaker-runtime")
    asked = Traffic(cloud, endpoint, patience_s)
    over = threading.Event()

    def pace() -> None:
        with ThreadPoolExecutor(_THREADS) as pool:
            following = time.monotonic()
            while not over.wait(max(0.0, following - time.monotonic())):
                pool.submit(asked.ask)
                following += 1 / per_second

    thread = threading.Thread(target=pace)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()
