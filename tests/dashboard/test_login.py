"""Streamlit's own login at a public address, by a browser and a provider of OpenID Connect."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboard.builders import seed, two_experiments
from tests.dashboard.oidc import CLIENT, SECRET, provider
from tests.dashboard.test_browser import await_answer, free_port, serve_dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ADA = "ada@kennel.example"
HOST = "127.0.0.2"  # this machine's own, and public to the dashboard


@contextmanager
def public_dashboard(home: Path, issuer: str) -> Iterator[str]:
    """The dashboard at a public address, with a login, on a free port."""
    port = free_port(HOST)
    secrets = home / "secrets.toml"
    secrets.write_text(
        f"""[auth]
redirect_uri = "http://{HOST}:{port}/oauth2callback"
cookie_secret = "a-cookie-secret-of-thirty-two-letters"
client_id = "{CLIENT}"
client_secret = "{SECRET}"
server_metadata_url = "{issuer}/.well-known/openid-configuration"
"""
    )
    options = {"server__allowedHosts": HOST, "secrets__files": str(secrets)}
    with (home / "streamlit.log").open("wb") as log:
        server, url = serve_dashboard(home, log.fileno(), host=HOST, port=port, **options)
        try:
            await_answer(server, url, home / "streamlit.log")
            yield url
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=20)


def test_who_logs_in_may_look_and_an_operator_may_act(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(tmp_path, two_experiments())
    monkeypatch.setenv("PEDIGREE_OPERATORS", ADA)
    with provider(ADA) as issuer, public_dashboard(tmp_path, issuer) as url:
        context = browser.new_context()
        try:
            page = context.new_page()
            page.goto(f"{url}/runs")
            expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=60_000)
            assert page.get_by_text("wide-head").count() == 0
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_text(f"{ADA} may look and act.")).to_be_visible(timeout=60_000)
            page.goto(f"{url}/runs")
            expect(page.get_by_text("12 runs in 2 experiments")).to_be_visible(timeout=60_000)
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=60_000)
        finally:
            context.close()
