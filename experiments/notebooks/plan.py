"""Decide a notebook instance: the cheapest type that serves, the exact requests, what it costs. Pure."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from experiments.access import Foundation
from experiments.errors import PriceError, SpecError
from experiments.foundation import Policy, role_calls
from experiments.hardware import hardware
from experiments.notebooks.policy import NAME_PREFIX, NOTEBOOK_ROLE, notebook_policy
from experiments.prices import PriceBook
from experiments.records import Artifact, Call, Price

IDLE_SCRIPT = Path(__file__).with_name("idle_stop.py")
PLATFORM = "notebook-al2023-v1"
# The launcher with the MLflow client and one photograph at a time in memory, beside Jupyter itself.
NEEDED_GIB = 3.0
VOLUME_GB = 20
_KEEP_DAYS = 90
_ON_START = """\
#!/bin/bash
set -euo pipefail
mkdir -p /home/ec2-user/SageMaker/pedigree
cat > /usr/local/bin/pedigree-idle-stop.py <<'PEDIGREE_END'
{idle_script}
PEDIGREE_END
systemd-run --unit pedigree-idle-stop --on-active=5m --on-unit-active=5m \\
  python3 /usr/local/bin/pedigree-idle-stop.py {idle_s}
cd /home/ec2-user/SageMaker/pedigree
if [ ! -e launch.ipynb ]; then
  aws s3 cp --only-show-errors {book} book.tar.gz && tar -xzf book.tar.gz && rm book.tar.gz
  cp experiments/notebooks/launch.ipynb launch.ipynb && chown -R ec2-user:ec2-user .
fi
"""


@dataclass(frozen=True, kw_only=True)
class NotebookPlan:
    """A notebook instance before it is made. `prices` are for the instance's hour and, if known, its disk."""

    name: str
    instance_type: str
    why: str
    idle_s: int
    calls: tuple[Call, ...]
    hour: Price
    disk: Price | None


def full_name(name: str) -> str:
    """The name in AWS: only names with our prefix are within what a notebook's role may touch."""
    return name if name.startswith(NAME_PREFIX) else f"{NAME_PREFIX}{name}"


def choose_type(book: PriceBook, region: str) -> tuple[str, str]:
    """The cheapest type with memory enough for the launcher, and why. Raises PriceError if none is priced."""
    fit = []
    for kind in book.instance_types("sagemaker", "notebook", region):
        inside = hardware(kind)
        if inside is not None and inside.memory_gib >= NEEDED_GIB:
            fit.append((book.find("sagemaker", "notebook", region, kind).usd, kind))
    if not fit:
        raise PriceError(
            f"no notebook type is priced in {region}",
            fix="`pedigree prices refresh`, or name one with --type where there is a price",
        )
    usd, kind = min(fit)
    return kind, f"the cheapest of {len(fit)} types with {NEEDED_GIB:g} GiB: {usd} USD an hour"


def lifecycle_script(book_uri: str, idle_s: int) -> str:
    """What the instance runs at every start: the watch over its idleness, and at the first the files."""
    script = _ON_START.format(
        idle_script=IDLE_SCRIPT.read_text(encoding="utf-8").rstrip(), idle_s=idle_s, book=book_uri
    )
    return base64.b64encode(script.encode()).decode()


def plan_notebook(
    name: str,
    *,
    foundation: Foundation,
    files: Artifact,
    prices: PriceBook,
    owner: str,
    now: datetime,
    idle_s: int = 3600,
    instance_type: str = "",
    role: tuple[bool, Policy | None] = (False, None),
) -> NotebookPlan:
    """The requests that make a notebook instance; `role` is what is there of its role now.

    Raises SpecError for a name or a time that cannot be, PriceError for a type without a price.
    """
    name = full_name(name)
    if not 300 <= idle_s <= 86_400:
        raise SpecError(f"idle time {idle_s} s", fix="use 300 s to 86,400 s")
    why = "as asked for"
    if not instance_type:
        instance_type, why = choose_type(prices, foundation.region)
    hour = prices.find("sagemaker", "notebook", foundation.region, instance_type)
    exists, policy_now = role
    calls = role_calls(
        foundation, NOTEBOOK_ROLE, "sagemaker", notebook_policy(foundation), policy_now, exists
    )
    expires = (now + timedelta(days=_KEEP_DAYS)).date().isoformat()
    tags = {"pedigree:owner": owner, "pedigree:run": name, "pedigree:expires": expires}
    script = lifecycle_script(files.uri, idle_s)
    return NotebookPlan(
        name=name,
        instance_type=instance_type,
        why=why,
        idle_s=idle_s,
        calls=(
            *calls,
            _lifecycle_call(name, script, idle_s, tags),
            _instance_call(name, instance_type, lifecycle_name(name, script), foundation, tags),
        ),
        hour=hour,
        disk=disk_price(prices, foundation.region),
    )


def disk_price(prices: PriceBook, region: str) -> Price | None:
    """The price of a notebook's disk, where the book has it."""
    try:
        return prices.find("sagemaker", "notebook_storage", region)
    except PriceError:
        return None


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _lifecycle_call(name: str, script: str, idle_s: int, tags: dict[str, str]) -> Call:
    params: dict[str, Any] = {
        "NotebookInstanceLifecycleConfigName": lifecycle_name(name, script),
        "OnStart": [{"Content": script}],
        "Tags": _pairs(tags),
    }
    return Call(
        service="sagemaker",
        operation="create_notebook_instance_lifecycle_config",
        params=params,
        why=f"stop the instance once it is idle for {idle_s} s",
    )


def lifecycle_name(name: str, script: str) -> str:
    """Names the content: another script or another time is another configuration."""
    return f"{name[:54]}-{hashlib.sha256(script.encode()).hexdigest()[:8]}"


def _instance_call(
    name: str, instance_type: str, lifecycle: str, foundation: Foundation, tags: dict[str, str]
) -> Call:
    params: dict[str, Any] = {
        "NotebookInstanceName": name,
        "InstanceType": instance_type,
        "RoleArn": foundation.role_arn(NOTEBOOK_ROLE),
        "LifecycleConfigName": lifecycle,
        "Tags": _pairs(tags),
        "VolumeSizeInGB": VOLUME_GB,
        "PlatformIdentifier": PLATFORM,
        "RootAccess": "Disabled",
        "InstanceMetadataServiceConfiguration": {"MinimumInstanceMetadataServiceVersion": "2"},
    }
    why = f"a notebook on {instance_type}"
    return Call(service="sagemaker", operation="create_notebook_instance", params=params, why=why)


def month_usd(plan: NotebookPlan, hours: Decimal) -> Decimal:
    """What a month with so many hours of use costs, disk included where its price is known."""
    disk = plan.disk.usd * VOLUME_GB if plan.disk is not None else Decimal(0)
    return plan.hour.usd * hours + disk
