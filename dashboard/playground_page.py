"""Playground: send a photo through the live function, see the breed, the time and the cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from dashboard import charts, formats, live, terms
from dashboard.parts import nothing_yet, page_title, problem, tile_row
from dashboard.playground_view import (
    as_aws_cli,
    as_python,
    call_tiles,
    fault,
    live_tiles,
    request_shown,
    response_shown,
    trouble,
    verdict,
)
from dashboard.records import LiveRelease, Photo
from dashboard.style import theme
from deployment.invoke import MAX_IMAGE_BYTES, Answer
from experiments.errors import PedigreeError

_TYPES = tuple(suffix.removeprefix(".") for suffix in live.CONTENT_TYPES)
_MOST_COLUMNS = 10
_MB = 1024 * 1024


def show() -> None:
    """The whole page."""
    page_title("Playground")
    st.markdown(
        "Send a photo through the function that is live, and see what it says, takes and costs."
    )
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
    _choose_photo()
    photo = st.session_state.get("photo")
    if isinstance(photo, Photo):
        _call(chosen, photo)
    elif isinstance(photo, PedigreeError):
        problem(photo.message, photo.fix)


def _release(there: Sequence[LiveRelease]) -> LiveRelease:
    names = [found.settings.name for found in there]
    if len(there) == 1:
        return there[0]
    name = st.selectbox("Application and stage", names, key="app", bind="query-params", width=280)
    return there[names.index(name)]


def _choose_photo() -> None:
    photos = live.test_photos()
    gallery, upload = (
        st.tabs(["Test photos", "Your own photo"]) if photos else (None, st.container())
    )
    if gallery is not None:
        with gallery:
            _gallery(photos)
    with upload:
        _upload()


def _gallery(photos: Mapping[str, Sequence[Path]]) -> None:
    """One photo of each class; another round shows the next ones."""
    turn = int(st.session_state.get("turn", 0))
    columns = min(len(photos), _MOST_COLUMNS)
    grid = st.grid(columns, min_column_width=96, gap="xsmall", key="gallery")
    for label, paths in photos.items():
        path = paths[turn % len(paths)]
        if not path.is_file():  # drawn anew or removed since the folder was read
            continue
        with grid.cell():
            name = formats.spoken(label)
            st.image(str(path), width="stretch", alt=f"Test photo: {name}")
            st.button(
                name, key=f"use {label}", on_click=_use, args=(path,), width="stretch",
                type="tertiary",
            )  # fmt: skip
    st.button("Other photos", icon=":material/shuffle:", on_click=_next_turn, type="tertiary")


def _use(path: Path) -> None:
    try:
        _put(live.read_photo(path))
    except PedigreeError as error:
        _put(error)


def _put(photo: Photo | PedigreeError) -> None:
    """Make this the photo to ask about, or the reason why there is none."""
    st.session_state["photo"] = photo
    st.session_state.pop("asked", None)


def _next_turn() -> None:
    st.session_state["turn"] = int(st.session_state.get("turn", 0)) + 1


def _upload() -> None:
    def take() -> None:
        sent = st.session_state["upload"]
        if sent is not None:
            _put(Photo(name=sent.name, data=sent.getvalue(), content_type=sent.type))

    st.file_uploader(
        "A photo as JPEG, PNG or WebP", type=_TYPES, key="upload", on_change=take,
        max_upload_size=MAX_IMAGE_BYTES // _MB,
        help="It goes to the function and nowhere else, and is not kept.",
    )  # fmt: skip


def _call(chosen: LiveRelease, photo: Photo) -> None:
    """Ask once for each photo and release; what was answered stays until something else is asked."""
    key = (hashlib.sha256(photo.data).hexdigest(), chosen.release.release_id)
    asked = st.session_state.get("asked")
    if asked is None or asked[0] != key:
        with st.spinner("Asking the model", show_time=True):
            asked = key, live.ask(chosen, photo)
        st.session_state["asked"] = asked
    _answer(chosen, photo, asked[1])


def _answer(chosen: LiveRelease, photo: Photo, answer: Answer) -> None:
    picture, words = st.columns([2, 5], gap="medium")
    with picture, st.container(key="photo_sent"):
        _picture(photo, answer)
    with words, st.container(key="answer"):
        if answer.predictions:
            _prediction(photo, answer)
        else:
            said = fault(answer)
            problem(said.message, said.fix)
        tile_row(call_tiles(answer), columns=3)
        st.button("Send it again", icon=":material/replay:", on_click=_again)
    _details(chosen, photo, answer)


def _again() -> None:
    st.session_state.pop("asked", None)


def _picture(photo: Photo, answer: Answer) -> None:
    """The photo, unless it was refused: then the browser may not be able to show it either."""
    if answer.predictions:
        st.image(photo.data, width="stretch", alt=f"The photo sent: {photo.name}")
    st.caption(f"{photo.name}, {formats.size(len(photo.data))}")


def _prediction(photo: Photo, answer: Answer) -> None:
    first = answer.predictions[0]
    st.header(formats.spoken(first.label), anchor=False)
    known = verdict(photo, answer)
    with st.container(horizontal=True, vertical_alignment="center"):
        words = f"{formats.share(first.probability)} probable"
        st.markdown(words, help=terms.PROBABILITY, width="content")
        if known is not None:
            right, told = known
            icon = ":material/check:" if right else ":material/close:"
            st.badge(told, icon=icon, color="green" if right else "orange")
    chart = charts.probabilities(answer.predictions)
    st.altair_chart(
        charts.dressed(chart, theme()), alt="Probabilities of the five likeliest classes"
    )


def _details(chosen: LiveRelease, photo: Photo, answer: Answer) -> None:
    st.subheader("The call itself", anchor=False)
    names = ("Response", "Request", "Python", "AWS CLI", "Cost")
    response, request, python, cli, cost = st.tabs(names)
    response.code(response_shown(answer), language="json", wrap_lines=True)
    request.code(request_shown(chosen, photo), language="json", wrap_lines=True)
    python.code(as_python(chosen, photo), language="python", wrap_lines=True)
    cli.code(as_aws_cli(chosen, photo), language="bash", wrap_lines=True)
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


if __name__ == "__main__":
    show()
