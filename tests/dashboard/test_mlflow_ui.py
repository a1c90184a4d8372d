"""MLflow's own pages on runs of ours: quality, cost and time under the names that are documented."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.dashboard import served
from experiments import names
from experiments.tracking import Tracker
from tests.dashboard.builders import seed, three_ways

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = (names.QUALITY_METRIC, names.COST_METRIC, names.BILLABLE_METRIC)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "tracking.md"
_WAIT_MS = 60_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlflow")
    seed(folder, three_ways())
    return folder


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    """`mlflow ui` on a store with the demo's three runs."""
    store = f"sqlite:///{home / 'mlflow.db'}"
    words = ["mlflow", "ui", "--port", "{port}", "--workers", "1", "--backend-store-uri", store]
    with served(words, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, "/health") as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(_WAIT_MS)
    yield context.new_page()
    context.close()


def test_the_names_are_documented() -> None:
    told = DOCS.read_text(encoding="utf-8")
    assert [name for name in NAMES if f"| `{name}` | metric |" not in told] == []


def test_runs_are_compared_by_quality_cost_and_time(page: Page, url: str, home: Path) -> None:
    runs = Tracker(f"sqlite:///{home / 'mlflow.db'}", home).runs()
    ids = json.dumps([run.tracker_run_id for run in runs])
    page.goto(f"{url}/#/compare-runs?runs={quote(ids)}&experiments={quote(json.dumps(['1']))}")
    title = page.get_by_text("Comparing 3 Runs from 1 Experiment")
    expect(title).to_be_visible(timeout=_WAIT_MS)
    for name in NAMES:
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=_WAIT_MS)
    for run in runs:
        # The page writes metrics with three decimals; the tag beside them has every digit of the money.
        assert page.get_by_text(f"{run.metrics[names.QUALITY_METRIC]:.3f}").first.is_visible()
        assert page.get_by_text(f"{run.cost_usd:f}", exact=True).first.is_visible()
        assert page.get_by_text(f"{run.metrics[names.BILLABLE_METRIC]:g}", exact=True).count()


def test_there_is_a_chart_of_each(page: Page, url: str) -> None:
    page.goto(f"{url}/#/experiments/1/runs?compareRunsMode=CHART")
    search = page.get_by_placeholder("Search metric charts")
    for name in NAMES:
        search.fill(name)
        heading = page.get_by_role("heading", name=name, exact=True)
        expect(heading).to_be_visible(timeout=_WAIT_MS)
        expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=_WAIT_MS)


def test_the_table_offers_each_as_a_column(page: Page, url: str) -> None:
    page.goto(f"{url}/#/experiments/1/runs")
    expect(page.get_by_text("plain-ec2").first).to_be_visible(timeout=_WAIT_MS)
    page.get_by_role("button", name="Columns").click()
    for name in NAMES:
        page.get_by_placeholder("Search").last.fill(name)
        expect(page.get_by_text(name, exact=True).last).to_be_visible(timeout=_WAIT_MS)
