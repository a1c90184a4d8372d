"""What a person reads on a page under test."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def words(app: AppTest) -> str:
    """Everything the page says outside tables."""
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.error, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def assert_whole(app: AppTest) -> None:
    """Neither a stack trace nor an error card."""
    assert not app.exception
    assert not app.error, app.error[0].value
