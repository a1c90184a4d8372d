"""Homes for the dashboard to read: seeded once, pointed at by PEDIGREE_HOME as in real use."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from streamlit.testing.v1 import AppTest

from tests.dashboard.builders import seed, two_experiments

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"
PLAYGROUND = "playground/page.py"
RUNS = "runs/page.py"
COMPARE = "compare/page.py"
PLAN = "plan/page.py"
OVERVIEW = "overview/page.py"
COSTS = "costs/page.py"
SIMULATE = "simulate/page.py"
PROMOTE = "promote/page.py"
OpenApp = Callable[..., AppTest]
LAUNCH = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium with a user data folder of its own.

    Not for the whole session: Playwright's event loop runs on until it ends, and no other test
    could start one.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on the PATH: install the package `chromium` to run this walk")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(LAUNCH))
        yield running
        running.close()


@pytest.fixture(scope="session")
def seeded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with twelve runs in two experiments, on a real sqlite."""
    home = tmp_path_factory.mktemp("seeded")
    seed(home, two_experiments())
    return home


@pytest.fixture
def open_app(monkeypatch: pytest.MonkeyPatch) -> OpenApp:
    """`open_app(home, page, **query)` runs the app as a person with that address would see it."""

    def run(home: Path, page: str = RUNS, **query: str | list[str]) -> AppTest:
        monkeypatch.setenv("PEDIGREE_HOME", str(home))
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.setenv("PEDIGREE_MLFLOW_URL", "http://127.0.0.1:5050")
        app = AppTest.from_file(str(APP), default_timeout=60)
        if page != OVERVIEW:
            app.run()
            app.switch_page(page)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return run
