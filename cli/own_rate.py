"""A user's own rate for serverless endpoints, where the price book holds none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from experiments.prices import PriceBook

_F = TypeVar("_F", bound=Callable[..., Any])


def own_rate_option(command: _F) -> _F:
    """`--serverless-usd-per-gb-s`; `book_with` reads it."""
    option = click.option(
        "--serverless-usd-per-gb-s",
        "serverless_usd_per_gb_s",
        metavar="USD",
        help="What a serverless endpoint costs for a GB-second, where the price book does not say.",
    )
    return option(command)


def book_with(options: dict[str, Any], region: str) -> PriceBook:
    """The newest price book, with the user's own rate if one was given. Raises PriceError."""
    from experiments.errors import PriceError
    from experiments.prices import OWN_RATE, latest_book

    given = options.get("serverless_usd_per_gb_s")
    if given is None:
        return latest_book()
    try:
        usd = Decimal(given)
    except InvalidOperation:
        raise PriceError(f"{OWN_RATE} is {given!r}", fix="give USD, as 0.00002") from None
    today = datetime.now(tz=UTC).date().isoformat()
    return latest_book().with_own_rate(usd, region=region, as_of=today)
