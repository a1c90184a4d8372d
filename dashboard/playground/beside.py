"""The same photo for another release: it answers from its own archive, on this machine."""

from __future__ import annotations

import hashlib

import streamlit as st

from dashboard import charts, formats, live, terms
from dashboard.parts import problem, tile_row
from dashboard.playground.view import rival_predictions, rival_tiles, verdict
from dashboard.plots import draw
from dashboard.records import LiveRelease, Photo
from deployment.gates.trial import Reply
from deployment.invoke import Answer, Prediction
from deployment.store import ReleaseRecord

_KEPT = 8
_HELD = "rival_answers"


def beside(chosen: LiveRelease, photo: Photo, answer: Answer) -> None:
    """Choose a release, ask it, and see both answers side by side."""
    records = {record.release.release_id: record for record in live.rivals(chosen)}
    if not records or not answer.predictions:
        return
    st.header("Beside another release", anchor=False, help=terms.RIVAL)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picked = st.selectbox(
            "Release", list(records), key="rival", width=420,
            format_func=lambda release_id: _named(records[release_id]),
        )  # fmt: skip
        asked = st.button("Ask it too", icon=":material/compare:")
    key = (picked, hashlib.sha256(photo.data).hexdigest())
    held: dict[tuple[str, str], Reply] = st.session_state.setdefault(_HELD, {})
    if asked and key not in held:
        with st.spinner("Serving its archive on this machine", show_time=True):
            held[key] = live.ask_rival(records[picked], photo)
        while len(held) > _KEPT:  # the oldest goes
            del held[next(iter(held))]
    if key in held:
        _both(chosen, photo, answer, records[picked], held[key])


def _named(record: ReleaseRecord) -> str:
    release = record.release
    quality = formats.share(release.metrics.get("test/top1"))
    return f"{release.run_name} · {quality} · {release.release_id}"


def _both(
    chosen: LiveRelease, photo: Photo, answer: Answer, record: ReleaseRecord, reply: Reply
) -> None:
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, key="rival_live", height="stretch"):
        st.subheader(formats.plain(chosen.release.run_name), anchor=False)
        st.caption(f"{chosen.release.release_id} · live, asked in the cloud")
        _said(photo, answer.predictions, chosen.release.run_name)
        st.caption(
            f"Latency {formats.milliseconds(answer.latency_ms)}, with the way there and back."
        )
    with right, st.container(border=True, key="rival_here", height="stretch"):
        st.subheader(formats.plain(record.release.run_name), anchor=False)
        st.caption(f"{record.release.release_id} · {record.status.value}, served on this machine")
        found = rival_predictions(reply)
        if found:
            _said(photo, found, record.release.run_name)
        else:
            problem(f"it answered with status {reply.status}", "choose another photo or release")
        tile_row(rival_tiles(reply), columns=1)


def _said(photo: Photo, predictions: tuple[Prediction, ...], name: str) -> None:
    first = predictions[0]
    known = verdict(photo, predictions)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{formats.spoken(first.label)}**", width="content")
        if known is not None:
            right, told = known
            st.badge(
                told, icon=":material/check:" if right else ":material/close:",
                color="green" if right else "orange",
            )  # fmt: skip
    draw(charts.probabilities(predictions), f"What {name} says")
