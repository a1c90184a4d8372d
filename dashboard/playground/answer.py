"""What the model said: the breed, how sure, photos of it, the time, the cost, and the call itself."""

from __future__ import annotations

import streamlit as st

from dashboard import charts, formats, live, terms
from dashboard.parts import problem, tile_row
from dashboard.pictures import LARGE_PX, picture, picture_of
from dashboard.playground.calls import (
    as_aws_cli,
    as_curl,
    as_python,
    request_shown,
    response_shown,
)
from dashboard.playground.drawn import split_bars
from dashboard.playground.view import call_tiles, fault, latency_split, samples, verdict
from dashboard.plots import draw
from dashboard.records import LiveRelease, Photo
from deployment.invoke import Answer

_CLASSES_SHOWN = 5
_EACH = 2


def answer_shown(chosen: LiveRelease, photo: Photo, answer: Answer) -> None:
    """The whole answer, from the breed to the same call in other languages."""
    picture, words = st.columns([2, 5], gap="medium")
    with picture, st.container(key="photo_sent"):
        _picture(photo, answer)
    with words, st.container(key="answer"):
        if answer.predictions:
            prediction(photo, answer)
        else:
            said = fault(answer)
            problem(said.message, said.fix)
        tile_row(call_tiles(answer), columns=3)
        st.button("Send it again", icon=":material/replay:", on_click=_again)
    if answer.predictions:
        _samples(photo, answer)
    _split(answer)
    _details(chosen, photo, answer)


def _again() -> None:
    st.session_state.pop("asked", None)


def _picture(photo: Photo, answer: Answer) -> None:
    """The photo, unless it was refused: then the browser may not be able to show it either."""
    shown = picture(photo.data, LARGE_PX) if answer.predictions else None
    if shown is not None:
        st.image(shown, width="stretch", alt=f"The photo sent: {photo.name}")
    st.caption(f"{photo.name}, {formats.size(len(photo.data))}")


def prediction(photo: Photo, answer: Answer) -> None:
    """The likeliest class as a heading, whether it is right, and the next ones as bars."""
    first = answer.predictions[0]
    st.header(formats.spoken(first.label), anchor=False)
    known = verdict(photo, answer.predictions)
    with st.container(horizontal=True, vertical_alignment="center"):
        words = f"{formats.share(first.probability)} probable"
        st.markdown(words, help=terms.PROBABILITY, width="content")
        if known is not None:
            right, told = known
            icon = ":material/check:" if right else ":material/close:"
            st.badge(told, icon=icon, color="green" if right else "orange")
    draw(charts.probabilities(answer.predictions), "Probabilities of the five likeliest classes")


def _samples(photo: Photo, answer: Answer) -> None:
    """Test photos of the likeliest classes, to see what the model took it for."""
    photos = live.test_photos()
    found = [
        (one, paths)
        for one in answer.predictions[:_CLASSES_SHOWN]
        if (paths := samples(photos, one.label, sent=photo, most=_EACH))
    ]
    if not found:
        return
    st.subheader("What these look like", anchor=False)
    grid = st.grid(len(found), min_column_width=120, gap="small", key="samples")
    for one, paths in found:
        name = formats.spoken(one.label)
        with grid.cell():
            with st.container(horizontal=True, gap="xxsmall", wrap=False):
                for path in paths:
                    shown = picture_of(path)
                    if shown is not None:
                        st.image(shown, width="stretch", alt=f"A test photo of {name}")
            st.caption(f"{name} · {formats.share(one.probability)}")


def _split(answer: Answer) -> None:
    parts = latency_split(answer)
    if not parts:
        return
    st.subheader("Where the time went", anchor=False, help=terms.SPLIT)
    told = ", ".join(f"{part.name} {formats.milliseconds(part.ms)}" for part in parts)
    draw(split_bars(parts), f"The latency: {told}")


def _details(chosen: LiveRelease, photo: Photo, answer: Answer) -> None:
    st.subheader("The call itself", anchor=False)
    way = answer.way
    names = ("Response", "Request", "curl", "AWS CLI", "Python", "Cost")
    response, request, curl, cli, python, cost = st.tabs(names)
    response.code(response_shown(answer), language="json", wrap_lines=True)
    request.code(request_shown(chosen, photo, way), language="json", wrap_lines=True)
    curl.code(as_curl(chosen, photo, way), language="bash", wrap_lines=True)
    cli.code(as_aws_cli(chosen, photo, way), language="bash", wrap_lines=True)
    python.code(as_python(chosen, photo, way), language="python", wrap_lines=True)
    with cost:
        _ledger(answer)


def _ledger(answer: Answer) -> None:
    rows = [
        {
            "item": line.item,
            "quantity": f"{line.quantity} {line.price.unit}",
            "price": f"{formats.usd(line.price.usd)} per {line.price.unit}",
            "read on": line.price.as_of,
            "cost": formats.usd(line.usd, answer.cost.basis),
        }
        for line in answer.cost.lines
    ]
    if rows:
        st.dataframe(rows, hide_index=True, alt="The cost of the call, line by line")
    for text in answer.cost.not_counted:
        st.caption(f"Not counted: {text}.".replace("$", "\\$"))
