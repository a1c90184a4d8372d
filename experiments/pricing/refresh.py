"""Read AWS's Price List into a new dated book. Interrupted, it goes on at the page it was at.

Every page is kept whole on disk before the next is asked for, with the token of the next; a finished
listing is marked by a page without one. The book is written once, at the end, from those pages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.aws import Cloud, is_code
from experiments.errors import CloudError, PriceError
from experiments.files import write_whole
from experiments.prices import PriceBook
from experiments.pricing.products import read_product
from experiments.pricing.queries import Query
from experiments.records import Price

API_REGION = "us-east-1"
"""The Price List Query API answers here for every region."""
_MAX_PAGES = 2000
_STALE_TOKEN = ("ExpiredNextTokenException", "InvalidNextTokenException")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What AWS's list said: the rows of a book, and how many products no book holds."""

    rows: tuple[Price, ...]
    products: int
    not_held: int


def fetch(
    cloud: Cloud,
    queries: Sequence[Query],
    folder: Path,
    *,
    report: Callable[[str, int], None],
) -> None:
    """Read every page of every listing into `folder`; pages that are there are not asked for again."""
    for query in queries:
        pages = _fetch_one(cloud, query, folder)
        report(query.name, pages)


def _fetch_one(cloud: Cloud, query: Query, folder: Path) -> int:
    page, token = _where_it_stopped(query, folder)
    while page == 0 or token is not None:
        if page >= _MAX_PAGES:
            raise PriceError(
                f"the listing {query.name} has over {_MAX_PAGES} pages",
                fix="nothing was written; narrow its filters in experiments/pricing/queries.py",
            )
        try:
            answer = cloud.ask("pricing", "get_products", **query.params(token))
        except CloudError as error:
            if token is None or not is_code(error, *_STALE_TOKEN):
                raise
            page, token = 0, None  # a token lives for hours only: this listing starts anew
            for old in _pages(query, folder):
                old.unlink()
            continue
        token = answer.get("NextToken") or None
        kept = {"PriceList": answer.get("PriceList", []), "NextToken": token}
        write_whole(_page_path(query, folder, page), json.dumps(kept).encode())
        page += 1
    return page


def _page_path(query: Query, folder: Path, page: int) -> Path:
    return folder / f"{query.name}.{page:04}.json"


def _pages(query: Query, folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{query.name}.[0-9][0-9][0-9][0-9].json"))


def _where_it_stopped(query: Query, folder: Path) -> tuple[int, str | None]:
    pages = _pages(query, folder)
    if not pages:
        return 0, None
    return len(pages), _read(pages[-1])["NextToken"]


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def read_pages(queries: Sequence[Query], folder: Path) -> Reading:
    """The rows that the fetched pages give. Raises PriceError for two prices of one thing."""
    rows: dict[tuple[str, str, str, str], Price] = {}
    products = not_held = 0
    for query in queries:
        for text in _products(query, folder):
            products += 1
            price = read_product(text, query.region)
            if price is None:
                not_held += 1
                continue
            key = (price.service, price.component, price.instance_type, price.region)
            if key in rows and rows[key].usd != price.usd:
                raise PriceError(
                    f"AWS lists two prices for {', '.join(key)}: {rows[key].usd} and {price.usd}",
                    fix="nothing was written; pedigree must learn to tell the two apart",
                )
            rows[key] = price
    return Reading(rows=tuple(rows.values()), products=products, not_held=not_held)


def _products(query: Query, folder: Path) -> Iterator[str]:
    for path in _pages(query, folder):
        yield from _read(path)["PriceList"]


def merged(before: PriceBook, reading: Reading, queries: Sequence[Query]) -> tuple[Price, ...]:
    """The rows of the new book: AWS's, and the old rows that no listing was asked about. Pure.

    An old row whose listing was read to its end and did not name it is gone from AWS's list, unless
    the listing named nothing of its kind in that region at all. Raises PriceError if a unit changed:
    whoever multiplies by it would be off by a thousand.
    """
    named = {(row.service, row.component, row.region) for row in reading.rows}
    asked = {
        (service, component, query.region)
        for query in queries
        for service, component in query.answers
    }
    units = {(row.service, row.component): row.unit for row in before.rows.values()}
    for row in reading.rows:
        if row.unit != units.get((row.service, row.component), row.unit):
            raise PriceError(
                f"AWS lists {row.service} {row.component} by {row.unit}, the book by"
                f" {units[row.service, row.component]}",
                fix="nothing was written; pedigree must learn to convert it",
            )
    fresh = {(r.service, r.component, r.instance_type, r.region): r for r in reading.rows}
    kept = {
        key: row
        for key, row in before.rows.items()
        if (row.service, row.component, row.region) not in asked & named
    }
    return tuple({**kept, **fresh}.values())
