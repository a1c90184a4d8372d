from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.contract import faults
from experiments.errors import CloudError, PriceError
from experiments.prices import SERVERLESS, PriceBook, book_of, latest_book, read_book, write_book
from experiments.pricing.diff import changes
from experiments.pricing.products import read_product
from experiments.pricing.queries import REGIONS, queries
from experiments.pricing.refresh import fetch, merged, read_pages
from experiments.pricing.spot import spot_quotes, with_quotes
from experiments.records import Call
from tests.experiments.build import NOW, book, price
from tests.experiments.pricing.price_list import FakePriceList, linux, product

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text(encoding="utf-8"))


def recording(at: int) -> tuple[str, list[str]]:
    found = RECORDED["recordings"][at]
    return found["region"], found["answer"]["PriceList"]


def test_recorded_volumes_are_read() -> None:
    region, (text,) = recording(0)
    found = read_product(text, region)
    assert found is not None
    assert (found.service, found.component) == ("ebs", "io1_storage")
    assert (found.usd, found.unit, found.as_of) == (Decimal("0.138"), "GB-month", "2018-08-08")
    assert found.source == "AWS Price List API: APS1-EBS:VolumeUsage.piops, SKU 3MKHN58N7RDDVGKJ"
    region, (text,) = recording(1)
    found = read_product(text, region)
    assert found is not None
    assert (found.component, found.usd) == ("io2_storage", Decimal("0.138"))


def test_a_recorded_instance_gives_its_on_demand_price_and_no_reserved_one() -> None:
    region, (on_demand, unused) = recording(2)
    found = read_product(on_demand, region)
    assert found is not None
    assert (found.service, found.component, found.instance_type) == ("ec2", "instance", "c5.xlarge")
    assert (found.usd, found.unit, found.grade) == (Decimal("0.17"), "hour", "aws")
    assert read_product(unused, region) is None, "an unused reservation is another price"


@pytest.mark.parametrize(
    ("text", "row"),
    [
        (
            product("AmazonSageMaker", "USE1-Train:ml.m5.large", "0.1150000000", "Hrs"),
            ("sagemaker", "training", "ml.m5.large", "hour", "0.115"),
        ),
        (
            product("AmazonSageMaker", "USE1-Notebk:ml.t3.medium", "0.05", "Hrs"),
            ("sagemaker", "notebook", "ml.t3.medium", "hour", "0.05"),
        ),
        (
            product("AmazonSageMaker", "USE1-ServerlessInf:Mem-3GB", "0.00006", "seconds"),
            ("sagemaker", "serverless_gb_second", "3GB", "GB-second", "0.00002"),
        ),
        (
            product(
                "AmazonSageMaker", "EU-ServerlessInf:Mem-4GB", "0.0000000000", "Seconds",
                tiers=[("150000", "0.00008")],
            ),
            ("sagemaker", "serverless_gb_second", "4GB", "GB-second", "0.00002"),
        ),
        (
            product(
                "AmazonSageMaker", "USE1-ProvisionedConcurrency:Usage-2GB", "0.00001", "seconds",
                group="ServerlessProvisionedConcurrency-Usage",
            ),
            ("sagemaker", "serverless_provisioned_gb_second", "2GB", "GB-second", "0.000005"),
        ),
        (
            product(
                "AmazonSageMaker", "USE1-ProvisionedConcurrency:Mem-2GB", "0.00002", "seconds",
                group="ServerlessProvisionedConcurrency-Duration",
            ),
            ("sagemaker", "serverless_provisioned_duration_gb_second", "2GB", "GB-second", "0.00001"),
        ),
        (
            product(
                "AmazonSageMaker", "EU-Hst:Data-Bytes-In", "0.016", "GB", operation="Invoke-Endpoint"
            ),
            ("sagemaker", "endpoint_data_in", "", "GB", "0.016"),
        ),
        (
            product("AWSLambda", "Lambda-GB-Second", "0.0000166667", "Second",
                    group="AWS-Lambda-Duration"),
            ("lambda", "gb_second", "", "GB-second", "0.0000166667"),
        ),
        (
            product(
                "AWSLambda", "Lambda-GB-Second", "0.0000166667", "Lambda-GB-Second",
                tiers=[("6000000000", "0.0000150000")], group="AWS-Lambda-Duration",
            ),
            ("lambda", "gb_second", "", "GB-second", "0.0000166667"),
        ),
        (
            product(
                "AWSLambda", "Lambda-Provisioned-Concurrency", "0.0000041667",
                "Lambda-GB-Second", group="AWS-Lambda-Provisioned-Concurrency",
            ),
            ("lambda", "provisioned_concurrency_gb_second", "", "GB-second", "0.0000041667"),
        ),
        (
            product("AmazonS3", "TimedStorage-ByteHrs", "0.023", "GB-Mo", tiers=[("51200", "0.022")]),
            ("s3", "standard_storage", "", "GB-month", "0.023"),
        ),
        (
            product("AmazonS3", "EU-Requests-Tier1", "0.0000050", "Requests", group="S3-API-Tier1"),
            ("s3", "put_request", "", "1k requests", "0.005"),
        ),
        (
            product(
                "AWSLambda", "Request", "0.0000002000", "Requests", group="AWS-Lambda-Requests"
            ),
            ("lambda", "request", "", "1M requests", "0.2"),
        ),
        (
            product("AmazonCloudWatch", "USE1-DataProcessing-Bytes", "0.5", "GB"),
            ("cloudwatch", "logs_ingest", "", "GB", "0.5"),
        ),
        (
            product("AWSDataTransfer", "USE1-DataTransfer-Out-Bytes", "0.09", "GB"),
            ("data_transfer", "internet_out_first_10tb", "", "GB", "0.09"),
        ),
    ],
)  # fmt: skip
def test_generated_products_are_read(text: str, row: tuple[str, ...]) -> None:
    found = read_product(text, "us-east-1")
    assert found is not None
    seen = (found.service, found.component, found.instance_type, found.unit, str(found.usd))
    assert seen == row


@pytest.mark.parametrize(
    "text",
    [
        linux("c5.xlarge", "0.354", operatingSystem="Windows"),
        linux("c5.xlarge", "0.2", tenancy="Dedicated"),
        linux("c5.xlarge", "0.6", preInstalledSw="SQL Web"),
        product("AmazonSageMaker", "USE1-Canvas:Session-Hrs", "1.9", "Hrs"),
        product("AmazonSageMaker", "USE1-ProvisionedConcurrency:Mem-2GB", "0.00002", "seconds"),
        product("AmazonSageMaker", "USE1-ServerlessInf:Mem-9GB", "0.00018", "seconds"),
        product("AmazonRDS", "InstanceUsage:db.m5.large", "0.171", "Hrs"),
    ],
)
def test_other_prices_of_the_same_hardware_are_not_taken(text: str) -> None:
    assert read_product(text, "us-east-1") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no json", "something else than a product"),
        ('{"product": {}}', "something else than a product"),
        (linux("c5.xlarge", "0.17").replace('"Hrs"', '"Fortnights"'), "a unit not known here"),
        (linux("c5.xlarge", "0.17").replace('"USD"', '"CNY"'), "no on-demand price in USD"),
        (linux("c5.xlarge", "-1"), "a unit not known here"),
        (
            product("AmazonSageMaker", "USE1-ServerlessInf:Mem-3GB", "0.00006", "Hrs"),
            "listed by hour, not by the second",
        ),
        (
            product("AmazonSageMaker", "USE1-ServerlessInf:Mem-3GB", "0", "seconds"),
            "no on-demand price in USD",
        ),
    ],
)
def test_what_cannot_be_understood_is_an_error_not_a_guess(text: str, says: str) -> None:
    with pytest.raises(PriceError, match=says):
        read_product(text, "us-east-1")


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(PriceError):
        read_product(text, "us-east-1")


def the_list() -> FakePriceList:
    return FakePriceList(
        products={
            ("us-east-1", "AmazonEC2 Compute Instance"): [
                linux("c4.xlarge", "0.199"),
                linux("c5.xlarge", "0.165"),
                linux("c5.xlarge", "0.354", operatingSystem="Windows"),
                linux("m9.large", "0.1"),
                linux("m9.xlarge", "0.2"),
            ],
            ("us-east-1", "AmazonSageMaker ML Instance"): [
                product("AmazonSageMaker", "USE1-Train:ml.m5.large", "0.115", "Hrs"),
            ],
        }
    )


WANTED = queries(["us-east-1"])


def read(cloud: FakePriceList, folder: Path) -> None:
    fetch(cloud, WANTED, folder, report=lambda name, pages: None)


def test_every_page_of_every_listing_is_read(tmp_path: Path) -> None:
    cloud = the_list()
    read(cloud, tmp_path)
    found = read_pages(WANTED, tmp_path)
    assert {row.instance_type for row in found.rows} == {
        "c4.xlarge", "c5.xlarge", "m9.large", "m9.xlarge", "ml.m5.large",
    }  # fmt: skip
    assert (found.products, found.not_held) == (6, 1)
    assert len(cloud.calls) == len(WANTED) + 2, "five instances are three pages"


@pytest.mark.parametrize("at", range(1, 12))
def test_an_interrupted_reading_goes_on_where_it_was(at: int, tmp_path: Path) -> None:
    whole = the_list()
    read(whole, tmp_path / "whole")
    cloud = the_list()
    cloud.fail_at = at
    with pytest.raises(CloudError):
        read(cloud, tmp_path / "cut")
    before = len(cloud.calls) - 1
    read(cloud, tmp_path / "cut")
    assert len(cloud.calls) - 1 - before == len(whole.calls) - before, "nothing is asked for twice"
    rows = [read_pages(WANTED, tmp_path / name).rows for name in ("whole", "cut")]
    assert rows[0] == rows[1]


def test_a_token_that_grew_old_starts_its_listing_anew(tmp_path: Path) -> None:
    cloud = the_list()
    cloud.stale_at = 3
    read(cloud, tmp_path)
    assert len(read_pages(WANTED, tmp_path).rows) == 5


def test_two_prices_of_one_thing_are_refused(tmp_path: Path) -> None:
    cloud = FakePriceList(
        products={
            ("us-east-1", "AmazonEC2 Compute Instance"): [
                linux("c5.xlarge", "0.17"),
                linux("c5.xlarge", "0.18"),
            ]
        }
    )
    read(cloud, tmp_path)
    with pytest.raises(PriceError, match=r"two prices for ec2, instance, c5\.xlarge"):
        read_pages(WANTED, tmp_path)


def test_the_new_book_has_aws_rows_and_keeps_what_nobody_was_asked_about(tmp_path: Path) -> None:
    spot = price("ec2", "spot", "c5.xlarge", "0.07")
    before = book(*book().rows.values(), spot)
    read(the_list(), tmp_path)
    rows = merged(before, read_pages(WANTED, tmp_path), WANTED)
    write_book(rows, tmp_path / "2026-11-23.csv")
    after = read_book(tmp_path / "2026-11-23.csv")
    assert after.find("ec2", "instance", "us-east-1", "c5.xlarge").usd == Decimal("0.165")
    assert after.find("ec2", "instance", "us-east-1", "c5.xlarge").grade == "aws"
    assert after.find("ec2", "spot", "us-east-1", "c5.xlarge").usd == Decimal("0.07")
    assert after.find("ebs", "gp3_storage", "us-east-1").as_of == "2026-11-01"
    with pytest.raises(PriceError):
        after.find("sagemaker", "training", "us-east-1", "ml.m5.xlarge")  # no longer listed
    kinds = {(c.kind, c.row.instance_type, str(c.fraction)) for c in changes(before, after)}
    assert kinds == {
        ("cheaper", "c5.xlarge", str((Decimal("0.165") - Decimal("0.17")) / Decimal("0.17"))),
        ("new", "m9.large", "None"),
        ("new", "m9.xlarge", "None"),
        ("gone", "ml.m5.xlarge", "None"),
    }


def test_a_unit_that_changed_is_an_error_and_no_price_a_thousand_times_off(tmp_path: Path) -> None:
    before = book(price("ec2", "instance", "c5.xlarge", "0.17", unit="minute"))
    read(the_list(), tmp_path)
    with pytest.raises(PriceError, match="AWS lists ec2 instance by hour, the book by minute"):
        merged(before, read_pages(WANTED, tmp_path), WANTED)


@pytest.mark.parametrize("unit", sorted({row.unit for row in latest_book().rows.values()}))
def test_a_component_has_one_unit_in_all_regions(unit: str) -> None:
    kinds = [(r.service, r.component) for r in latest_book().rows.values() if r.unit == unit]
    others = [(r.service, r.component) for r in latest_book().rows.values() if r.unit != unit]
    assert not set(kinds) & set(others)


def test_a_book_is_never_written_over(tmp_path: Path) -> None:
    write_book(book().rows.values(), tmp_path / "2026-11-23.csv")
    with pytest.raises(PriceError, match="books never change"):
        write_book([], tmp_path / "2026-11-23.csv")
    assert read_book(tmp_path / "2026-11-23.csv").rows == book().rows


SHIPPED = {
    "2026-10-04": "56edb386",
    "2026-11-22": "572db3b5",
}


@pytest.mark.parametrize("date", sorted(SHIPPED))
def test_a_shipped_book_never_changes(date: str) -> None:
    digest = hashlib.sha256(book_of(date).path.read_bytes()).hexdigest()
    assert digest.startswith(SHIPPED[date]), "old runs point at it: write a new book of a new date"


def test_old_runs_find_their_own_book() -> None:
    assert book_of("2026-10-04").date == "2026-10-04"
    assert latest_book().date > "2026-10-04"
    with pytest.raises(PriceError, match=r"no price book of 2020-01-01"):
        book_of("2020-01-01")


def test_every_row_of_the_newest_book_has_a_grade() -> None:
    grades = {row.grade for row in latest_book().rows.values()}
    assert grades == {
        "machine-generated", "bill", "given", "curated", "second-hand", "quote",
    }  # fmt: skip


def test_what_the_book_does_not_hold_is_refused_by_name() -> None:
    shipped: PriceBook = latest_book()
    for region in REGIONS:
        with pytest.raises(PriceError, match=f"serverless_gb_second of 4GB in {region}") as caught:
            shipped.serverless(SERVERLESS, region, 4096)
        assert "give your own with --serverless-usd-per-gb-s" in caught.value.fix
        assert "prices refresh --cloud aws" in caught.value.fix


def test_serverless_rates_are_read_by_size_and_a_users_own_goes_first(tmp_path: Path) -> None:
    sizes = [(gigabytes, Decimal("0.00002") * gigabytes) for gigabytes in range(1, 7)]
    serverless = [
        product("AmazonSageMaker", f"USE1-ServerlessInf:Mem-{gigabytes}GB", str(usd), "seconds")
        for gigabytes, usd in sizes
    ]
    cloud = FakePriceList(products={("us-east-1", "AmazonSageMaker ML Serverless"): serverless})
    read(cloud, tmp_path)
    write_book(merged(book(), read_pages(WANTED, tmp_path), WANTED), tmp_path / "2026-11-28.csv")
    after = read_book(tmp_path / "2026-11-28.csv")
    for gigabytes in range(1, 7):
        found = after.serverless(SERVERLESS, "us-east-1", gigabytes * 1024)
        assert (found.usd, found.unit, found.grade) == (Decimal("0.00002"), "GB-second", "aws")
    with pytest.raises(PriceError, match="serverless_gb_second of 2GB in eu-west-1"):
        after.serverless(SERVERLESS, "eu-west-1", 2048)
    own = after.with_own_rate(Decimal("0.00003"), region="us-east-1", as_of="2026-11-28")
    found = own.serverless(SERVERLESS, "us-east-1", 2048)
    assert (found.usd, found.grade) == (Decimal("0.00003"), "own")
    assert "given with --serverless-usd-per-gb-s" in found.source
    assert after.serverless(SERVERLESS, "us-east-1", 2048).grade == "aws", "the book is as it was"
    with pytest.raises(PriceError, match="--serverless-usd-per-gb-s is NaN"):
        after.with_own_rate(Decimal("NaN"), region="us-east-1", as_of="2026-11-28")


class SpotMarket(FakePriceList):
    """EC2 as far as it quotes spot prices."""

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        wrong = faults(Call(service=service, operation=operation, params=params, why=""))
        assert not wrong, wrong
        assert (service, operation, member) == (
            "ec2",
            "describe_spot_price_history",
            "SpotPriceHistory",
        )
        self.calls.append(params)
        quotes = [
            ("c5.xlarge", "us-east-1a", "0.0700", 0),
            ("c5.xlarge", "us-east-1b", "0.0900", 0),
            ("c5.xlarge", "us-east-1b", "0.0100", 9),  # older than the one above
            ("c5.xlarge", "us-east-1c", "0.0800", 0),
            ("c4.xlarge", "us-east-1a", "0.0500", 0),
            ("c4.xlarge", "us-east-1b", "0.0600", 0),
        ]
        return [
            {
                "InstanceType": kind,
                "AvailabilityZone": zone,
                "SpotPrice": usd,
                "Timestamp": NOW - timedelta(hours=hours),
                "ProductDescription": "Linux/UNIX",
            }
            for kind, zone, usd, hours in quotes
            if kind in params["InstanceTypes"]
        ]


def test_spot_quotes_are_the_middle_zone_of_the_moment() -> None:
    market = SpotMarket(products={})
    known = latest_book().instance_types("ec2", "instance", "us-west-2")
    kinds = ["c5.xlarge", "c4.xlarge", *[kind for kind in known if kind[:2] not in ("c4", "c5")]]
    quotes = spot_quotes(market, kinds, now=NOW)
    assert len(market.calls) == 2, "a hundred types at once"
    assert len(kinds) > 100
    assert {q.instance_type: str(q.usd) for q in quotes} == {
        "c4.xlarge": "0.0600",
        "c5.xlarge": "0.0800",
    }
    assert {q.grade for q in quotes} == {"quote"}
    old = [price("ec2", "spot", kind, "1") for kind in ("c5.xlarge", "m5.large")]
    rows = with_quotes([*book().rows.values(), *old], quotes)
    spot = {row.instance_type: str(row.usd) for row in rows if row.component == "spot"}
    assert spot == {"m5.large": "1", "c4.xlarge": "0.0600", "c5.xlarge": "0.0800"}
    assert sum(row.component == "instance" for row in rows) == 2
