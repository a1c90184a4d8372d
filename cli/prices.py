"""`pedigree prices`: what things cost, where each price was read, and what changed since."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.workspace import Workspace, cloud_option, json_option

if TYPE_CHECKING:
    from experiments.prices import PriceBook
    from experiments.records import Price


@click.group()
def prices() -> None:
    """Show, refresh and compare the dated price books that every cost is reckoned with."""


def _book(date: str | None) -> PriceBook:
    from experiments.prices import book_of, latest_book

    return book_of(date) if date else latest_book()


@prices.command()
@click.option("--service", help="As sagemaker, ec2, ebs, s3, lambda, cloudwatch.")
@click.option("--component", help="As training, hosting, notebook, instance, spot.")
@click.option("--region")
@click.option("--type", "instance_type", help="As ml.m5.xlarge or c5.xlarge.")
@click.option("--book", "date", help="Date of an older book; else the newest.")
@json_option
def show(
    service: str | None,
    component: str | None,
    region: str | None,
    instance_type: str | None,
    date: str | None,
    as_json: bool,
) -> int:
    """Show the prices of a book with their date, source and grade; no filter gives an overview."""
    from cli import show as out
    from experiments.errors import PriceError

    book = _book(date)
    asked = (service, component, instance_type, region)
    if not any(asked) and not as_json:
        _overview(book)
        return 0
    rows = [row for key, row in sorted(book.rows.items()) if _matches(key, asked)]
    if not rows:
        raise PriceError(
            f"no price of {' '.join(word for word in asked if word)} in the book of {book.date}",
            fix="`pedigree prices show` lists what the book holds; it is never guessed",
        )
    if as_json:
        out.print_json({"book": book.date, "prices": rows})
        return 0
    _price_table(book.date, rows)
    return 0


def _price_table(date: str, rows: Sequence[Price]) -> None:
    from cli import show as out

    columns = ("service", "component", "type", "region", ">USD", "unit", "read", "grade", "source")
    cells = [
        (
            *(row.service, row.component, row.instance_type, row.region),
            *(f"{row.usd:f}", row.unit, row.as_of, row.grade or "-", row.source),
        )
        for row in rows
    ]
    out.table(f"Price book of {date}", columns, cells)


def _matches(key: tuple[str, str, str, str], asked: tuple[str | None, ...]) -> bool:
    return all(want is None or want == have for want, have in zip(asked, key, strict=True))


def _overview(book: PriceBook) -> None:
    from cli import show as out

    held: dict[tuple[str, str], list[str]] = {}
    for service, component, _, region in book.rows:
        held.setdefault((service, component), []).append(region)
    rows = [
        (service, component, str(len(regions)), ", ".join(sorted(set(regions))))
        for (service, component), regions in sorted(held.items())
    ]
    out.table(f"Price book of {book.date}", ("service", "component", ">prices", "regions"), rows)
    out.say("what is not listed has no price here and is refused by name, never guessed")


@prices.command()
@click.option("--region", "regions", multiple=True, help="Only this region; may be repeated.")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), help="Folder of the new book."
)
@click.option("--spot/--no-spot", default=True, show_default=True, help="Ask EC2 for spot quotes.")
@cloud_option
def refresh(regions: tuple[str, ...], into: Path | None, spot: bool, cloud_name: str) -> int:
    """Read AWS's Price List into a new dated book; interrupted, it goes on where it was.

    Reading is free; it needs the permissions pricing:GetProducts and ec2:DescribeSpotPriceHistory. Old
    books stay as they are.
    """
    from cli import show as out
    from experiments.errors import CloudError
    from experiments.prices import BOOKS, latest_book, write_book
    from experiments.pricing import refresh as reading
    from experiments.pricing.queries import REGIONS, queries

    if cloud_name != "aws":
        raise CloudError(
            "AWS on this machine has no price list: its prices are those of the book",
            fix="read AWS's own with `pedigree prices refresh --cloud aws`; it costs nothing",
        )
    space, today = Workspace.here(), datetime.now(tz=UTC).date().isoformat()
    target = (into or BOOKS) / f"{today}.csv"
    before, wanted = latest_book(), queries(regions or REGIONS)
    pages = space.state / "price-list" / today
    cloud = space.open_cloud("aws", reading.API_REGION)
    reading.fetch(cloud, wanted, pages, report=lambda name, n: out.say(f"{name}: {n} pages"))
    found = reading.read_pages(wanted, pages)
    rows = reading.merged(before, found, wanted)
    write_book(_with_spot(rows, regions or REGIONS, space) if spot else rows, target)
    shutil.rmtree(pages)
    out.say(f"{len(found.rows)} prices of {found.products} products are in {target}")
    out.say(f"{found.not_held} products are of kinds that no book holds (Windows, reserved, ...)")
    out.say(f"see what changed: pedigree prices diff {before.date} {today}")
    return 0


def _with_spot(
    rows: tuple[Price, ...], regions: Sequence[str], space: Workspace
) -> tuple[Price, ...]:
    """The rows with the spot quotes of the moment, for every type that training runs on."""
    from experiments.forecast.what_if import fits
    from experiments.pricing.spot import spot_quotes, with_quotes

    for region in regions:
        kinds = [
            row.instance_type
            for row in rows
            if (row.service, row.component, row.region) == ("ec2", "instance", region)
            and fits(row.instance_type)
        ]
        cloud = space.open_cloud("aws", region)
        rows = with_quotes(rows, spot_quotes(cloud, kinds, now=datetime.now(tz=UTC)))
    return rows


@prices.command()
@click.argument("old", required=False)
@click.argument("new", required=False)
@json_option
def diff(old: str | None, new: str | None, as_json: bool) -> int:
    """Show what changed between two books, given by date; else between the last two."""
    from cli import show as out
    from experiments.cost import money
    from experiments.errors import PriceError
    from experiments.prices import book_paths, latest_book
    from experiments.pricing.diff import changes

    dates = [path.stem for path in book_paths()]
    if old is None and len(dates) < 2:
        raise PriceError("there is only one price book", fix="make another: prices refresh")
    before = _book(old or dates[-2])
    after = _book(new) if new else latest_book()
    found = changes(before, after)
    if as_json:
        out.print_json({"old": before.date, "new": after.date, "changes": found})
        return 0
    rows = [
        (
            change.kind,
            " ".join((change.row.service, change.row.component, change.row.instance_type)).strip(),
            change.row.region,
            money(change.before.usd) if change.before else "-",
            money(change.after.usd) if change.after else "-",
            f"{change.fraction:+.1%}" if change.fraction is not None else "",
        )
        for change in found
    ]
    columns = ("what", "price", "region", f">{before.date}", f">{after.date}", ">change")
    out.table(f"{len(found)} prices differ", columns, rows)
    return 0
