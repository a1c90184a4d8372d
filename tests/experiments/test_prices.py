from __future__ import annotations

import csv
import os
from decimal import Decimal
from pathlib import Path

import pytest

from experiments.errors import PriceError
from experiments.prices import latest_book, parse_book
from experiments.source import ROOT
from tests.experiments.build import book

HEADER = "service,component,instance_type,region,unit,usd,as_of,source"
ROW = "ec2,instance,c5.xlarge,us-east-1,hour,0.17,2026-09-06,a page"


def parse(*rows: str) -> dict[tuple[str, str, str, str], object]:
    return dict(parse_book([HEADER, *rows], path=Path("2026-10-04.csv")).rows)


def test_a_price_is_found_with_its_date_and_source() -> None:
    found = latest_book().find("ec2", "instance", "us-east-1", "c5.xlarge")
    assert (found.usd, found.unit) == (Decimal("0.17"), "hour")
    assert found.as_of == "2026-09-06"
    assert found.source


def test_a_missing_price_names_the_type_and_the_row_to_add() -> None:
    with pytest.raises(PriceError) as caught:
        latest_book().find("sagemaker", "training", "us-east-1", "ml.c5.xlarge")
    error = caught.value
    assert "sagemaker training of ml.c5.xlarge in us-east-1" in error.message
    assert latest_book().date in error.message
    assert "ml.m5.xlarge" in error.fix
    assert "`sagemaker,training,ml.c5.xlarge,us-east-1,<unit>" in error.fix
    assert latest_book().path.name in error.fix
    assert error.exit_code == 2


def test_a_price_is_never_taken_from_another_region() -> None:
    with pytest.raises(PriceError, match="in sa-east-1"):
        latest_book().find("ec2", "instance", "sa-east-1", "c5.xlarge")


def test_the_offered_types_all_have_a_price() -> None:
    types = book().instance_types("sagemaker", "training", "us-east-1")
    assert types == ("ml.m5.large", "ml.m5.xlarge")
    for kind in types:
        assert book().find("sagemaker", "training", "us-east-1", kind).usd > 0


def test_two_rows_for_one_thing_are_refused() -> None:
    with pytest.raises(PriceError, match="stands twice"):
        parse(ROW, ROW.replace("0.17", "0.18"))


@pytest.mark.parametrize("usd", ["-0.01", "NaN", "Infinity", "$0.17", ""])
def test_a_price_that_is_no_amount_is_refused_with_its_line(usd: str) -> None:
    with pytest.raises(PriceError) as caught:
        parse(ROW, f"ec2,instance,c5.large,us-east-1,hour,{usd},2026-09-06,a page")
    assert caught.value.message.startswith("2026-10-04.csv, line 3: the price is")


def test_a_decimal_comma_is_refused_not_read_as_nothing() -> None:
    with pytest.raises(PriceError) as caught:
        parse(ROW.replace("0.17", "0,17"))
    assert caught.value.fix == "write 0.17, not 0,17"


def test_a_row_that_is_cut_off_is_refused() -> None:
    with pytest.raises(PriceError, match="line 2: as_of is empty"):
        parse("ec2,instance,c5.large,us-east-1,hour,0.085")


def test_the_newest_book_counts_and_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match="no price book"):
        latest_book(tmp_path / "none")
    for day, usd in (("2026-01-02", "1"), ("2026-03-04", "2")):
        (tmp_path / f"{day}.csv").write_text(f"{HEADER}\n{ROW.replace('0.17', usd)}\n")
    newest = latest_book(tmp_path)
    assert newest.date == "2026-03-04"
    assert newest.find("ec2", "instance", "us-east-1", "c5.xlarge").usd == 2


def test_the_shipped_book_is_dated_sourced_and_decimal() -> None:
    shipped = latest_book()
    assert len(shipped.rows) > 1000
    for row in shipped.rows.values():
        assert isinstance(row.usd, Decimal)
        assert row.usd.is_finite()
        assert row.usd > 0 or (row.service, row.component) != ("ec2", "instance"), row
        assert row.as_of <= shipped.date, row
        assert row.unit, row
        assert row.source, row


def test_the_shipped_book_agrees_with_the_collected_prices() -> None:
    data = Path(os.environ.get("PEDIGREE_DATA") or ROOT / "../shared/data") / "prices/prices.csv"
    if not data.is_file():
        pytest.skip(f"the collected prices are not at {data}; set PEDIGREE_DATA to their folder")
    collected: dict[tuple[str, str, str, str], dict[Decimal, str]] = {}
    with data.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            key = (row["service"], row["component"], row["instance_type"], row["region"])
            usd, seen = Decimal(row["usd"]), collected.setdefault(key, {})
            seen[usd] = max(row["as_of"], seen.get(usd, ""))
    wrong = []
    for key, price in latest_book().rows.items():
        known = collected.get(key, {})
        if price.usd not in known or price.as_of > max(known.values()):
            wrong.append(f"{key}: {price.usd} of {price.as_of}, collected {known}")
    assert not wrong, "\n".join(wrong)
