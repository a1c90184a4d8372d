"""A price list in memory, in GetProducts' own shape. Its answers are generated, not recorded.

`recorded.json` beside this holds the recorded ones. The forms here follow them: usage types and groups
are those that published bills and price-list notes quote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.contract import faults
from experiments.errors import CloudError
from experiments.records import Basis, Call


def product(
    code: str,
    usage: str,
    usd: str,
    unit: str,
    *,
    tiers: Sequence[tuple[str, str]] = (),
    **more: str,
) -> str:
    """One entry of PriceList; `tiers` are further (from, USD) pairs of a graded price."""
    sku = f"{abs(hash((code, usage))):016X}"[:16]
    dimensions = {
        f"{sku}.T.{at}": {"unit": unit, "beginRange": begin, "pricePerUnit": {"USD": price}}
        for at, (begin, price) in enumerate([*tiers, ("0", usd)])
    }
    term = {f"{sku}.JRTCKXETXF": {"priceDimensions": dimensions, "sku": sku}}
    return json.dumps(
        {
            "product": {
                "attributes": {"servicecode": code, "usagetype": usage, **more},
                "sku": sku,
            },
            "serviceCode": code,
            "terms": {"OnDemand": term},
            "publicationDate": "2026-11-20T10:00:00Z",
        }
    )


def linux(kind: str, usd: str, prefix: str = "", **more: str) -> str:
    """An on-demand Linux instance, or with other attributes what is not one."""
    plain = {
        "instanceType": kind,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "operation": "RunInstances",
    }
    attributes = {**plain, **more}
    return product("AmazonEC2", f"{prefix}BoxUsage:{kind}", usd, "Hrs", tiers=(), **attributes)


@dataclass(kw_only=True)
class FakePriceList:
    """Answers GetProducts in pages of `page`; filters on the region only, as the door's caller must.

    `fail_at` makes the n-th call fail once, `stale_at` makes it refuse its token once.
    """

    products: Mapping[tuple[str, str], Sequence[str]]
    """By (region, name of the service code)."""
    page: int = 2
    fail_at: int = 0
    stale_at: int = 0
    region: str = "us-east-1"
    basis: Basis = Basis.BILLED
    calls: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def account_id(self) -> str:
        return "123456789012"

    def perform(self, call: Call) -> dict[str, Any]:
        return self.ask(call.service, call.operation, **call.params)

    def client(self, service: str) -> Any:
        raise NotImplementedError(service)

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        raise NotImplementedError("a resumable reading asks page by page")

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        wrong = faults(Call(service=service, operation=operation, params=params, why=""))
        assert not wrong, wrong
        self.calls.append(params)
        if len(self.calls) == self.fail_at:
            raise CloudError("the network went away", fix="try again", code="Unreachable")
        start = int(params.get("NextToken", "0"))
        if len(self.calls) == self.stale_at:
            assert start
            raise CloudError("old token", fix="start anew", code="ExpiredNextTokenException")
        wanted = {item["Field"]: item["Value"] for item in params["Filters"]}
        listed = self._listed(params["ServiceCode"], wanted)
        answer: dict[str, Any] = {"PriceList": listed[start : start + self.page]}
        if start + self.page < len(listed):
            answer["NextToken"] = str(start + self.page)
        return {**answer, "FormatVersion": "aws_v1"}

    def _listed(self, code: str, wanted: Mapping[str, str]) -> list[str]:
        family = wanted.get("productFamily", "")
        found = self.products.get((wanted["regionCode"], f"{code} {family}".strip()), ())
        return list(found)
