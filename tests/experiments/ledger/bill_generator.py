"""Cost Explorer in memory. It makes a month's bill by its own arithmetic and shares no code with the ledger.

A bill is whole cents of cents (1e-10 USD) as integers. Faults are put in by hand: rows that come late,
are amended, discounted, lose their tag, or belong to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.contract import faults
from experiments.errors import CloudError
from experiments.records import Basis, Call

_UNIT = 10**10


@dataclass(kw_only=True)
class Entry:
    """One line item as AWS would bill it. `units` is USD in 1e-10."""

    run: str
    service: str
    kind: str
    units: int


@dataclass(kw_only=True)
class BillGenerator:
    """Collects entries and answers GetCostAndUsage in pages of `page` groups."""

    entries: list[Entry] = field(default_factory=list)
    estimated: bool = False
    page: int = 3
    region: str = "us-east-1"
    basis: Basis = Basis.BILLED
    asked: int = 0

    def hours(self, run: str, hours: tuple[int, int], micro_usd: int, service: str = "") -> None:
        """Bill `hours` (a fraction) at so many millionths of a USD an hour."""
        over, under = hours
        units = (over * micro_usd * (_UNIT // 10**6) * 2 + under) // (2 * under)
        self.entries.append(
            Entry(run=run, service=service or "Amazon SageMaker", kind="Usage", units=units)
        )

    def credit(self, run: str, micro_usd: int, kind: str = "Credit") -> None:
        """Give something back."""
        self.entries.append(
            Entry(
                run=run, service="Amazon SageMaker", kind=kind, units=-micro_usd * (_UNIT // 10**6)
            )
        )

    def amend(self, run: str, percent: int) -> None:
        """Bill a run's usage anew at so many per cent of what it was."""
        for entry in self.entries:
            if entry.run == run and entry.kind == "Usage":
                entry.units = entry.units * percent // 100

    def lose_tag(self, run: str) -> None:
        """Rows of a run come without its tag."""
        for entry in self.entries:
            if entry.run == run:
                entry.run = ""

    def hold_back(self, run: str) -> list[Entry]:
        """A run's rows are late; they can be added to `entries` again."""
        late = [entry for entry in self.entries if entry.run == run]
        self.entries = [entry for entry in self.entries if entry.run != run]
        return late

    # --- the door ---

    @property
    def account_id(self) -> str:
        return "123456789012"

    def perform(self, call: Call) -> dict[str, Any]:
        return self.ask(call.service, call.operation, **call.params)

    def client(self, service: str) -> Any:
        raise NotImplementedError(service)

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        raise NotImplementedError("GetCostAndUsage has no paginator in boto3")

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        wrong = faults(Call(service=service, operation=operation, params=params, why=""))
        assert not wrong, wrong
        if (service, operation) != ("ce", "get_cost_and_usage"):
            raise CloudError("no such thing", fix="", code="Unknown")
        self.asked += 1
        second = params["GroupBy"][1]["Key"]
        groups = self._groups(second)
        start = int(params.get("NextPageToken", "0"))
        period: Mapping[str, Any] = {
            "TimePeriod": params["TimePeriod"],
            "Total": {},
            "Groups": groups[start : start + self.page],
            "Estimated": self.estimated,
        }
        answer: dict[str, Any] = {"ResultsByTime": [period]}
        if start + self.page < len(groups):
            answer["NextPageToken"] = str(start + self.page)
        return answer

    def _groups(self, second: str) -> list[dict[str, Any]]:
        sums: dict[tuple[str, str], int] = {}
        for entry in self.entries:
            word = entry.service if second == "SERVICE" else entry.kind
            key = (f"pedigree:run${entry.run}", word)
            sums[key] = sums.get(key, 0) + entry.units
        return [
            {
                "Keys": list(key),
                "Metrics": {"UnblendedCost": {"Amount": _text(units), "Unit": "USD"}},
            }
            for key, units in sorted(sums.items())
        ]


def _text(units: int) -> str:
    sign, whole = ("-" if units < 0 else ""), abs(units)
    return f"{sign}{whole // _UNIT}.{whole % _UNIT:010}"
