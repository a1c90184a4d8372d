"""Playground: send a photo to what is live; see the breed, the time and the cost; try it under load."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import streamlit as st

from dashboard import formats, live, terms
from dashboard.parts import nothing_yet, page_title, problem, tile_row
from dashboard.playground.answer import answer_shown
from dashboard.playground.beside import beside
from dashboard.playground.choose import choose_photo
from dashboard.playground.load import load_test
from dashboard.playground.view import live_tiles, trouble
from dashboard.records import LiveRelease, Photo
from deployment.invoke import Answer, Way

_WAYS = {"Through Lambda": Way.LAMBDA, "Straight to the endpoint": Way.ENDPOINT}


def show() -> None:
    """The whole page."""
    page_title("Playground")
    st.markdown("Send a photo to the model that is live, and see what it says, takes and costs.")
    with st.skeleton(height=120):
        there = live.releases()
    if not there:
        nothing_yet(
            "Nothing is live yet",
            "Promote the best run; the plan and its monthly price come first:",
            "promote-model",
        )
        return
    chosen = _release(there)
    tile_row(live_tiles(chosen), columns=4)
    st.caption(
        f"Live since {formats.moment(chosen.since)} UTC, in {chosen.region}, {chosen.basis}."
    )
    warning = trouble(chosen)
    if warning:
        st.warning(warning, icon=":material/warning:")
    way = _way()
    photo = choose_photo()
    if isinstance(photo, Photo):
        answer = _asked(chosen, photo, way)
        answer_shown(chosen, photo, answer)
        beside(chosen, photo, answer)
    elif photo is not None:
        problem(photo.message, photo.fix)
    load_test(chosen, way)


def _release(there: Sequence[LiveRelease]) -> LiveRelease:
    names = [found.settings.name for found in there]
    if len(there) == 1:
        return there[0]
    name = st.selectbox("Application and stage", names, key="app", bind="query-params", width=280)
    return there[names.index(name)]


def _way() -> Way:
    """How the photo travels; in the address, so that a reload keeps it."""
    said = st.segmented_control(
        "Way", list(_WAYS), default=next(iter(_WAYS)), required=True, key="way",
        bind="query-params", help=terms.WAY,
    )  # fmt: skip
    return _WAYS.get(str(said), Way.LAMBDA)


def _asked(chosen: LiveRelease, photo: Photo, way: Way) -> Answer:
    """Ask once for each photo, release and way; the answer stays until something else is asked."""
    key = (hashlib.sha256(photo.data).hexdigest(), chosen.release.release_id, way)
    asked = st.session_state.get("asked")
    if asked is None or asked[0] != key:
        with st.spinner("Asking the model", show_time=True):
            asked = key, live.ask(chosen, photo, way)
        st.session_state["asked"] = asked
    answer: Answer = asked[1]
    return answer


if __name__ == "__main__":
    show()
