"""The log: one JSON object a line on standard output, never a photograph or a secret."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

Log: TypeAlias = Callable[[dict[str, Any]], None]


def log_line(content: dict[str, Any]) -> None:
    """Write one JSON object as a line on standard output."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


class JsonLogs(logging.Handler):
    """Turns what libraries log into lines of the same log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        line = {"t": round(time.time(), 3), "level": record.levelname.lower(), "from": record.name}
        text = record.getMessage()[:2000]
        if record.exc_info and record.exc_info[1] is not None:
            line["fault"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"[:2000]
        self._log({**line, "message": text})


def gather_logs(log: Log) -> None:
    """From now on the web server's records and Python's warnings become lines of `log`."""
    logging.captureWarnings(True)
    for name in ("uvicorn", "asyncio", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [JsonLogs(log)], False
