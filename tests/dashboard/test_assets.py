"""Streamlit's own files from memory: exactly its files, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import streamlit

from dashboard.assets import ELEMENTS, KeptFiles, closure, with_links
from dashboard.pages import PAGES, addresses

STATIC = Path(streamlit.__file__).with_name("static")


def ask(path: str, *, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Any:
    """What a browser gets; `passed on` where Streamlit is left to answer."""
    said: list[MutableMapping[str, Any]] = []

    async def streamlit_app(_scope: Any, _receive: Any, _send: Any) -> None:
        said.append({"type": "passed on"})

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    asyncio.run(KeptFiles(streamlit_app, root=STATIC, pages=addresses())(scope, receive, send))
    return said


def script() -> str:
    return next((STATIC / "static" / "js").glob("DataFrame.*.js")).name


def test_a_script_is_whole_and_may_be_kept_by_the_browser() -> None:
    start, body = ask(f"/static/js/{script()}")
    headers = dict(start["headers"])
    assert body["body"] == (STATIC / "static" / "js" / script()).read_bytes()
    assert int(headers[b"content-length"]) == len(body["body"])
    assert headers[b"content-type"].startswith(b"text/javascript")
    assert b"immutable" in headers[b"cache-control"]


@pytest.mark.parametrize("path", addresses())
def test_each_page_names_its_scripts_at_its_head(path: str) -> None:
    start, body = ask(path)
    assert dict(start["headers"])[b"cache-control"] == b"no-cache"
    assert f'modulepreload" crossorigin href="./static/js/{script()}'.encode() in body["body"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../index.html", "/static/js/../../index.html", "/static/js/none.js", "/_stcore/health",
        "/oauth2callback", "/media/x.png", "//static/js/x.js", "/etc/passwd",
    ],
)  # fmt: skip
def test_anything_else_is_streamlits_to_answer(path: str) -> None:
    assert ask(path) == [{"type": "passed on"}]


def test_parts_of_files_and_other_methods_are_streamlits_too() -> None:
    path = f"/static/js/{script()}"
    assert ask(path, method="POST") == [{"type": "passed on"}]
    assert ask(path, headers=((b"range", b"bytes=0-9"),)) == [{"type": "passed on"}]


def test_every_element_is_one_of_this_streamlit() -> None:
    folder = STATIC / "static" / "js"
    assert [name for name in ELEMENTS if not list(folder.glob(f"{name}.*.js"))] == []
    assert closure(folder, ["NoSuchElement"]) == []
    assert len(closure(folder, ["DataFrame"])) > 20


def test_the_browser_is_told_where_the_server_is_before_anything_runs() -> None:
    html = ask("/runs")[1]["body"].decode()
    assert 0 < html.index("BACKEND_BASE_URL") < html.index("<script type=")


def test_a_script_is_named_once() -> None:
    html = '<head><link href="./static/js/a.js"></head><body></body>'
    assert with_links(html, ["a.js", "b.js"]).count("/a.js") == 1
    assert with_links(html, ["b.js"]).index("b.js") < html.index("</head>") + 100


def test_every_page_has_its_file() -> None:
    room = Path(__file__).resolve().parents[2] / "dashboard"
    assert [path for path, _, _ in PAGES if not (room / path).is_file()] == []
