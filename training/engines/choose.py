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
from training.engines.measure import Measured, Prospect, best_of, images_per_s, reason, taste
from training.engines.on_openvino import multiplies_bytes
from training.engines.quantize import CALIBRATION_PHOTOS, Int8Graph, can_quantize
from training.features.survey import Survey
from training.files import write_json
from training.graph import Floats, convert
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
_INT8_GAIN_IN_PAIRS: Final = 1.5
"""Without a dot product of four bytes, three instructions do 32 multiply-adds of 8 bits, and one does
8 in float32: a gain of 4/3."""
_EAGER: Final = ("torch-f32", "torch-bf16")
_GAIN_OF_A_BATCH: Final = 2.0


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
        gain = _INT8_GAIN if multiplies_bytes() else _INT8_GAIN_IN_PAIRS
        return Prospect(name="int8", setup_s=_QUANTIZING_S + passes_s, gain=gain)

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
            shape = (engine.batch, 3, side, side)
            noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            if name in _EAGER and self._is_hopeless(engine, noise[:1]):
                return
            speed = images_per_s(engine.network, noise, bench.threads)
        except Exception as error:  # a compiler that is missing, a device that is out of memory
            self._left_out.append(f"{name} failed: {type(error).__name__}: {str(error)[:100]}")
            return
        setup_s += time.perf_counter() - started
        self._measured.append(Measured(name=name, images_per_s=speed, setup_s=setup_s))

    def _is_hopeless(self, engine: Engine, picture: Floats) -> bool:
        """Even if batches helped it more than they ever did, the best so far would stay ahead. Only
        for what compiles nothing for a batch's size, where a first taste would cost more."""
        speed = taste(engine.network, picture, self._bench.threads)
        best = best_of(self._measured, self._bench.pictures).images_per_s
        if speed * _GAIN_OF_A_BATCH >= best:
            return False
        self._left_out.append(f"{engine.name}, which did {speed:.0f} images/s one by one")
        return True

    def _verdict(self, *, int8_may_pay: bool) -> dict[str, Any]:
        pictures = self._bench.pictures
        best = best_of(self._measured, pictures)
        why = reason(best, self._measured, self._left_out, pictures)
        return {"name": best.name, "why": why, "int8_may_pay": int8_may_pay}
