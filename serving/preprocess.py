"""From the bytes of a photo to the model's input: the one definition, for training and serving.

Nothing is trusted before it is checked: the format is told by content, and size, pixels and frames
are held against `Limits` before a pixel is decoded. ICC profiles are ignored.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

Pixels: TypeAlias = npt.NDArray[np.float32]

IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp")
_FILTERS: Final = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
_ORIENTATION_TAG: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """A photo that cannot be used. `code` is one word for programs, `fix` a sentence for people."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a photo may cost. `max_pixels` is of the header; `max_decoded_pixels` is what decoding
    holds in memory (4 bytes each), after a JPEG's own scaling."""

    max_bytes: int = 20_000_000
    max_pixels: int = 60_000_000
    max_decoded_pixels: int = 16_000_000
    max_frames: int = 1


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Scale the short side to `resize`, cut the middle `crop` x `crop`, then (x/255 - mean) / std.

    Sizes in pixels; `mean` and `std` for red, green, blue on the 0 to 1 scale.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if not 0 < self.crop <= self.resize:
            raise ValueError(f"crop {self.crop} is not between 1 and resize {self.resize}")
        if self.interpolation not in _FILTERS:
            raise ValueError(f"interpolation {self.interpolation!r}: use {' or '.join(_FILTERS)}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError("mean and std need three numbers each, std above 0")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as `from_dict` reads them."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Transform:
        """Raises ValueError if a key is missing or unknown, or a value is out of range."""
        try:
            mean, std = (tuple(map(float, content[name])) for name in ("mean", "std"))
            return cls(**{**content, "mean": mean, "std": std})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a transform: {error}") from error

    def digest(self) -> str:
        """`sha256:…` of the canonical JSON of `to_dict`."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def decode(
    data: bytes, limits: Limits = DEFAULT_LIMITS, *, short_side: int | None = None
) -> Image.Image:
    """The photo as an upright RGB image; transparent parts are white, 16-bit grey becomes 8-bit.

    With `short_side`, a JPEG much larger than that is decoded at a half, a quarter or an eighth of
    its size, its short side never under twice `short_side`. Of a multi-picture JPEG the first
    picture counts. Raises ImageError (codes: empty, too_many_bytes, unsupported_format,
    too_many_pixels, too_many_frames, undecodable).
    """
    image = _open(data, limits)
    try:
        if short_side is not None and isinstance(image, JpegImageFile):
            _scale_while_decoding(image, 2 * short_side)
        _check_decoded_size(image, limits)
        image.load()
        return _flatten(_upright(image))
    except ImageError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise _undecodable(error) from error


def check_header(data: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
    """Refuse what can be refused without decoding a pixel; raises ImageError as `decode` does."""
    _open(data, limits)


def to_array(image: Image.Image, transform: Transform) -> Pixels:
    """The model's input, float32 [3, crop, crop], from an RGB image: `cut`, then `normalise`."""
    return normalise(cut(image, transform), transform)


def cut(image: Image.Image, transform: Transform) -> Image.Image:
    """The middle square of an RGB image at crop x crop pixels.

    It is resized straight from the source, so a sliver never grows beyond crop x crop. Raises
    ValueError for an image of another mode.
    """
    if image.mode != "RGB":
        raise ValueError(f"the image is {image.mode}, not RGB; use decode() first")
    side = min(image.size) * transform.crop / transform.resize
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize(
        (transform.crop, transform.crop),
        _FILTERS[transform.interpolation],
        box=(left, top, left + side, top + side),
    )


def normalise(square: Image.Image, transform: Transform) -> Pixels:
    """(x/255 - mean) / std of an RGB image, float32 [3, height, width]."""
    out = np.empty((3, square.height, square.width), np.float32)
    bands = zip(out, square.split(), transform.mean, transform.std, strict=True)
    for plane, band, mean, std in bands:  # plane by plane takes a third of a transpose's time
        np.multiply(np.asarray(band), np.float32(1 / (255 * std)), out=plane)
        np.subtract(plane, np.float32(mean / std), out=plane)
    return out


def load(data: bytes, transform: Transform, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """`decode` and `to_array` in one, as training and serving call them."""
    return to_array(decode(data, limits, short_side=transform.resize), transform)


def _open(data: bytes, limits: Limits) -> ImageFile.ImageFile:
    """Read the header only. The plug-ins are called directly, so nothing outside the list runs."""
    if not data:
        raise ImageError("empty", "the body is empty", "send the bytes of a photo")
    if len(data) > limits.max_bytes:
        raise ImageError(
            "too_many_bytes",
            f"the photo has {len(data)} bytes, the limit is {limits.max_bytes}",
            "send a smaller photo",
        )
    kind = _sniff(data)
    _check_header_size(kind, data, limits)
    try:
        image = kind(io.BytesIO(data))
    except Exception as error:  # as in `decode`
        raise _undecodable(error) from error
    _check_pixels(image.size, limits)
    frames = getattr(image, "n_frames", 1)
    if frames > limits.max_frames:
        raise ImageError(
            "too_many_frames", f"the image has {frames} frames", "send a still photo, not a film"
        )
    return image


def _sniff(data: bytes) -> type[ImageFile.ImageFile]:
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImageFile
    raise ImageError(
        "unsupported_format", "the body is not a JPEG, PNG or WebP image", "send one of these"
    )


def _check_header_size(kind: type[ImageFile.ImageFile], data: bytes, limits: Limits) -> None:
    """Sizes that must be known before the plug-in opens the file: WebP's allocates its canvas."""
    if kind is WebPImageFile and data[12:16] == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        _check_pixels((width, height), limits)
    elif kind is WebPImageFile and data[12:16] == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        _check_pixels(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), limits)
    elif kind is WebPImageFile and data[12:16] == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack("<HH", data[26:30])
        _check_pixels((width & 0x3FFF, height & 0x3FFF), limits)


def _check_pixels(size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"the photo is {size[0]} x {size[1]}, the limit is {limits.max_pixels} pixels",
            "send a smaller photo",
        )


def _scale_while_decoding(image: JpegImageFile, short_side: int) -> None:
    """Ask the JPEG decoder for a reduced picture (a progressive one gains time but no memory)."""
    if image.info.get("progressive"):
        return
    scale = short_side / min(image.size)
    if scale < 1:
        image.draft(None, (int(image.width * scale), int(image.height * scale)))


def _check_decoded_size(image: Image.Image, limits: Limits) -> None:
    if image.width * image.height > limits.max_decoded_pixels:
        raise ImageError(
            "too_many_pixels",
            f"{image.width} x {image.height} is too large to decode in this format;"
            f" the limit is {limits.max_decoded_pixels} pixels",
            "send a smaller photo or a baseline JPEG",
        )


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a damaged EXIF block must not cost the photo
        turn = None
    return image if turn is None else image.transpose(turn)


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray((wide.clip(0, 65_535) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, seen)
    return image.convert("RGB")


def _undecodable(error: Exception) -> ImageError:
    return ImageError(
        "undecodable",
        f"the photo is damaged ({type(error).__name__}: {str(error)[:200]})",
        "send the whole file, or save it again from an image program",
    )
