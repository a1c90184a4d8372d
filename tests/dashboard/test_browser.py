"""The dashboard in a real browser: served as `pedigree up` serves it, walked, looked at.

The screenshots are kept in `test-artifacts/`, which git ignores.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Page, Position, expect

from dashboard.runs.page import ROW_PX
from demo.dataset import draw_dataset
from deployment.settings import ServingSettings
from tests.dashboard.builders import seed, two_experiments
from tests.dashboard.live_world import cloud_of, make_live

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "test-artifacts"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
_START_S = 60.0
_LONGEST_PX = 4000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The served dashboard of a home with twelve runs and a live release."""
    home = tmp_path_factory.mktemp("browser")
    seed(home, two_experiments())
    draw_dataset(home / ".pedigree" / "demo-data", breeds=8, train=1, valid=1, test=2, workers=1)
    with cloud_of(home) as cloud:
        make_live(cloud, home, ServingSettings(app="dogs"))
        with (home / "streamlit.log").open("wb") as log:
            server, address = serve_dashboard(home, log.fileno())
            try:
                await_answer(server, address, home / "streamlit.log")
                yield address
            finally:
                os.killpg(server.pid, signal.SIGTERM)
                server.wait(timeout=20)


def serve_dashboard(
    home: Path, log: int, *, host: str = "127.0.0.1", port: int = 0, **more: str
) -> tuple[subprocess.Popen[bytes], str]:
    """Start the dashboard of a home on `port` (0 for a free one); the process, which leads its group,
    and the URL. `more` are options of Streamlit's, with a double underscore for the dot."""
    port = port or free_port(host)
    options = {"server.port": str(port), "server.address": host}
    options |= {name.replace("__", "."): value for name, value in more.items()}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    env = {**os.environ, "PEDIGREE_HOME": str(home), "PEDIGREE_MLFLOW_URL": "http://127.0.0.1:5050"}
    env.pop("MLFLOW_TRACKING_URI", None)
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "dashboard/serve.py", *words],
        cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    return server, f"http://{host}:{port}"


def free_port(host: str = "127.0.0.1") -> int:
    """A port of `host` that nobody listens on."""
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def await_answer(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Wait until it answers; fails the test with its log if it does not."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the dashboard did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


class Visit:
    """A person at one page width and theme, who hears every complaint of the console."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda m: self._hear(m.type, m.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)
        self.settle("Runs")

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    def settle(self, title: str) -> None:
        """Wait until the page with this title stands and nothing runs any more."""
        expect(self.page.get_by_role("heading", name=title, level=1)).to_be_visible(timeout=30_000)
        self.still()

    def still(self) -> None:
        """Wait until the script has ended and charts and photos are drawn."""
        app = self.page.get_by_test_id("stApp")
        expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=60_000)
        expect(self.page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=30_000)
        self.page.wait_for_load_state("networkidle")

    def open(self, title: str) -> None:
        """Go to a page through the navigation: a row in the page on a phone, the header else."""
        self.page.get_by_role("link", name=title).filter(visible=True).click()
        self.settle(title)

    def barriers(self) -> list[str]:
        """What axe finds serious or critical, with the element."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {node['html'][:200]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def shoot(self, name: str) -> None:
        """Keep a picture of the whole page, and hold what every page must keep to."""
        width = self.page.viewport_size["width"] if self.page.viewport_size else 0
        inner = self.page.get_by_test_id("stMain").evaluate("e => [e.scrollHeight, e.scrollWidth]")
        assert inner[1] <= width, "the page is wider than the window"
        assert self.page.get_by_test_id("stException").count() == 0
        before = self.page.viewport_size
        self.page.set_viewport_size({"width": width, "height": min(inner[0] + 8, _LONGEST_PX)})
        self.still()
        self.page.screenshot(path=SHOTS / f"{name}.png", animations="disabled")
        if before:
            self.page.set_viewport_size(before)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_stands(browser: Browser, url: str, theme: str, size: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
    )
    try:
        visit = Visit(context, f"{url}/runs?run=a1b2c3d4&run=c3d4e5f6")
        expect(visit.page.locator(".st-key-filters")).to_be_visible()
        assert visit.page.get_by_test_id("stAlert").count() == 0
        visit.shoot(f"runs-{theme}-{size}")
        assert visit.barriers() == []
        visit.page.get_by_role("link", name="Compare them").click()
        visit.settle("Compare")
        expect(visit.page.get_by_text("What came out differently")).to_be_visible()
        visit.shoot(f"compare-{theme}-{size}")
        assert visit.barriers() == []
        visit.open("Playground")
        photo = visit.page.locator(".st-key-gallery img").nth(2)
        breed = str(photo.get_attribute("alt")).removeprefix("Test photo: ")
        photo.click(force=True)
        expect(visit.page.get_by_role("heading", name=breed)).to_be_visible(timeout=30_000)
        visit.still()
        assert visit.page.get_by_test_id("stAlert").count() == 0
        visit.shoot(f"playground-{theme}-{size}")
        assert visit.barriers() == []
        for title in ("Overview", "Plan", "Costs", "Simulate", "Promote"):
            visit.open(title)
            visit.shoot(f"{title.lower()}-{theme}-{size}")
            assert visit.barriers() == []
        assert visit.complaints == []
    finally:
        context.close()


def test_the_runs_walk(browser: Browser, url: str) -> None:
    """Filter, reload, tick two runs, compare them, reload, choose another, come back."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        visit = Visit(context, f"{url}/runs?sort=cost&columns=run&columns=quality&columns=cost")
        page = visit.page
        page.get_by_role("button", name="ec2", exact=True).click()
        page.wait_for_url("**on=ec2*")
        page.reload()
        visit.settle("Runs")
        expect(page.get_by_text("simulated · 4 runs")).to_be_visible()
        for kept in ("on=ec2", "sort=cost", "columns=quality"):
            assert kept in page.url
        visit.still()
        page.get_by_test_id("stDataFrame").first.click(position=_box_of_row(1))
        page.wait_for_url("**run=*")
        expect(page.get_by_text("tick another row")).to_be_visible()
        visit.still()
        page.get_by_test_id("stDataFrame").first.click(position=_box_of_row(3))
        page.get_by_role("link", name="Compare them").click()
        visit.settle("Compare")
        expect(page.get_by_text("Learning curves")).to_be_visible(timeout=30_000)
        assert page.url.count("run=") == 2
        page.reload()
        visit.settle("Compare")
        expect(page.get_by_text("Do the probabilities hold?")).to_be_visible(timeout=30_000)
        with page.expect_download() as taken:
            page.get_by_role("button", name="The classes as CSV").click()
        assert taken.value.suggested_filename == "classes.csv"
        visit.open("Runs")
        expect(page.get_by_role("link", name="Compare them")).to_be_visible()
        assert visit.complaints == []
    finally:
        context.close()


def _box_of_row(row: int) -> Position:
    """Where the box to tick is in a row of the leaderboard, which is drawn on a canvas."""
    return {"x": 16, "y": ROW_PX * (row + 1) + ROW_PX / 2}


def test_a_text_named_jpg_is_refused_in_words(browser: Browser, url: str, tmp_path: Path) -> None:
    SHOTS.mkdir(exist_ok=True)
    (tmp_path / "notes.jpg").write_text("this is no photo", encoding="utf-8")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        visit = Visit(context, f"{url}/runs")
        visit.open("Playground")
        visit.page.get_by_role("tab", name="Upload").click()
        sent = visit.page.get_by_test_id("stFileUploaderDropzoneInput")
        sent.set_input_files(tmp_path / "notes.jpg")
        said = visit.page.get_by_text("not a photo that can be read").first
        expect(said).to_be_visible(timeout=30_000)
        visit.shoot("playground-refused")
        assert visit.complaints == []
    finally:
        context.close()
