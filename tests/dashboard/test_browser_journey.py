"""The main journey in a real browser: which run, this photo, live, back, and under load.

Everything behind it is real but the model: localaws, the gates, the command line beside the page.
"""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.dataset import draw_dataset
from deployment.settings import ServingSettings
from deployment.store import ReleaseStore
from experiments.aws import Boto3Cloud
from tests.dashboard.builders import DATASET, seed, two_experiments
from tests.dashboard.live_world import cloud_of, draw_photos, leave_model, make_live
from tests.dashboard.test_browser import SHOTS, Visit, await_answer, serve_dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FIRST_RUN, BEST_RUN = "a1b2c3d4", "d4e5f607"
_LONGEST_MS = 120_000
PASTE = """(box, data) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const held = new DataTransfer();
  held.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
  box.dispatchEvent(
    new ClipboardEvent("paste", { clipboardData: held, bubbles: true, cancelable: true }));
}"""
"""What the browser does when a person pastes a picture."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Boto3Cloud]]:
    """The served dashboard of a home whose first run is live and whose best run is not."""
    home = tmp_path_factory.mktemp("journey")
    seed(home, two_experiments())
    draw_dataset(home / ".pedigree" / "demo-data", breeds=6, train=1, valid=1, test=3, workers=1)
    with cloud_of(home, speed=200) as cloud:
        leave_model(cloud, home, BEST_RUN, DATASET)
        first = leave_model(cloud, home, FIRST_RUN, DATASET)
        make_live(cloud, home, ServingSettings(app="dogs"), source_uri=first)
        with (home / "streamlit.log").open("wb") as log:
            server, address = serve_dashboard(home, log.fileno())
            try:
                await_answer(server, address, home / "streamlit.log")
                yield address, cloud
            finally:
                os.killpg(server.pid, signal.SIGTERM)
                server.wait(timeout=20)


def live_id(cloud: Boto3Cloud) -> str:
    return ReleaseStore(cloud=cloud, name="dogs-prod").live().release_id


def confirm(page: Page, label: str) -> None:
    """Type the name that is asked for, and press the button that it sets free."""
    box = page.get_by_role("textbox", name="Type dogs-prod to confirm")
    box.fill("dogs-prod")
    box.press("Enter")
    button = page.get_by_role("button", name=label, exact=True)
    expect(button).to_be_enabled(timeout=30_000)
    button.click()


def begun(page: Page, words: str) -> None:
    """Wait until the page tells, in a card of its own, that the work is under way: a plan's steps may
    use the same words."""
    card = page.get_by_test_id("stAlert").filter(has_text=words)
    expect(card).to_be_visible(timeout=30_000)


def done(page: Page, words: str) -> None:
    """Wait until the change of these words has ended well."""
    card = page.get_by_test_id("stAlert").filter(has_text=f"Done: pedigree {words}")
    expect(card).to_be_visible(timeout=_LONGEST_MS)


def test_from_the_list_of_runs_to_the_load_test(
    browser: Browser, house: tuple[str, Boto3Cloud]
) -> None:
    url, cloud = house
    SHOTS.mkdir(exist_ok=True)
    before = live_id(cloud)
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    try:
        visit = Visit(context, f"{url}/runs")
        page = visit.page
        compared(visit, url)
        asked(visit)
        visit.open("Promote")
        page.get_by_role("button", name="Examine it and plan").click()
        expect(
            page.get_by_text("golden photos").or_(page.get_by_text("Release r-")).first
        ).to_be_visible(timeout=_LONGEST_MS)
        visit.still()
        visit.shoot("journey-plan")
        assert visit.barriers() == []
        confirm(page, "Make it live")
        begun(page, "Under way: pedigree promote d4e5f607")
        page.reload()  # a reload in the middle harms nothing
        done(page, "promote d4e5f607")
        after = live_id(cloud)
        assert after != before
        visit.settle("Promote")
        page.get_by_role("button", name="Plan the way back").click()
        visit.still()
        confirm(page, "Go back")
        done(page, f"rollback {before}")
        assert live_id(cloud) == before
        loaded(visit)
        assert visit.complaints == []
    finally:
        context.close()


def test_a_picture_of_the_clipboard_is_asked_about(
    browser: Browser, house: tuple[str, Boto3Cloud], photo: bytes
) -> None:
    url, _ = house
    context = browser.new_context(viewport={"width": 390, "height": 844})
    try:
        visit = Visit(context, f"{url}/runs")
        visit.open("Playground")
        visit.page.get_by_role("tab", name="Paste").click()
        visit.still()
        box = visit.page.get_by_test_id("stChatInputTextArea")
        with visit.page.expect_response(lambda answer: "upload_file" in answer.url and answer.ok):
            box.evaluate(PASTE, base64.b64encode(photo).decode())
        expect(visit.page.get_by_text("pasted.jpg").first).to_be_visible(timeout=30_000)
        expect(visit.page.get_by_test_id("stChatInputSubmitButton")).to_be_enabled()
        box.press("Enter")
        expect(visit.page.get_by_text("The call itself")).to_be_visible(timeout=60_000)
        expect(visit.page.get_by_text("pasted.jpg, ").first).to_be_visible()
        assert visit.complaints == []
    finally:
        context.close()


@pytest.fixture
def photo(tmp_path: Path) -> bytes:
    draw_photos(tmp_path, each=1)
    return next(tmp_path.rglob("*.jpg")).read_bytes()


def compared(visit: Visit, url: str) -> None:
    visit.page.goto(f"{url}/runs?run={FIRST_RUN}&run={BEST_RUN}")
    visit.settle("Runs")
    visit.page.get_by_role("link", name="Compare them").click()
    visit.settle("Compare")
    expect(visit.page.get_by_text("What came out differently")).to_be_visible(timeout=30_000)


def asked(visit: Visit) -> None:
    """A photo gets its breed, through Lambda and straight."""
    page = visit.page
    visit.open("Playground")
    photo = page.locator(".st-key-gallery img").nth(2)
    breed = str(photo.get_attribute("alt")).removeprefix("Test photo: ")
    photo.click(force=True)
    expect(page.get_by_role("heading", name=breed)).to_be_visible(timeout=30_000)
    page.get_by_role("radio", name="Straight to the endpoint").click()
    expect(page.get_by_text("no function in between")).to_be_visible(timeout=30_000)


def loaded(visit: Visit) -> None:
    """Both releases beside each other, then five seconds of load, found again after a reload."""
    page = visit.page
    visit.still()  # the page is drawn anew when the change has ended
    visit.open("Playground")
    page.locator(".st-key-gallery img").nth(1).click(force=True)
    page.get_by_role("button", name="Ask it too").click(timeout=30_000)
    expect(page.get_by_text("Latency here").first).to_be_visible(timeout=60_000)
    page.locator("input[aria-label=Seconds]").press("Home")
    visit.still()
    page.get_by_role("button", name="Start the load test").click()
    begun(page, "Under way: dogs-prod")
    page.reload()
    card = page.get_by_test_id("stAlert").filter(has_text="Done: dogs-prod")
    expect(card).to_be_visible(timeout=60_000)
    visit.still()
    visit.shoot("journey-load")
    assert visit.barriers() == []
