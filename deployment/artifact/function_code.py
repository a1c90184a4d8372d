"""The function's deployment package: the files of `lambda/` in a zip file with reproducible bytes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from deployment.artifact.zipped import zipped
from experiments.source import ROOT

HANDLER = "handler.handler"


@dataclass(frozen=True, kw_only=True)
class FunctionCode:
    """The zip file's bytes and their digest (`sha256:<hex>`)."""

    data: bytes
    digest: str


def pack_function(folder: Path = ROOT / "lambda") -> FunctionCode:
    """Zip the modules."""
    data = zipped({path.name: path for path in folder.glob("*.py")})
    return FunctionCode(data=data, digest=f"sha256:{hashlib.sha256(data).hexdigest()}")


def as_base64(digest: str) -> str:
    """A `sha256:<hex>` digest in the base64 that Lambda and S3 write it in."""
    return base64.b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()


def from_base64(digest: str) -> str:
    """The `sha256:<hex>` form of a base64 digest."""
    return f"sha256:{base64.b64decode(digest).hex()}"
