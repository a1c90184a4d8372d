"""What every reader of an account needs: tags, prices by the day, moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from deployment.state.observe import not_in_sagemaker
from experiments.aws import Cloud
from experiments.cost import HOURS_PER_MONTH
from experiments.errors import CloudError, PriceError
from experiments.foundation import Foundation
from experiments.prices import PriceBook
from experiments.records import Call

DAYS = HOURS_PER_MONTH / 24
GB = Decimal(1024**3)
Tags = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads an account. All methods raise CloudError."""

    cloud: Cloud
    book: PriceBook

    @property
    def bucket(self) -> str:
        return Foundation(account_id=self.cloud.account_id, region=self.cloud.region).bucket

    def sagemaker_tags(self, arn: str) -> Tags | None:
        """The tags of a thing, or None if it went away after it was listed."""
        try:
            return pairs(self.cloud.pages("sagemaker", "list_tags", "Tags", ResourceArn=arn))
        except CloudError as error:
            if not_in_sagemaker(error):
                return None
            raise

    def daily(self, service: str, component: str, kind: str, count: int) -> Decimal | None:
        return self.price(Decimal(24 * count), service, component, kind)

    def price(
        self, quantity: Decimal, service: str, component: str, kind: str = ""
    ) -> Decimal | None:
        if quantity == 0:
            return Decimal(0)
        try:
            return quantity * self.book.find(service, component, self.cloud.region, kind).usd
        except PriceError:
            return None


def removal(service: str, operation: str, **params: Any) -> Call:
    """The request that ends an orphan."""
    return Call(service=service, operation=operation, params=params, why="nobody needs it")


def pairs(listed: Sequence[Mapping[str, str]]) -> Tags:
    """AWS's list of keys and values as a mapping."""
    return {pair["Key"]: pair["Value"] for pair in listed}


def moment(value: Any) -> datetime | None:
    """Lambda writes its times as texts."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return value if isinstance(value, datetime) else None
