"""Which engine computes the features: the one asked for, or the one that is done first here.

With `auto` the leading host times the candidates on this machine and all hosts follow. A choice is
kept beside the cached features, so that a run that goes on, or a second run, does not waver.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from training.backbones import Backbone
from training.engines.build import build_engine, check_runs_here, runs_here
from training.engines.calibration import int8_graph
from training.engines.engine import Engine, EngineError
from training.engines.measure import Measured, Prospect, best_of, images_per_s, reason
from training.engines.quantize import CALIBRATION_PHOTOS, Int8Graph, can_quantize
from training.features.survey import Survey
from training.files import write_json
from training.graph import convert
from training.hosts.cluster import Cluster

AUTO: Final = "auto"
_PROSPECTS: Final = (
    Prospect(name="bf16", setup_s=0.6, gain=8.0),
    Prospect(name="torch-bf16", setup_s=2.0, gain=4.0),
    Prospect(name="torch-f32", setup_s=2.0, gain=2.0),
    Prospect(name="torch-compile", setup_s=20.0, gain=4.0),
)
"""Least set-up and greatest gain over the best before, both on the generous side."""
_QUANTIZING_S: Final = 4.0
_QUANTIZING_PASSES: Final = 4.0
_INT8_GAIN: Final = 4.0


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a choice is made over. `pictures` are those that one host will put through."""

    backbone: Backbone
    survey: Survey
    cluster: Cluster
    cache_root: Path
    threads: int
    pictures: int

    def int8(self, graph: Any) -> Int8Graph:
        """See `int8_graph`; all hosts together."""
        return int8_graph(
            graph,
            survey=self.survey,
            transform=self.backbone.transform,
            weights_digest=self.backbone.weights_digest,
            cluster=self.cluster,
            cache_root=self.cache_root,
        )


def choose_engine(option: str, bench: Bench) -> Engine:
    """The engine `option`, or with `auto` the fastest for this many pictures, set-up included.

    All hosts call this together and return the same engine. Raises EngineError for one that does
    not run here.
    """
    if option != AUTO:
        check_runs_here(option)
    graph = convert(bench.backbone.module, bench.backbone.transform.crop)
    name, why = (option, "asked for") if option != AUTO else _decide(bench, graph)
    return build_engine(
        name,
        module=bench.backbone.module,
        graph=graph,
        threads=bench.threads,
        why=why,
        int8=bench.int8(graph) if name == "int8" else None,
    )


def _decide(bench: Bench, graph: Any) -> tuple[str, str]:
    """The leader's name and reason, on every host."""
    place = bench.cache_root / f"engine-{_choice_key(bench)}.json"
    trial = _Trial(bench, graph)
    verdict = _kept(place) or (trial.on_this_host() if bench.cluster.leads else {})
    verdict = json.loads(bench.cluster.gather(json.dumps(verdict).encode())[0])
    if verdict["int8_may_pay"]:
        started = time.perf_counter()
        int8 = bench.int8(graph)
        if bench.cluster.leads:
            verdict = trial.with_int8(int8, time.perf_counter() - started)
        verdict = json.loads(bench.cluster.gather(json.dumps(verdict).encode())[0])
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json(place, {**verdict, "int8_may_pay": False})
    return verdict["name"], verdict["why"]


def _choice_key(bench: Bench) -> str:
    parts = [
        bench.survey.digest,
        bench.backbone.weights_digest,
        bench.backbone.transform.digest(),
        str(bench.pictures),
    ]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:24]


def _kept(place: Path) -> dict[str, Any] | None:
    """An earlier choice, if it runs on this machine too."""
    try:
        verdict = json.loads(place.read_text(encoding="utf-8"))
        return verdict if runs_here(verdict["name"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _Trial:
    """The measuring on the leading host."""

    def __init__(self, bench: Bench, graph: Any) -> None:
        self._bench, self._graph = bench, graph
        self._measured: list[Measured] = []
        self._left_out: list[str] = []

    def on_this_host(self) -> dict[str, Any]:
        """Time what may pay for itself, the likeliest first."""
        self._time("cuda" if runs_here("cuda") else "f32")
        if not self._measured:
            raise EngineError(self._left_out[0], fix="name another engine than auto")
        for prospect in _PROSPECTS:
            if not runs_here(prospect.name):
                self._left_out.append(f"{prospect.name} does not run here")
            elif self._may_pay(prospect):
                self._time(prospect.name)
        return self._verdict(int8_may_pay=can_quantize() and self._may_pay(self._int8()))

    def with_int8(self, graph: Int8Graph, setup_s: float) -> dict[str, Any]:
        """The verdict with the int8 graph's speed in it."""
        self._time("int8", graph, setup_s)
        return self._verdict(int8_may_pay=False)

    def _int8(self) -> Prospect:
        """NNCF's import and corrections, and some float32 passes over the calibration photos on
        one thread."""
        speed = self._measured[0].images_per_s / self._bench.threads
        passes_s = _QUANTIZING_PASSES * CALIBRATION_PHOTOS / speed
        return Prospect(name="int8", setup_s=_QUANTIZING_S + passes_s, gain=_INT8_GAIN)

    def _may_pay(self, prospect: Prospect) -> bool:
        best = best_of(self._measured, self._bench.pictures)
        if prospect.may_pay(best, self._bench.pictures):
            return True
        self._left_out.append(
            f"{prospect.name}, whose set-up takes {prospect.setup_s:.0f} s or more"
        )
        return False

    def _time(self, name: str, int8: Int8Graph | None = None, setup_s: float = 0.0) -> None:
        bench = self._bench
        started = time.perf_counter()
        try:
            engine = build_engine(
                name,
                module=bench.backbone.module,
                graph=self._graph,
                threads=bench.threads,
                why="",
                int8=int8,
            )
            side = bench.backbone.transform.crop
            noise = np.random.default_rng(0).normal(size=(engine.batch, 3, side, side))
            speed = images_per_s(engine.network, noise.astype(np.float32), bench.threads)
        except Exception as error:  # a compiler that is missing, a device that is out of memory
            self._left_out.append(f"{name} failed: {type(error).__name__}: {str(error)[:100]}")
            return
        setup_s += time.perf_counter() - started
        self._measured.append(Measured(name=name, images_per_s=speed, setup_s=setup_s))

    def _verdict(self, *, int8_may_pay: bool) -> dict[str, Any]:
        pictures = self._bench.pictures
        best = best_of(self._measured, pictures)
        why = reason(best, self._measured, self._left_out, pictures)
        return {"name": best.name, "why": why, "int8_may_pay": int8_may_pay}
