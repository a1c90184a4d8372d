"""AWS's own bill of a month by run tag, from Cost Explorer, page by page; every reading is kept.

Cost Explorer answers in us-east-1 for every region, bills $0.01 for each request, and groups by at most
two things at once: so the tag is read with the service, and once more with the kind of record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from experiments.aws import Cloud
from experiments.errors import CloudError, SpecError
from experiments.files import write_whole

RUN_TAG = "pedigree:run"
REGION = "us-east-1"
_MAX_PAGES = 500
_USAGE = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")


@dataclass(frozen=True, kw_only=True)
class BillRow:
    """One group of the bill. `run_id` is empty for what has no run tag; `usd` may be negative."""

    run_id: str
    service: str
    record_type: str
    usd: Decimal

    @property
    def is_usage(self) -> bool:
        """What was used, as against credits, discounts, refunds and tax."""
        return self.record_type in _USAGE


@dataclass(frozen=True, kw_only=True)
class Bill:
    """A month's bill as read at one moment. While `estimated`, AWS may still add to it."""

    month: str
    read_at: datetime
    estimated: bool
    rows: tuple[BillRow, ...]

    def usage_of(self, run_id: str) -> Decimal | None:
        """What the run's usage costs, or None if the bill does not name the run."""
        found = [row.usd for row in self.rows if row.run_id == run_id and row.is_usage]
        return sum(found, Decimal(0)) if found else None


def month_bounds(month: str) -> tuple[date, date]:
    """First day, and first day of the next month. Raises SpecError unless written `2026-11`."""
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        raise SpecError(f"{month!r} is no month", fix="write it as 2026-11") from None
    return first, date(first.year + first.month // 12, first.month % 12 + 1, 1)


def read_bill(cloud: Cloud, month: str, *, now: datetime) -> Bill:
    """The month's bill by run. Raises CloudError."""
    first, after = month_bounds(month)
    if first > now.astimezone(UTC).date():
        raise SpecError(f"{month} has not begun", fix="name this month or an earlier one")
    rows, estimated = [], False
    for second in ("SERVICE", "RECORD_TYPE"):
        for page in _pages(cloud, first, after, second):
            for period in page["ResultsByTime"]:
                estimated |= bool(period.get("Estimated", False))
                rows += [_row(group, second) for group in period.get("Groups", [])]
    return Bill(month=month, read_at=now, estimated=estimated, rows=tuple(_joined(rows)))


def _pages(cloud: Cloud, first: date, after: date, second: str) -> Iterator[dict[str, Any]]:
    token: str | None = None
    for _ in range(_MAX_PAGES):
        more = {"NextPageToken": token} if token else {}
        page = cloud.ask(
            "ce",
            "get_cost_and_usage",
            TimePeriod={"Start": first.isoformat(), "End": after.isoformat()},
            Granularity="MONTHLY",
            Metrics=["UnblendedCost"],
            GroupBy=[{"Type": "TAG", "Key": RUN_TAG}, {"Type": "DIMENSION", "Key": second}],
            **more,
        )
        yield page
        token = page.get("NextPageToken")
        if not token:
            return
    raise CloudError(f"the bill has over {_MAX_PAGES} pages", fix="reconcile a shorter history")


def _row(group: Mapping[str, Any], second: str) -> tuple[str, str, str, Decimal]:
    tag, word = group["Keys"]
    amount = group["Metrics"]["UnblendedCost"]
    try:
        usd = Decimal(str(amount["Amount"]))
    except InvalidOperation:
        raise CloudError(f"the bill says {amount!r}", fix="read it again later") from None
    if amount.get("Unit", "USD") != "USD":
        raise CloudError(f"the bill is in {amount['Unit']}", fix="only USD is understood here")
    return tag.removeprefix(f"{RUN_TAG}$"), second, word, usd


def _joined(rows: list[tuple[str, str, str, Decimal]]) -> Iterator[BillRow]:
    """Rows by record type; a run's usage is split by service where the services add up to it.

    They do unless credits or tax are on the same services: then the services say too little about the
    usage alone, and it stays in one row.
    """
    by_service: dict[str, dict[str, Decimal]] = {}
    by_type: dict[str, dict[str, Decimal]] = {}
    for run_id, second, word, usd in rows:
        table = by_service if second == "SERVICE" else by_type
        known = table.setdefault(run_id, {})
        known[word] = known.get(word, Decimal(0)) + usd
    for run_id, types in by_type.items():
        services = by_service.get(run_id, {})
        whole = set(types) == {"Usage"} and sum(services.values()) == types["Usage"]
        if whole:
            for service, usd in sorted(services.items()):
                yield BillRow(run_id=run_id, service=service, record_type="Usage", usd=usd)
            continue
        for kind, usd in sorted(types.items()):
            yield BillRow(run_id=run_id, service="", record_type=kind, usd=usd)


def keep(bill: Bill, folder: Path) -> None:
    """Keep this reading, so that the next can tell what was amended."""
    stamp = bill.read_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    rows = [{**asdict(row), "usd": str(row.usd)} for row in bill.rows]
    body = {"month": bill.month, "read_at": bill.read_at.isoformat(), "estimated": bill.estimated}
    write_whole(folder / bill.month / f"{stamp}.json", json.dumps({**body, "rows": rows}).encode())


def last_kept(month: str, folder: Path) -> Bill | None:
    """The latest kept reading of this month's bill; None if there is none."""
    readings = sorted((folder / month).glob("*.json"))
    if not readings:
        return None
    body = json.loads(readings[-1].read_text(encoding="utf-8"))
    return Bill(
        month=body["month"],
        read_at=datetime.fromisoformat(body["read_at"]),
        estimated=bool(body["estimated"]),
        rows=tuple(BillRow(**{**row, "usd": Decimal(row["usd"])}) for row in body["rows"]),
    )
