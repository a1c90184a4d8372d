"""Where the photo comes from: the test photos, a file, the clipboard, or the camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from dashboard import formats, live
from dashboard.pictures import picture_of
from dashboard.records import Photo
from deployment.invoke import MAX_IMAGE_BYTES
from experiments.errors import PedigreeError

_TYPES = tuple(suffix.removeprefix(".") for suffix in live.CONTENT_TYPES)
_MOST_COLUMNS = 10
_MB = 1024 * 1024
_KEPT = "It goes to the model and nowhere else, and is not kept."


def choose_photo() -> Photo | PedigreeError | None:
    """The photo to ask about, the reason why it cannot be read, or None before one is chosen."""
    photos = live.test_photos()
    names = [*(["Test photos"] if photos else []), "Upload", "Paste", "Camera"]
    tabs = dict(zip(names, st.tabs(names, on_change="rerun", key="source"), strict=True))
    if photos:
        with tabs["Test photos"]:
            _gallery(photos)
    with tabs["Upload"]:
        _upload()
    with tabs["Paste"]:
        _paste()
    with tabs["Camera"]:
        _camera(is_open=bool(tabs["Camera"].open))
    found = st.session_state.get("photo")
    return found if isinstance(found, Photo | PedigreeError) else None


def _gallery(photos: Mapping[str, Sequence[Path]]) -> None:
    """One photo of each class; another round shows the next ones."""
    turn = int(st.session_state.get("turn", 0))
    columns = min(len(photos), _MOST_COLUMNS)
    grid = st.grid(columns, min_column_width=96, gap="xsmall", key="gallery")
    for label, paths in photos.items():
        path = paths[turn % len(paths)]
        shown = picture_of(path)
        if shown is None:
            continue
        with grid.cell():
            name = formats.spoken(label)
            st.image(shown, width="stretch", alt=f"Test photo: {name}")
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
        max_upload_size=MAX_IMAGE_BYTES // _MB, help=_KEPT,
    )  # fmt: skip


def _paste() -> None:
    """The one input of Streamlit that takes an image from the clipboard is the one of its chats."""

    def take() -> None:
        said = st.session_state["paste"]
        files = list(said.files) if said is not None else []
        if files:
            sent = files[0]
            _put(Photo(name=sent.name, data=sent.getvalue(), content_type=sent.type))

    st.markdown("Copy a picture anywhere, click into the box, paste, and press Enter.", help=_KEPT)
    st.chat_input(
        "Paste a photo here", key="paste", accept_file=True, file_type=list(_TYPES),
        max_upload_size=MAX_IMAGE_BYTES // _MB, on_submit=take,
    )  # fmt: skip


def _camera(*, is_open: bool) -> None:
    """Shown only while its tab is open: it asks for the camera as soon as it is on the page."""

    def take() -> None:
        sent = st.session_state["camera"]
        if sent is not None:
            _put(Photo(name="camera.jpg", data=sent.getvalue(), content_type=sent.type))

    if is_open:
        st.camera_input(
            "A photo from the camera", key="camera", on_change=take, help=_KEPT, width=480
        )
