"""From usage and prices to money. Pure; Decimal throughout.

A month is 730 hours, as AWS's own pricing pages reckon it. A GB is 2**30 bytes for storage and memory.
"""

from __future__ import annotations

from decimal import Decimal

from experiments.prices import PriceBook
from experiments.records import CostLine, Price

HOURS_PER_MONTH = Decimal(730)
SECONDS_PER_HOUR = Decimal(3600)
_QUANTITY_PLACES = Decimal("0.000000001")
_USD_PLACES = Decimal("0.0000000001")


def line(item: str, quantity: Decimal, price: Price, *, per: Decimal = Decimal(1)) -> CostLine:
    """One ledger line: `quantity / per` units at `price`. USD to ten places, rounded half to even."""
    units = _plain((quantity / per).quantize(_QUANTITY_PLACES))
    usd = _plain((quantity * price.usd / per).quantize(_USD_PLACES))
    return CostLine(item=item, quantity=units, price=price, usd=usd)


def _plain(number: Decimal) -> Decimal:
    """The same number without trailing zeros, and written 10, not 1E+1."""
    return number.normalize() + Decimal(0)


def compute_price(book: PriceBook, launcher: str, instance_type: str, region: str) -> Price:
    """The hourly price of one training host."""
    service, component = {"sagemaker": ("sagemaker", "training"), "ec2": ("ec2", "instance")}[
        launcher
    ]
    return book.find(service, component, region, instance_type)


def money(usd: Decimal | None) -> str:
    """USD for people: cents from a dollar up, below that two significant figures, never an exponent."""
    if usd is None:
        return "-"
    if usd == 0:
        return "$0"
    if abs(usd) >= 1:
        return f"${usd:,.2f}"
    if abs(usd) >= Decimal("0.01"):
        return f"${usd:.4f}"
    return f"${Decimal(f'{usd:.1e}'):f}"
