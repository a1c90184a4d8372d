"""Homes for the dashboard to read: seeded once, pointed at by PEDIGREE_HOME as in real use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.builders import seed, two_experiments

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"
PLAYGROUND = "playground_page.py"
RUNS = "runs_page.py"
OVERVIEW = "overview/page.py"
COSTS = "costs/page.py"
SIMULATE = "simulate/page.py"
PROMOTE = "promote/page.py"
OpenApp = Callable[..., AppTest]


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
