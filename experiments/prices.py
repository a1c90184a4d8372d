"""The price book: dated, sourced, immutable rows. What is not in it is refused, never guessed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

from experiments.errors import PriceError
from experiments.files import write_whole
from experiments.records import Price

BOOKS = Path(__file__).with_name("price_books")
_FIELDS = tuple(Price.__dataclass_fields__)
SERVERLESS = "serverless_gb_second"
SERVERLESS_READY = "serverless_provisioned_gb_second"
SERVERLESS_READY_USED = "serverless_provisioned_duration_gb_second"
"""Rates of a serverless endpoint for a GB-second: of requests on demand, of environments kept ready, and of
requests in those. A row is of one memory size (`2GB`), or of every size when its type is empty."""
SERVERLESS_RATES = (SERVERLESS, SERVERLESS_READY, SERVERLESS_READY_USED)
OWN_RATE = "--serverless-usd-per-gb-s"
_MB_PER_GB = 1024


@dataclass(frozen=True, kw_only=True)
class PriceBook:
    """All prices read on or before `date` (ISO), one for each (service, component, type, region)."""

    date: str
    path: Path
    rows: Mapping[tuple[str, str, str, str], Price]

    def find(self, service: str, component: str, region: str, instance_type: str = "") -> Price:
        """Return the one row for these words.

        Raises PriceError naming what is missing, which types the book does hold, and how to add one.
        """
        price = self.rows.get((service, component, instance_type, region))
        if price is None:
            raise self._missing(service, component, region, instance_type)
        return price

    def serverless(self, component: str, region: str, memory_mb: int) -> Price:
        """Return the rate of a serverless endpoint with this memory: a user's own, else that of its size.

        Raises PriceError naming what is missing and how to give a rate.
        """
        own = self.rows.get(("sagemaker", component, "", region))
        return own or self.find("sagemaker", component, region, serverless_size(memory_mb))

    def with_own_rate(self, usd: Decimal, *, region: str, as_of: str) -> PriceBook:
        """The same book with a user's own USD for a GB-second on demand, over what it holds of it.

        Raises PriceError for what is no price.
        """
        if not usd.is_finite() or usd < 0:
            raise PriceError(f"{OWN_RATE} is {usd}", fix="give USD for a GB-second, as 0.00002")
        row = Price(
            service="sagemaker",
            component=SERVERLESS,
            instance_type="",
            region=region,
            unit="GB-second",
            usd=usd,
            as_of=as_of,
            source=f"given with {OWN_RATE}, not read from AWS",
            grade="own",
        )
        return replace(self, rows={**self.rows, ("sagemaker", SERVERLESS, "", region): row})

    def instance_types(self, service: str, component: str, region: str) -> tuple[str, ...]:
        """The instance types that have a price for this use in this region."""
        return tuple(
            sorted(
                key[2] for key in self.rows if key[:2] == (service, component) and key[3] == region
            )
        )

    def _missing(self, service: str, component: str, region: str, kind: str) -> PriceError:
        known = self.instance_types(service, component, region)
        what = f"{service} {component}" + (f" of {kind}" if kind else "")
        row = f"{service},{component},{kind},{region},<unit>,<usd>,<date>,<where you read it>,given"
        offer = f"use one of {', '.join(known[:12])}; or " if kind and known else ""
        if component.startswith("serverless_"):
            offer = f"give your own with {OWN_RATE}; or "
        return PriceError(
            f"no price for {what} in {region} in the price book of {self.date}",
            fix=f"{offer}read AWS's list with `pedigree prices refresh --cloud aws`; or copy"
            f" {self.path.name} to a book of today's date and add the row `{row}`",
        )


def serverless_size(memory_mb: int) -> str:
    """The type of a serverless row, as AWS's usage types name it: `2GB` for 2048 MB."""
    return f"{memory_mb / _MB_PER_GB:g}GB"


def parse_book(lines: Iterable[str], *, path: Path) -> PriceBook:
    """Read a book from CSV lines. Raises PriceError for a damaged row and for two of one thing."""
    rows: dict[tuple[str, str, str, str], Price] = {}
    reader = csv.DictReader(lines)
    for record in reader:
        price = _price(record, f"{path.name}, line {reader.line_num}")
        key = (price.service, price.component, price.instance_type, price.region)
        if key in rows:
            raise PriceError(
                f"{path.name}: {', '.join(key)} stands twice",
                fix="keep one row for each service, component, instance type and region",
            )
        rows[key] = price
    return PriceBook(date=path.stem, path=path, rows=rows)


def _price(record: Mapping[str, str | None], where: str) -> Price:
    text = {name: record.get(name) or "" for name in _FIELDS}
    if None in record:  # more cells than the header has names
        raise PriceError(f"{where}: there are too many columns", fix="write 0.17, not 0,17")
    try:
        usd = Decimal(text["usd"])
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or usd < 0:
        raise PriceError(
            f"{where}: the price is {text['usd']!r}", fix="write a number of USD, as 0.17"
        )
    for name in ("service", "component", "region", "unit", "as_of", "source"):
        if not text[name]:
            raise PriceError(f"{where}: {name} is empty", fix=f"fill in {', '.join(_FIELDS)}")
    return Price(**{**text, "usd": usd})  # type: ignore[arg-type]


def book_paths(folder: Path = BOOKS) -> tuple[Path, ...]:
    """The books in `folder`, oldest first; a book's file name is its date."""
    return tuple(sorted(folder.glob("????-??-??.csv")))


def read_book(path: Path) -> PriceBook:
    """Read one book. Raises PriceError if it is damaged."""
    with path.open(newline="", encoding="utf-8") as lines:
        return parse_book(lines, path=path)


def write_book(rows: Iterable[Price], path: Path) -> None:
    """Write a new book, sorted and whole. Raises PriceError if there is one of this date already."""
    if path.exists():
        raise PriceError(
            f"there is a price book {path.name} already, and books never change",
            fix="old runs point at it: wait until tomorrow, or name another folder with --into",
        )
    text = io.StringIO()
    out = csv.DictWriter(text, _FIELDS, lineterminator="\n")
    out.writeheader()
    ordered = sorted(rows, key=lambda r: (r.service, r.component, r.instance_type, r.region))
    out.writerows({**asdict(row), "usd": f"{row.usd:f}"} for row in ordered)
    write_whole(path, text.getvalue().encode())


@lru_cache(maxsize=4)
def latest_book(folder: Path = BOOKS) -> PriceBook:
    """The newest book in `folder`; its file name is its date."""
    books = book_paths(folder)
    if not books:
        raise PriceError(f"no price book in {folder}", fix="restore experiments/price_books/")
    return read_book(books[-1])


@lru_cache(maxsize=8)
def book_of(date: str, folder: Path = BOOKS) -> PriceBook:
    """The book of exactly this date (ISO), so that an old run is reckoned at its own prices.

    Raises PriceError naming the books there are.
    """
    for path in book_paths(folder):
        if path.stem == date:
            return read_book(path)
    known = ", ".join(path.stem for path in book_paths(folder)) or "none"
    raise PriceError(f"there is no price book of {date}", fix=f"name one of: {known}")
