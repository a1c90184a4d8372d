"""The Runs page with 10,000 runs in a browser: first useful paint and a filter, with two to hold it against.

    python -m benchmarks.dashboard [--repeats 5]

Beside it: Streamlit's own least (a heading and a table of three rows), and MLflow's UI on the same fresh
sqlite store. Debian's chromium visits them in turn, each visit with a cache of its own. The answer is
the sentence that names the best run and what it cost, the figures are the boxes below it; painted is when the
table is drawn, too; filtered is when the page says so.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.leaderboard import fill

_ROOT = Path(__file__).resolve().parents[1]
_READY_S = 120.0
_WAIT_MS = 60_000
_TABLE = "[data-testid=stDataFrame] canvas"
_EMPTY = 'import streamlit as st\nst.title("Empty")\nst.dataframe({"a": [1, 2, 3]})\n'


@contextmanager
def served(argv: list[str], env: dict[str, str], path: str) -> Iterator[str]:
    """A server on a free loopback port (`{port}` in its words), ready at `path`; stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [word.replace("{port}", port) for word in argv]
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=_ROOT, env={**os.environ, **env},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url + path, timeout=5):  # noqa: S310
                    break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def visit_dashboard(browser: Browser, url: str) -> tuple[float, float, float, float]:
    """Seconds to the answer, the figures and the table, and from the click on a filter to the table of it."""
    page = browser.new_page()
    start = time.perf_counter()
    page.goto(f"{url}/runs")
    page.get_by_text("is the best").wait_for(timeout=_WAIT_MS)
    answer = time.perf_counter() - start
    page.get_by_test_id("stMetric").last.wait_for(timeout=_WAIT_MS)
    figures = time.perf_counter() - start
    page.locator(_TABLE).first.wait_for(timeout=_WAIT_MS)
    painted = time.perf_counter() - start
    app = page.get_by_test_id("stApp")
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    start = time.perf_counter()
    page.get_by_role("button", name="failed", exact=True).click()
    page.wait_for_url("**status=failed*", timeout=_WAIT_MS)
    page.get_by_text("simulated · 100 runs").wait_for(timeout=_WAIT_MS)
    filtered = time.perf_counter() - start
    assert app.count() == 1
    page.close()
    return answer, figures, painted, filtered


def visit_empty(browser: Browser, url: str) -> tuple[float, float]:
    """Seconds to the heading and to the table of an application that has nothing else."""
    page = browser.new_page()
    start = time.perf_counter()
    page.goto(url)
    page.get_by_role("heading", name="Empty").wait_for(timeout=_WAIT_MS)
    heading = time.perf_counter() - start
    page.locator(_TABLE).first.wait_for(timeout=_WAIT_MS)
    painted = time.perf_counter() - start
    page.close()
    return heading, painted


def visit_mlflow(browser: Browser, url: str) -> float:
    """Seconds to the first rows of MLflow's own table (it brings 100 of them at a time)."""
    page = browser.new_page()
    start = time.perf_counter()
    page.goto(f"{url}/#/experiments/1/runs")
    page.get_by_text("run-9999", exact=True).first.wait_for(timeout=_WAIT_MS)
    painted = time.perf_counter() - start
    page.close()
    return painted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        fill(home / "mlflow.db", 10_000)
        _fail_every_hundredth(home / "mlflow.db")
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        with ExitStack() as servers:
            dashboard, empty, mlflow = (
                servers.enter_context(served(*one)) for one in _contenders(home)
            )
            visits = [
                (
                    *visit_dashboard(browser, dashboard),
                    *visit_empty(browser, empty),
                    visit_mlflow(browser, mlflow),
                )
                for _ in range(repeats + 1)
            ][1:]
        browser.close()
    names = (
        "Runs answer",
        "Runs figures",
        "Runs painted",
        "filtered",
        "Streamlit heading",
        "Streamlit table",
        "MLflow UI",
    )
    for name, values in zip(names, zip(*visits, strict=True), strict=True):
        print(f"{name:>17}: {statistics.median(values):.2f} s (worst {max(values):.2f} s)")


def _contenders(home: Path) -> list[tuple[list[str], dict[str, str], str]]:
    """What is served: the words after `python -m`, the environment, where it says that it is ready."""
    (home / "empty.py").write_text(_EMPTY, encoding="utf-8")
    streamlit = ["streamlit", "run", "--server.port", "{port}"]
    store = f"sqlite:///{home / 'mlflow.db'}"
    mlflow = ["mlflow", "ui", "--port", "{port}", "--workers", "1", "--backend-store-uri", store]
    return [
        ([*streamlit, "dashboard/serve.py"], {"PEDIGREE_HOME": str(home)}, "/_stcore/health"),
        ([*streamlit, str(home / "empty.py")], {}, "/_stcore/health"),
        (mlflow, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, "/health"),
    ]


def _fail_every_hundredth(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as db:
        db.execute(
            "UPDATE tags SET value = 'failed' WHERE key = 'pedigree.status' AND run_uuid IN"
            " (SELECT run_uuid FROM runs WHERE start_time % 100 = 0)"
        )


if __name__ == "__main__":
    main()
