"""The platform's own log lines around an invocation."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures of one invocation. `init_ms` is set when the caller waited for a cold start."""

    request_id: str
    duration_ms: float
    memory_size_mb: int
    max_memory_mb: int
    init_ms: float | None = None
    status: str = "success"
    error_type: str = ""

    @property
    def billed_ms(self) -> int:
        """Whole milliseconds; the initialisation is billed too (AWS, since August 2025)."""
        return math.ceil(self.duration_ms + (self.init_ms or 0.0))


def start_line(request_id: str, version: str, *, as_json: bool, now: float) -> str:
    """START, or `platform.start`."""
    if as_json:
        return _event("platform.start", now, {"requestId": request_id, "version": version})
    return f"START RequestId: {request_id} Version: {version}"


def end_lines(report: Report, *, as_json: bool, now: float) -> list[str]:
    """END and REPORT, or `platform.report`."""
    if as_json:
        return [_event("platform.report", now, _json_record(report))]
    return [f"END RequestId: {report.request_id}", report_line(report)]


def report_line(report: Report) -> str:
    """REPORT with tabs between its fields, as CloudWatch Logs Insights parses it."""
    fields = [
        f"REPORT RequestId: {report.request_id}",
        f"Duration: {report.duration_ms:.2f} ms",
        f"Billed Duration: {report.billed_ms} ms",
        f"Memory Size: {report.memory_size_mb} MB",
        f"Max Memory Used: {report.max_memory_mb} MB",
    ]
    if report.init_ms is not None:
        fields.append(f"Init Duration: {report.init_ms:.2f} ms")
    if report.status != "success":
        fields.append(f"Status: {report.status}")
    if report.error_type:
        fields.append(f"Error Type: {report.error_type}")
    return "\t".join(fields) + "\t"


def timeout_line(request_id: str, timeout_s: int, now: float) -> str:
    """What Lambda writes when it ends a task."""
    return f"{_stamp(now)} {request_id} Task timed out after {timeout_s:.2f} seconds"


def init_report_line(init_ms: float, status: str, error_type: str) -> str:
    """INIT_REPORT: written when the initialisation itself failed."""
    fields = [f"INIT_REPORT Init Duration: {init_ms:.2f} ms", "Phase: init", f"Status: {status}"]
    if error_type:
        fields.append(f"Error Type: {error_type}")
    return "\t".join(fields)


def _json_record(report: Report) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "durationMs": round(report.duration_ms, 3),
        "billedDurationMs": report.billed_ms,
        "memorySizeMB": report.memory_size_mb,
        "maxMemoryUsedMB": report.max_memory_mb,
    }
    if report.init_ms is not None:
        metrics["initDurationMs"] = round(report.init_ms, 3)
    record = {"requestId": report.request_id, "metrics": metrics, "status": report.status}
    return {**record, "errorType": report.error_type} if report.error_type else record


def _event(kind: str, now: float, record: dict[str, Any]) -> str:
    event = {"time": _stamp(now), "type": kind, "record": record}
    return json.dumps(event, separators=(",", ":"))


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
