"""What one localaws server was started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from localaws.hosts.images import Image

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`url` is where this server answers; `serve_command` is the model server for endpoints;
    with `enforce_iam` a call needs a policy that allows it.
    """

    state_dir: Path
    port: int
    url: str
    serve_command: tuple[str, ...]
    account_id: str
    region: str
    speed: float
    enforce_iam: bool = False
    images: tuple[Image, ...] = ()
