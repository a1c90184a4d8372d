"""How figures are written on every page: one way for each kind."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from experiments.cost import money
from experiments.records import Basis

NOTHING = "–"
_DIGEST_HEX = 12


def share(value: float | None) -> str:
    """A share of 1 as per cent with one decimal, as `pedigree runs` writes it."""
    return NOTHING if value is None else f"{value:.1%}"


def usd(value: Decimal | None, basis: Basis | str | None = None) -> str:
    """USD, with the basis behind it when one is given."""
    if value is None:
        return NOTHING
    return f"{money(value)} {basis}".strip() if basis else money(value)


def seconds(value: float | None) -> str:
    """A duration of a run: seconds below a minute, then minutes, then hours."""
    if value is None:
        return NOTHING
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def milliseconds(value: float | None) -> str:
    """A latency: whole milliseconds, from a second on seconds with two decimals."""
    if value is None:
        return NOTHING
    return f"{value:,.0f} ms" if value < 1000 else f"{value / 1000:.2f} s"


def size(size_bytes: int) -> str:
    """The size of a file: bytes, KB of 1,024 bytes, or MB."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    if size_bytes < 1024 * 1024:
        return f"{size_bytes / 1024:,.0f} KB"
    return f"{size_bytes / 1024 / 1024:.1f} MB"


def moment(value: datetime | None) -> str:
    """A time in UTC to the minute, written so that text sorts by time."""
    if value is None:
        return NOTHING
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "minutes")


def short_digest(text: str) -> str:
    """`sha256:` and the first 12 hex digits; any other text as it is."""
    kind, mark, digits = text.partition(":")
    if not mark or kind != "sha256" or len(digits) <= _DIGEST_HEX:
        return text
    return f"{kind}:{digits[:_DIGEST_HEX]}…"


def count(number: int, one: str, many: str = "") -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def spoken(label: str) -> str:
    """A class as people write it: folders have underscores where names have spaces."""
    text = " ".join(label.replace("_", " ").split())
    return text[:1].upper() + text[1:]


def plain(text: str) -> str:
    """Text from elsewhere for a Markdown element: its signs are shown, not obeyed."""
    return "".join(f"\\{sign}" if sign in "$[]*_`<>#:~\\" else sign for sign in text)
