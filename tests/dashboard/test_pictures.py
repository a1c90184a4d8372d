"""A photo inside the page: small, upright, and refused quietly when it is not one."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from dashboard.pictures import SMALL_PX, picture, picture_of

_HEAD = "data:image/jpeg;base64,"
_TURNED_LEFT = 6
_ORIENTATION = 0x0112


def test_a_large_photo_is_made_small_and_set_upright() -> None:
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED_LEFT
    shown = picture(jpeg(1200, 600, exif=exif.tobytes()))
    assert shown is not None
    assert opened(shown).size == (SMALL_PX // 2, SMALL_PX)


def test_a_small_photo_is_not_blown_up() -> None:
    shown = picture(jpeg(60, 40))
    assert shown is not None
    assert opened(shown).size == (60, 40)


def test_what_is_no_photo_gives_no_picture() -> None:
    assert picture(b"<svg onload='alert(1)'/>") is None
    assert picture(b"") is None


def test_a_file_is_read_again_when_it_changed_and_may_be_gone(tmp_path: Path) -> None:
    path = tmp_path / "dog.jpg"
    assert picture_of(path) is None
    path.write_bytes(jpeg(60, 40))
    first = picture_of(path)
    path.write_bytes(jpeg(50, 40))
    second = picture_of(path)
    assert first is not None
    assert second is not None
    assert opened(second).width == 50


def jpeg(width: int, height: int, **options: bytes) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(held, "JPEG", **options)
    return held.getvalue()


def opened(address: str) -> Image.Image:
    assert address.startswith(_HEAD)
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix(_HEAD))))
