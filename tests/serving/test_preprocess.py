"""Decode and transform: every kind of photo, every limit, nothing but ImageError."""

import io
import json
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from serving.preprocess import ImageError, Limits, Transform, decode, load, to_array
from tests.serving.builders import TRANSFORM, drawn, encoded, shared_data


def refused(data: bytes, limits: Limits | None = None) -> str:
    """The code of the ImageError that decoding raises."""
    with pytest.raises(ImageError) as caught:
        decode(data, limits or Limits())
    assert caught.value.message and caught.value.fix
    return caught.value.code


def far_apart(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two images, in 0 to 255."""
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_decodes_each_allowed_format_by_content(kind: str) -> None:
    photo = drawn()
    assert far_apart(decode(encoded(photo, kind, quality=95)), photo) < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    photo = drawn()
    if mode == "I;16":
        grey = np.asarray(photo.convert("L")).astype(np.uint16) * 257
        seen, expected = decode(encoded(Image.fromarray(grey), "PNG")), photo.convert("L")
    else:
        expected = photo.convert(mode)
        seen = decode(encoded(expected, "PNG"))
    assert seen.mode == "RGB"
    assert far_apart(seen, expected.convert("RGB")) < 1


def test_cmyk_jpeg_keeps_its_colours() -> None:
    photo = drawn()
    assert far_apart(decode(encoded(photo.convert("CMYK"))), photo) < 25


def test_transparent_parts_are_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert np.asarray(decode(encoded(clear, "PNG"))).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encoded(drawn(size=(96, 48)), quality=95, exif=exif)
    with Image.open(io.BytesIO(stored)) as opened:
        expected = ImageOps.exif_transpose(opened)
    seen = decode(stored)
    assert seen.size == expected.size
    assert far_apart(seen, expected) == 0


def test_a_large_jpeg_is_decoded_small_and_gives_nearly_the_same_input() -> None:
    smooth = drawn(size=(64, 48)).resize((1600, 1200), Image.Resampling.BICUBIC)
    data = encoded(smooth, quality=95)
    reduced = decode(data, short_side=TRANSFORM.resize)
    assert 2 * TRANSFORM.resize <= min(reduced.size) < 1200 / 4
    difference = np.abs(load(data, TRANSFORM) - to_array(decode(data), TRANSFORM))
    assert difference.mean() < 0.05


def test_a_sliver_never_grows() -> None:
    sliver = Image.new("RGB", (1, 4000), (10, 20, 30))
    assert load(encoded(sliver, "PNG"), TRANSFORM).shape == (3, 32, 32)


def test_transform_scales_and_normalises() -> None:
    grey = Image.new("RGB", (80, 40), (255, 0, 51))
    pixels = to_array(grey, TRANSFORM)
    assert pixels.dtype == np.float32 and pixels.flags.c_contiguous
    expected = [(1 - 0.5) / 0.25, -0.5 / 0.25, (0.2 - 0.5) / 0.25]
    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), expected, atol=1e-5)


def test_the_cut_is_the_middle() -> None:
    marked = Image.new("RGB", (100, 50))
    marked.paste((255, 255, 255), (23, 0, 77, 50))
    whole = Transform(resize=32, crop=32, mean=(0, 0, 0), std=(1, 1, 1))
    assert to_array(marked, whole).min() == pytest.approx(1.0, abs=0.02)


def test_to_array_wants_rgb() -> None:
    with pytest.raises(ValueError, match="use decode"):
        to_array(Image.new("L", (40, 40)), TRANSFORM)


def test_transform_survives_json_and_its_digest_depends_on_every_part() -> None:
    again = Transform.from_dict(json.loads(json.dumps(TRANSFORM.to_dict())))
    assert again == TRANSFORM and again.digest() == TRANSFORM.digest()
    changes: list[dict[str, Any]] = [
        {"resize": 41},
        {"crop": 31},
        {"mean": (0, 0, 0)},
        {"interpolation": "bicubic"},
    ]
    digests = {Transform.from_dict({**TRANSFORM.to_dict(), **c}).digest() for c in changes}
    assert len(digests | {TRANSFORM.digest()}) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"crop": 41},
        {"crop": 0},
        {"std": (0, 1, 1)},
        {"mean": (1, 1)},
        {"interpolation": "best"},
        {"x": 1},
    ],
)
def test_a_wrong_transform_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Transform.from_dict({**TRANSFORM.to_dict(), **change})


def test_what_is_no_photo_is_refused() -> None:
    assert refused(b"") == "empty"
    assert refused(b"<html>") == "unsupported_format"
    assert refused(encoded(drawn(), "GIF")) == "unsupported_format"
    assert refused(encoded(drawn(), "BMP")) == "unsupported_format"
    assert refused(encoded(drawn())[:400]) == "undecodable"
    assert refused(b"\xff\xd8\xff" + b"junk" * 9) == "undecodable"
    assert refused(encoded(drawn()), Limits(max_bytes=100)) == "too_many_bytes"


def test_films_are_refused() -> None:
    frames = [drawn(seed=i) for i in range(3)]
    for kind in ("WEBP", "PNG"):
        film = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert refused(film) == "too_many_frames"


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    pack = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (chunk, data)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(pack)


def webp_header(kind: bytes, rest: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(rest)) + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "bomb",
    [
        png_header(20_000, 20_000),
        webp_header(b"VP8X", b"\0\0\0\0" + (16_000).to_bytes(3, "little") * 2),
        webp_header(b"VP8L", b"\x2f" + (16_000 | 16_000 << 14).to_bytes(4, "little")),
        webp_header(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 16_000, 16_000)),
    ],
    ids=["png", "webp extended", "webp lossless", "webp lossy"],
)
def test_bombs_are_refused_from_their_header(bomb: bytes) -> None:
    assert refused(bomb + b"\0" * 32) == "too_many_pixels"


def test_what_decoding_would_hold_in_memory_is_limited_too() -> None:
    limits = Limits(max_decoded_pixels=10_000)
    photo = drawn(size=(400, 300))
    assert refused(encoded(photo, "PNG"), limits) == "too_many_pixels"
    assert refused(encoded(photo, progressive=True), limits) == "too_many_pixels"
    assert min(decode(encoded(photo), limits, short_side=32).size) < 100


def test_shared_awkward_files_get_the_verdicts_written_for_them() -> None:
    folder = shared_data() / "awkward"
    transform = Transform(resize=256, crop=224, mean=(0, 0, 0), std=(1, 1, 1))
    wrong = []
    for entry in json.loads((folder / "manifest.json").read_text())["files"]:
        started = time.perf_counter()
        try:
            pixels = load((folder / entry["file"]).read_bytes(), transform)
            verdict = "accept" if np.isfinite(pixels).all() else "not finite"
        except ImageError:
            verdict = "reject"
        if entry["expect"] not in (verdict, "either") or time.perf_counter() - started > 1:
            wrong.append((entry["file"], verdict))
    assert wrong == []


def test_a_turned_photo_gives_the_answer_of_the_upright_one() -> None:
    folder = shared_data() / "awkward"
    transform = Transform(resize=256, crop=224, mean=(0, 0, 0), std=(1, 1, 1))
    names = ("01_plain_dog.jpg", "18_exif_rot6_dog.jpg")
    upright, turned = (load((folder / name).read_bytes(), transform) for name in names)
    assert np.abs(upright - turned).mean() < 0.02


_SEEDS = [encoded(drawn(size=(20, 14)), kind) for kind in ("JPEG", "PNG", "WEBP")]


@settings(max_examples=300, deadline=None)
@given(
    seed=st.sampled_from(_SEEDS),
    cut=st.integers(0, 3000),
    edits=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=12),
)
def test_damaged_files_decode_or_raise_image_error(
    seed: bytes, cut: int, edits: list[tuple[int, int]]
) -> None:
    data = bytearray(seed[: max(cut, 12)])
    for place, value in edits:
        data[place % len(data)] = value
    try:
        pixels = load(bytes(data), TRANSFORM)
    except ImageError as error:
        assert error.code and error.fix
    else:
        assert pixels.shape == (3, 32, 32) and np.isfinite(pixels).all()


@settings(max_examples=50, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_any_shape_gives_the_models_shape(width: int, height: int) -> None:
    pixels = load(encoded(Image.new("RGB", (width, height), (9, 9, 9)), "PNG"), TRANSFORM)
    assert pixels.shape == (3, 32, 32)
    assert np.ptp(pixels) == pytest.approx(0, abs=1e-5)
