"""Whatever is raised inside a page, a person sees a message and a fix."""

from __future__ import annotations

import logging
import re

import pytest
from streamlit.testing.v1 import AppTest


def _foreseen() -> None:
    from dashboard.border import page_border
    from experiments.errors import CloudError

    with page_border():
        raise CloudError("the price is $5 in [this] region", fix="wait a minute")


def _unforeseen() -> None:
    from dashboard.border import page_border

    with page_border():
        raise ValueError("secret detail")


def test_a_foreseen_error_shows_message_and_fix() -> None:
    app = AppTest.from_function(_foreseen).run()
    assert not app.exception
    assert app.error[0].value == "**The price is \\$5 in \\[this] region.**\n\nWait a minute."


def test_an_unforeseen_error_is_logged_under_the_id_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, logger="pedigree.dashboard"):
        app = AppTest.from_function(_unforeseen).run()
    assert not app.exception
    shown = app.error[0].value
    assert "secret detail" not in shown
    found = re.search(r"\b[0-9a-f]{8}\b", shown)
    assert found is not None
    record = next(r for r in caplog.records if r.name == "pedigree.dashboard")
    assert found[0] in record.getMessage()
    assert record.exc_info is not None
