"""A setting's definition: its help, how its text is read, and the values that it may have."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import Field, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from training.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class About:
    """What one field of a configuration means. `low` is allowed itself unless `above_low`."""

    help: str
    group: str
    read: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False

    def bounds(self) -> str:
        """The range in words: `a number above 0 and at most 1`."""
        low = f"above {self.low:g}" if self.above_low else f"{self.low:g} or more"
        return f"a number {low}" + (f" and at most {self.high:g}" if self.high < math.inf else "")


def option(default: Any, help_text: str, *, group: str = "tunable", **about: Any) -> Any:
    """A dataclass field that carries its `About`."""
    return field(default=default, metadata={"about": About(help=help_text, group=group, **about)})


def place(help_text: str) -> dict[str, About]:
    """The metadata of a field that holds a path on the host."""
    return {"about": About(help=help_text, group="place", read=Path)}


def about_field(item: Field[Any]) -> About:
    """The `About` that `option` put on a field."""
    about: About = item.metadata["about"]
    return about


def whole(text: str) -> int:
    """Read an integer; raises ValueError whose text ends a sentence."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("is not a whole number") from None


def number(text: str) -> float:
    """Read a finite number; raises ValueError whose text ends a sentence."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(value):
        raise ValueError("is not a finite number")
    return value


def names(text: str) -> tuple[str, ...]:
    """Read names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def check_value(name: str, value: Any, about: About) -> None:
    """Raise ConfigError if the value is not one that the field may have."""
    if about.choices and value not in about.choices:
        near = get_close_matches(str(value), about.choices, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"{name} is {value!r}", fix=f"{hint}use one of {', '.join(about.choices)}"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    too_low = value <= about.low if about.above_low else value < about.low
    if too_low or value > about.high or not math.isfinite(value):
        raise ConfigError(f"{name} is {value!r}", fix=f"use {about.bounds()}")


def check_digest(name: str, value: str) -> None:
    """Raise ConfigError unless the value is empty or `sha256:` and 64 hex digits."""
    digits = value.removeprefix("sha256:")
    well = value.startswith("sha256:") and len(digits) == 64
    if value and not (well and set(digits) <= set("0123456789abcdef")):
        raise ConfigError(f"{name} is {value!r}", fix="write it as sha256: and 64 hex digits")
