"""The settings the dashboard is served with: closed to the outside, readable in light and dark."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from dashboard.style import logo
from tests.dashboard.test_runs_view import PAPER, contrast

CONFIG = Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml"


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return tomllib.loads(CONFIG.read_text(encoding="utf-8"))


def test_closed_to_the_outside(config: dict[str, Any]) -> None:
    server = config["server"]
    assert server["address"] == "127.0.0.1"
    assert set(server["allowedHosts"]) == {"127.0.0.1", "localhost"}
    assert server["enableXsrfProtection"] is True
    assert server["maxUploadSize"] == 6
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_marks_stand_out(config: dict[str, Any], theme: str) -> None:
    colours = config["theme"][theme]
    assert colours["backgroundColor"] == PAPER[theme]
    papers = (colours["backgroundColor"], colours["secondaryBackgroundColor"])
    for paper in papers:
        assert contrast(colours["textColor"], paper) >= 7
        assert contrast(colours["linkColor"], paper) >= 4.5
        assert contrast(colours["grayTextColor"], paper) >= 4.5
        assert contrast(colours["primaryColor"], paper) >= 4.5
        for mark in colours["chartCategoricalColors"]:
            assert contrast(mark, paper) >= 3


def test_the_logo_is_drawn_for_each_theme() -> None:
    assert logo("light") != logo("dark")
    assert "<text" not in logo("light", word=False)
