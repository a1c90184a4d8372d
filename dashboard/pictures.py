"""Photos as small pictures that travel inside the page.

Streamlit's own store of pictures forgets one as soon as the page is drawn anew, and a browser that
asks for it a moment later is told that it is not there. What is inside the page cannot go missing.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import streamlit as st
from PIL import Image

from serving.preprocess import ImageError, decode

SMALL_PX, LARGE_PX = 256, 640
_QUALITY = 82


def picture(data: bytes, longest_px: int = SMALL_PX) -> str | None:
    """A `data:` address of the photo, upright, at most `longest_px` on its long side.

    None if it cannot be decoded within the limits that the model server keeps.
    """
    try:
        image = decode(data, short_side=longest_px)
    except ImageError:
        return None
    image.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    image.save(held, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}"


def picture_of(path: Path, longest_px: int = SMALL_PX) -> str | None:
    """The same of a file; None also if it is gone."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError:  # drawn anew or removed since the folder was read
        return None
    return _kept(path, changed, longest_px)


@st.cache_data(show_spinner=False, max_entries=512)
def _kept(path: Path, changed_ns: int, longest_px: int) -> str | None:
    del changed_ns  # a part of the key only
    try:
        return picture(path.read_bytes(), longest_px)
    except OSError:
        return None
