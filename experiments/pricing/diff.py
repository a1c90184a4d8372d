"""What changed from one price book to the next. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from experiments.prices import PriceBook
from experiments.records import Price

Kind = Literal["new", "gone", "dearer", "cheaper"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One price that differs; `before` or `after` is None for a row that only one book has."""

    kind: Kind
    before: Price | None
    after: Price | None

    @property
    def row(self) -> Price:
        """Whichever row there is, for its names."""
        found = self.after or self.before
        assert found is not None  # noqa: S101 (one of the two is always there)
        return found

    @property
    def fraction(self) -> Decimal | None:
        """How much dearer, as a fraction of the old price; None where there is no old price."""
        if self.before is None or self.after is None or self.before.usd == 0:
            return None
        return (self.after.usd - self.before.usd) / self.before.usd


def changes(before: PriceBook, after: PriceBook) -> list[Change]:
    """Every price that differs, by its names; a row with a new date and the same price is no change."""
    found = []
    for key in sorted({*before.rows, *after.rows}):
        old, new = before.rows.get(key), after.rows.get(key)
        if old is not None and new is not None and old.usd == new.usd and old.unit == new.unit:
            continue
        found.append(Change(kind=_kind(old, new), before=old, after=new))
    return found


def _kind(old: Price | None, new: Price | None) -> Kind:
    if old is None:
        return "new"
    if new is None:
        return "gone"
    return "dearer" if new.usd > old.usd else "cheaper"
