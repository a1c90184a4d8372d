"""What is inside an instance type: processors, memory and accelerators, from a table with its sources."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).with_name("price_books") / "instances.csv"


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One instance type. `gpu_memory_gib` is of each accelerator; `arch` is x86_64 or arm64."""

    instance_type: str
    vcpu: int
    memory_gib: float
    gpu_name: str
    gpu_count: int
    gpu_memory_gib: float | None
    arch: str
    source: str


def hardware(instance_type: str) -> Hardware | None:
    """The hardware of an instance type, `ml.` or not; None if the table does not hold it."""
    return _table().get(instance_type.removeprefix("ml."))


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Hardware]:
    with TABLE.open(newline="", encoding="utf-8") as lines:
        return {row["instance_type"]: _row(row) for row in csv.DictReader(lines)}


def _row(row: Mapping[str, str]) -> Hardware:
    return Hardware(
        instance_type=row["instance_type"],
        vcpu=int(row["vcpu"]),
        memory_gib=float(row["memory_gib"]),
        gpu_name=row["gpu_name"],
        gpu_count=int(row["gpu_count"] or 0),
        gpu_memory_gib=float(row["gpu_memory_gib_each"]) if row["gpu_memory_gib_each"] else None,
        arch=row["arch"],
        source=row["source"],
    )
