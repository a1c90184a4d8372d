"""Streamlit's own program for the browser, kept in memory and named at the head of the page.

Measured (benchmarks/RESULTS.md): from disk, each of its hundred files takes several hops between threads,
and the browser learns of half of them only when it has run the other half.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ELEMENTS = (
    "StreamlitMarkdown", "Html", "Button", "LinkButton", "PageLink", "Metric", "Multiselect",
    "ButtonGroup", "Selectbox", "DataFrame",
)  # fmt: skip
"""The parts of Streamlit's program that the first screen of Runs is made of."""
_IMPORT = re.compile(r"""(?:from|import)["'`]\./([\w.-]+\.js)["'`]""")
_SERVER = (
    "<script>window.__streamlit = {BACKEND_BASE_URL: new URL('.', location.href).href}</script>"
)
"""Where the server is, as seen from any page. Untold, the browser asks below the page's own address first,
and the right one after a pause of 200 ms."""
_FOR_EVER = b"public, immutable, max-age=31536000"


def closure(folder: Path, elements: Iterable[str]) -> list[str]:
    """The script files of these elements and all that those import, in the order in which they are met.

    An element that this version of Streamlit calls otherwise is passed over.
    """
    found: dict[str, None] = {}
    ahead = [path.name for name in elements for path in sorted(folder.glob(f"{name}.*.js"))]
    while ahead:
        name = ahead.pop(0)
        if name not in found and (folder / name).is_file():
            found[name] = None
            ahead += _IMPORT.findall((folder / name).read_text(encoding="utf-8"))
    return list(found)


def with_links(html: str, names: Iterable[str]) -> str:
    """The page with a link at its head for each script that it does not name yet."""
    links = "".join(
        f'<link rel="modulepreload" crossorigin href="./static/js/{name}">'
        for name in names
        if f"/{name}" not in html
    )
    return html.replace("</head>", f"{links}</head>", 1)


def with_server(html: str) -> str:
    """The page that tells Streamlit's program, before it begins, where its server is."""
    return html.replace("<head>", f"<head>{_SERVER}", 1)


class KeptFiles:
    """Answers for the static files and for the pages' frame; everything else goes on to Streamlit.

    `root` is Streamlit's static folder, `pages` the addresses that get its index.html. A file is read
    when it is first asked for; only files that were there at the start are ever read.
    """

    def __init__(self, app: Any, *, root: Path, pages: tuple[str, ...]) -> None:
        self._app = app
        self._root = root
        self._pages = pages
        self._there = {f"/static/{name}": path for name, path in _files(root / "static")}
        self._kept: dict[str, bytes] = {}
        index = (root / "index.html").read_text(encoding="utf-8")
        scripts = closure(root / "static" / "js", ELEMENTS)
        self._index = with_server(with_links(index, scripts)).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or scope["method"] != "GET" or _partial(scope):
            await self._app(scope, receive, send)
        elif path in self._there:
            await _answer(send, self._read(path), _kind(path), _FOR_EVER)
        elif path in self._pages:
            await _answer(send, self._index, b"text/html; charset=utf-8", b"no-cache")
        else:
            await self._app(scope, receive, send)

    def _read(self, path: str) -> bytes:
        if path not in self._kept:
            self._kept[path] = self._there[path].read_bytes()
        return self._kept[path]


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _partial(scope: Scope) -> bool:
    return any(name == b"range" for name, _ in scope["headers"])


def _kind(path: str) -> bytes:
    if path.endswith(".js"):
        return b"text/javascript; charset=utf-8"
    return (mimetypes.guess_type(path)[0] or "application/octet-stream").encode()


async def _answer(send: Send, body: bytes, kind: bytes, caching: bytes) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", caching),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
