"""Alarms: kept on disk, evaluated from the data every minute of the clock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from localaws.clock import Timer
from localaws.metrics.data import MINUTE_S, MetricData
from localaws.metrics.evaluation import EXTRA_PERIODS, Point, Rule, State, judge
from localaws.metrics.queries import metric_of, period_of, series_of
from localaws.store import Store
from localaws.wire.protocol import AwsError

Doc = dict[str, Any]
TICK_S = 10.0
HISTORY_KEPT = 100
_log = logging.getLogger(__name__)


class AlarmBook:
    """The alarms of this account and the thread that evaluates them.

    `start` begins; `tick` evaluates what is due at the clock's present. Use `lock` around a
    document that is read, changed and written.
    """

    def __init__(self, store: Store, data: MetricData, clock: Timer) -> None:
        self.lock = threading.RLock()
        self._table = store.table("alarms")
        self._history = store.table("alarm-history")
        self._data = data
        self._clock = clock
        self._alarms: dict[str, Doc] = dict(self._table.items())
        self._judged: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        """Begin to evaluate."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def get(self, name: str) -> Doc | None:
        """The alarm, or None."""
        with self.lock:
            found = self._alarms.get(name)
            return dict(found) if found else None

    def everything(self) -> list[Doc]:
        """All alarms by name."""
        with self.lock:
            return [dict(self._alarms[name]) for name in sorted(self._alarms)]

    def put(self, doc: Doc) -> None:
        """Write an alarm; a new one has no data yet."""
        with self.lock:
            old = self._alarms.get(doc["AlarmName"])
            self._alarms[doc["AlarmName"]] = doc
            self._table.put(doc["AlarmName"], doc)
            self._judged.pop(doc["AlarmName"], None)
            summary = f'Alarm "{doc["AlarmName"]}" {"updated" if old else "created"}'
            self._note(doc["AlarmName"], "ConfigurationUpdate", summary)

    def delete(self, name: str) -> None:
        """Forget an alarm and its history."""
        with self.lock:
            self._alarms.pop(name, None)
            self._table.delete(name)
            for key, _ in self._history.items(f"{name}\n"):
                self._history.delete(key)

    def turn(self, name: str, state: State, reason: str, data: str | None = None) -> None:
        """Give the alarm a state; unchanged states only refresh the reason."""
        with self.lock:
            doc, now = self._alarms[name], self._clock.now()
            before = doc["StateValue"]
            doc |= {"StateValue": state, "StateReason": reason[:1023], "StateUpdatedTimestamp": now}
            if data is not None:
                doc["StateReasonData"] = data[:4000]
            if before != state:
                doc["StateTransitionedTimestamp"] = now
                if state == "ALARM":
                    doc["LastAlarm"] = now
                summary = f"Alarm updated from {before} to {state}"
                self._note(name, "StateUpdate", summary, reason)
                self._table.put(name, doc)

    def history(self, name: str | None) -> list[Doc]:
        """What happened to one alarm, or to all, oldest first."""
        prefix = f"{name}\n" if name else ""
        return sorted(
            (doc for _, doc in self._history.items(prefix)), key=lambda doc: doc["Timestamp"]
        )

    def tripped(self, names: Iterable[str], since: float) -> list[str]:
        """Those of `names` that are in ALARM, or were since epoch second `since`."""
        with self.lock:
            found = [self._alarms[name] for name in names if name in self._alarms]
        return [
            doc["AlarmName"]
            for doc in found
            if doc["StateValue"] == "ALARM" or doc.get("LastAlarm", float("-inf")) >= since
        ]

    def tick(self) -> None:
        """Evaluate every alarm for which a minute (or a shorter period) has ended."""
        now = self._clock.now()
        for doc in self.everything():
            step_s = min(period_s_of(doc), MINUTE_S)
            turn = int(now // step_s)
            if self._judged.get(doc["AlarmName"]) != turn:
                self._judged[doc["AlarmName"]] = turn
                self._judge(doc, turn * step_s)

    def _judge(self, doc: Doc, end: int) -> None:
        name, period_s = doc["AlarmName"], period_s_of(doc)
        try:
            points = self._points(doc, end, period_s)
        except AwsError as error:
            self._turn_if_there(name, "INSUFFICIENT_DATA", error.message, None)
            return
        verdict = judge(rule_of(doc), points, state=doc["StateValue"], period_s=period_s)
        if (verdict.state, verdict.reason) != (doc["StateValue"], doc["StateReason"]):
            self._turn_if_there(name, verdict.state, verdict.reason, verdict.data)

    def _turn_if_there(self, name: str, state: State, reason: str, data: str | None) -> None:
        with self.lock:
            if name in self._alarms:
                self.turn(name, state, reason, data)

    def _points(self, doc: Doc, end: int, period_s: int) -> Sequence[Point]:
        count = doc["EvaluationPeriods"] + EXTRA_PERIODS
        start = end - count * period_s
        if "Metrics" in doc:
            series = series_of(self._data, doc["Metrics"], start=start, end=end)
            values = series[watched_query(doc["Metrics"])["Id"]]
        else:
            values = self._data.values(
                metric_of(doc),
                doc.get("Statistic") or doc["ExtendedStatistic"],
                start=start,
                end=end,
                period_s=period_s,
                unit=doc.get("Unit"),
            )
        return [(at, values.get(at)) for at in range(start, end, period_s)]

    def _note(self, name: str, kind: str, summary: str, data: str = "{}") -> None:
        keys = [key for key, _ in self._history.items(f"{name}\n")]
        number = int(keys[-1].rpartition("\n")[2]) + 1 if keys else 0
        entry = {
            "AlarmName": name,
            "AlarmType": "MetricAlarm",
            "Timestamp": self._clock.now(),
            "HistoryItemType": kind,
            "HistorySummary": summary[:255],
            "HistoryData": data,
        }
        self._history.put(f"{name}\n{number:08d}", entry)
        for old in keys[: max(0, len(keys) - HISTORY_KEPT + 1)]:
            self._history.delete(old)

    def _run(self) -> None:
        while not self._clock.sleep(self._pause_s(), self._stop):
            try:
                self.tick()
            except Exception:
                _log.exception("alarms")

    def _pause_s(self) -> float:
        """Until just after the next multiple of ten seconds: data of a minute is then whole."""
        return TICK_S - self._clock.now() % TICK_S + 0.01


def rule_of(doc: Doc) -> Rule:
    """What the alarm demands."""
    return Rule(
        comparison=doc["ComparisonOperator"],
        threshold=doc["Threshold"],
        periods=doc["EvaluationPeriods"],
        needed=doc.get("DatapointsToAlarm") or doc["EvaluationPeriods"],
        missing=doc.get("TreatMissingData") or "missing",
    )


def period_s_of(doc: Doc) -> int:
    """Seconds of the alarm's period."""
    return int(doc["Period"]) if "Period" in doc else period_of(doc["Metrics"])


def watched_query(queries: Sequence[Doc]) -> Doc:
    """The one query of a metric-math alarm that returns data."""
    return next(query for query in queries if query.get("ReturnData", True))
