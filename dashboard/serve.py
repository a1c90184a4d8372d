"""The dashboard's server: `streamlit run dashboard/serve.py` from the repository's folder.

The pages are `app.py`. What is added here is speed on the first visit: Streamlit reads each of the hundred
files of its own program from disk, in a thread, for every visitor, and the browser learns of half of them
only when it has run the other half. Here they are kept in memory, and the page names them at its head.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread

_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

import streamlit as st  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from dashboard.assets import KeptFiles  # noqa: E402
from dashboard.pages import addresses  # noqa: E402


def _warm() -> None:
    """What the first visitor would wait for: the libraries, and the runs on record."""
    from dashboard import live, sources
    from dashboard.compare import page as _compare
    from dashboard.runs import charts as _charts
    from dashboard.runs.ranked import overall

    del live, _compare, _charts
    sources.warm(overall)


@asynccontextmanager
async def _lifespan(_app: st.App) -> AsyncIterator[None]:
    Thread(target=_warm, name="warm", daemon=True).start()
    yield


app = st.App(
    Path(__file__).with_name("app.py"),
    lifespan=_lifespan,
    middleware=[
        Middleware(KeptFiles, root=Path(st.__file__).with_name("static"), pages=addresses())
    ],
)
