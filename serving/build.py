"""From the environment to a server that is ready to answer: the model loaded and warm."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn

from serving.calls import Model
from serving.http.admission import Admission, Bounds
from serving.http.app import App
from serving.http.drain import DrainingServer
from serving.http.exchange import HttpLimits
from serving.http.log import Log, gather_logs
from serving.http.metrics import Metrics
from serving.http.shedding import protocol_for
from serving.inputs.bucket import BucketFetcher
from serving.inputs.web import WebFetcher
from serving.models.archive import MANIFEST_FILE, Archive, read_archive
from serving.models.classifier import Classifier, Seen
from serving.models.engine import Engine
from serving.models.on_torch import TorchEngine
from serving.models.script import Script, ScriptSettings
from serving.models.scripted import ScriptedModel, script_version
from serving.models.stand_ins import PedigreeDefaults, ToolkitDefaults
from serving.settings import Settings

_REFUSALS_LOGGED_S = 1.0


class QuickRefusals:
    """What a connection asks before it reads on; refusals are logged once a second, as a count."""

    def __init__(self, admission: Admission, metrics: Metrics, log: Log) -> None:
        self._admission = admission
        self._metrics = metrics
        self._log = log
        self._told_at = 0.0
        self._untold = 0

    def refuses(self) -> bool:
        """Whether there is no room; counted if so."""
        if not self._admission.refuses():
            return False
        self._metrics.shed_unread()
        self._untold += 1
        now = time.monotonic()
        if now - self._told_at >= _REFUSALS_LOGGED_S:
            self._log({"t": round(time.time(), 3), "status": 429, "refused": self._untold})
            self._told_at, self._untold = now, 0
        return True

    def malformed(self) -> None:
        """What came was no HTTP."""
        self._metrics.answered("other", 400, 0.0)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A loaded model, the room that suits it, and what the log says of it."""

    model: Model
    bounds: Bounds
    facts: Mapping[str, Any]


def load_model(settings: Settings, env: Mapping[str, str], metrics: Metrics) -> Ready:
    """The model in the folder, warm. Raises ArchiveError, HandlerError."""
    threads = settings.threads or len(os.sched_getaffinity(0))
    script = ScriptSettings.of(env, settings.model_dir)
    if script is not None:
        return Ready(
            model=_scripted(settings, script, threads),
            # How long a script of somebody else's takes says nothing of how long its callers wait.
            bounds=Bounds(most=settings.queue, busy_most=2 * script.workers, most_s=math.inf),
            facts={"script": script.program, "workers": script.workers},
        )
    archive = read_archive(settings.model_dir)
    engine = _engine(archive, settings, threads)
    model = Classifier(
        archive,
        engine,
        workers=threads + (engine.max_batch > 1),
        web=WebFetcher(settings.url_hosts),
        bucket=BucketFetcher(settings.buckets, env),
        measure=partial(_measure, metrics),
    )
    busy = 2 * engine.streams * engine.busy_batch
    return Ready(
        model=model,
        bounds=Bounds(most=max(settings.queue, busy), busy_most=busy),
        facts={"engine": engine.name, "threads": threads, "largest_batch": engine.max_batch},
    )


def _engine(archive: Archive, settings: Settings, threads: int) -> Engine | TorchEngine:
    if settings.engine == "torch":
        return TorchEngine(archive, threads=threads, max_batch=settings.max_batch)
    return Engine(archive, threads=threads, streams=settings.streams, max_batch=settings.max_batch)


def _measure(metrics: Metrics, seen: Seen) -> None:
    metrics.photo(
        queue_s=seen.waited_s + seen.row.queue_s,
        decode_s=seen.decode_s,
        model_s=seen.row.model_s,
        batch=seen.row.batch,
    )


def _scripted(settings: Settings, script: ScriptSettings, threads: int) -> ScriptedModel:
    folder = settings.model_dir
    ours = (folder / MANIFEST_FILE).exists()
    make = partial(_engine, settings=settings, threads=threads)
    defaults = PedigreeDefaults(folder, make) if ours else ToolkitDefaults()
    version = script_version((script.folder / script.program).read_bytes())
    return ScriptedModel(Script(script, folder, defaults), version=version, workers=script.workers)


def make_server(settings: Settings, env: Mapping[str, str], log: Log) -> DrainingServer:
    """A server that has yet to listen; the log names its model. ArchiveError, HandlerError."""
    metrics = Metrics()
    ready = load_model(settings, env, metrics)
    model, admission = ready.model, Admission(ready.bounds)
    metrics.serves(model.version, lambda: admission.inside)
    limits = HttpLimits(answer_timeout_s=settings.answer_timeout_s)
    app = App(model, admission, metrics, limits=limits, log=log)
    gather_logs(log)
    config = uvicorn.Config(
        app,
        http=protocol_for(QuickRefusals(admission, metrics, log)),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.drain_s,
    )
    started = {"serving": model.version, "port": settings.port, **ready.facts}
    return DrainingServer(
        config,
        on_start=lambda: log(started),
        on_drain=app.begin_drain,
    )
