"""The page border: what goes wrong inside a page becomes a message and a fix, never a stack trace."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from dashboard.parts import problem
from experiments.errors import PedigreeError

_log = logging.getLogger("pedigree.dashboard")


@contextmanager
def page_border() -> Iterator[None]:
    """Show any error raised inside as a card; one nobody foresaw is logged under an id."""
    try:
        yield
    except PedigreeError as error:
        problem(error.message, error.fix)
    except Exception:
        error_id = secrets.token_hex(4)
        _log.exception("unforeseen error %s", error_id)
        problem(
            "Something went wrong on this page.",
            f"reload it; if it stays, look for {error_id} in the dashboard's log",
        )
