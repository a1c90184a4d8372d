"""Environments on this machine that stand for container images."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from localaws.hosts.isolation import SYSTEM_PATH


@dataclass(frozen=True, kw_only=True)
class Image:
    """What programs of the images that match `pattern` (`*` and `?`) get: folders of programs, variables."""

    pattern: str
    path: tuple[str, ...]
    env: Mapping[str, str]


class BadImages(ValueError):
    """The file of images cannot be used; the message says why."""


def read_images(file: Path) -> tuple[Image, ...]:
    """`{"*pytorch-training*": {"path": ["/envs/toolkit/bin"], "env": {"NAME": "value"}}}`.

    Raises BadImages.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        images = tuple(
            Image(pattern=pattern, path=_texts(one.get("path", [])), env=_env(one.get("env", {})))
            for pattern, one in content.items()
        )
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise BadImages(f"{file} is no file of images: {error}") from error
    for image in images:
        for folder in image.path:
            if not Path(folder).is_dir():
                raise BadImages(
                    f"{file}: {image.pattern} has the folder {folder}, which is not there"
                )
    return images


def image_env(images: Sequence[Image], name: str) -> dict[str, str]:
    """The variables for a program of the image `name`, `PATH` included; nothing where none matches."""
    for image in images:
        if fnmatchcase(name, image.pattern):
            own = [*image.path, str(Path(sys.executable).parent), SYSTEM_PATH]
            return {"PATH": ":".join(own), **image.env}
    return {}


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError("path is a list of folders")
    return tuple(value)


def _env(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise TypeError("env is an object of texts")
    return dict(value)
