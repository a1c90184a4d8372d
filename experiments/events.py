"""The lines a training program writes, read as data. Anything that is not an event is just log text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

_KINDS = {"params", "metric", "phase", "artifact", "result", "warning", "trial", "checkpoint"}
_ENVIRONMENT = (
    "python", "torch", "openvino", "numpy", "pillow", "threads", "device", "hosts",
    "train_photos", "valid_photos", "test_photos", "unreadable_photos",
)  # fmt: skip
_MAX_LINE = 256 * 1024
_LATEST_S = 2.0**40
_LAST_STEP = 2**63 - 1
# What MLflow takes as a metric's name, without its spaces and colons.
_METRIC_NAME = re.compile(r"(?=.{1,250}$)\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing a host said: its kind, when (epoch seconds), who, and its place in that host's order."""

    kind: str
    t: float
    host: str
    seq: int
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int, float]:
        """What makes it one event, wherever it is read: a host that is started again counts anew."""
        return self.host, self.seq, self.t


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    """One value of one metric. `t_ms` is the training host's own clock."""

    name: str
    value: float
    step: int
    t_ms: int


def parse_line(line: str) -> Event | None:
    """The event in a line, or None: for other text, other versions, or a damaged line."""
    if len(line) > _MAX_LINE or '"event"' not in line:
        return None
    try:
        body = json.loads(line)
        if not isinstance(body, dict) or body.get("v") != 1 or body.get("event") not in _KINDS:
            return None
        t = float(body["t"])
        if not 0 <= t < _LATEST_S:
            return None
        return Event(
            kind=str(body["event"]), t=t, host=str(body["host"]), seq=int(body["seq"]), body=body
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def read_events(lines: Iterable[str]) -> list[Event]:
    """All events in some lines, each once, in each host's own order."""
    seen: dict[tuple[str, int, float], Event] = {}
    for line in lines:
        event = parse_line(line)
        if event is not None:
            seen.setdefault(event.key, event)
    return sorted(seen.values(), key=lambda event: (event.t, event.host, event.seq))


def metric_points(events: Iterable[Event]) -> list[MetricPoint]:
    """The metric values among some events; what a tracker cannot hold is left out."""
    points = []
    for event in events:
        if event.kind != "metric":
            continue
        try:
            name, value = str(event.body["name"]), float(event.body["value"])
            step = int(event.body.get("step") or 0)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if _METRIC_NAME.fullmatch(name) and math.isfinite(value) and abs(step) <= _LAST_STEP:
            points.append(MetricPoint(name=name, value=value, step=step, t_ms=int(event.t * 1000)))
    return points


def failure_message(events: Iterable[Event]) -> str:
    """What the program itself said went wrong or stopped it, or nothing: the first failure of any
    host since the last time that the run was stopped and went on."""
    found, has_failed = "", False
    for event in events:
        status = event.body.get("status") if event.kind == "result" else ""
        if status == "stopped" or (status == "failed" and not has_failed):
            found, has_failed = str(event.body.get("message", "")), status == "failed"
    return found


def environment(events: Iterable[Event]) -> dict[str, str]:
    """What the leading host ran on and with, as `env/…` params: versions, threads, counts of photos."""
    found: dict[str, str] = {}
    for event in events:
        values = event.body.get("values") if event.kind == "params" else None
        if isinstance(values, dict):
            found |= {f"env/{key}": str(values[key]) for key in _ENVIRONMENT if key in values}
    return found


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One head that a run tried: its settings and what they gave. `t_ms` is when it was done."""

    number: int
    settings: dict[str, str]
    metrics: dict[str, float]
    best: bool
    t_ms: int


def trials_in(events: Iterable[Event]) -> list[Trial]:
    """What a run tried; what a tracker cannot hold is left out."""
    found = []
    for event in events:
        if event.kind != "trial":
            continue
        body = event.body
        try:
            metrics = {str(k): float(v) for k, v in body["metrics"].items()}
            trial = Trial(
                number=int(body["number"]),
                settings={str(key): str(value) for key, value in body["settings"].items()},
                metrics={k: v for k, v in metrics.items() if math.isfinite(v)},
                best=bool(body.get("best")),
                t_ms=int(event.t * 1000),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            continue
        if all(_METRIC_NAME.fullmatch(name) for name in (*trial.metrics, *trial.settings)):
            found.append(trial)
    return found


_MOST_WARNINGS = 20
_MOST_WARNING_CHARACTERS = 4000


def warnings_in(events: Iterable[Event], known: Iterable[str] = ()) -> tuple[str, ...]:
    """What the program warned of, each once, after those `known`: each one line, and all of them no
    more than a tag holds."""
    said = (str(e.body.get("message", "")) for e in events if e.kind == "warning")
    lines = [" ".join(text.split()) for text in (*known, *said)]
    found: list[str] = []
    for line in list(dict.fromkeys(filter(None, lines)))[:_MOST_WARNINGS]:
        if sum(map(len, found)) + len(found) + len(line) <= _MOST_WARNING_CHARACTERS:
            found.append(line)
    return tuple(found)


def latest_phase(lines: Sequence[str]) -> str:
    """The phase that was begun last in some lines, or nothing."""
    for line in reversed(lines):
        event = parse_line(line)
        if event is not None and event.kind == "phase" and event.body.get("state") == "start":
            return str(event.body.get("name", ""))
    return ""


def unknown_lines(lines: Iterable[str], known: Iterable[str]) -> list[str]:
    """The event lines among some that are not among those known, each once."""
    there = {event.key for event in map(parse_line, known) if event is not None}
    fresh = []
    for line in lines:
        event = parse_line(line)
        if event is not None and event.key not in there:
            there.add(event.key)
            fresh.append(line)
    return fresh


def metric_line(name: str, value: float, *, t: float, host: str) -> str:
    """One metric as a line of the log, for what the launcher itself knows of a run."""
    head = {"v": 1, "event": "metric", "t": round(t, 3), "host": host, "seq": int(t * 1000)}
    return json.dumps({**head, "name": name, "value": value, "step": 0})
