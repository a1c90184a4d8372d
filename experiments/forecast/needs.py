"""What a run needs of a machine, and what is wrong with the one it was given. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from experiments.errors import PriceError
from experiments.forecast.work import Work
from experiments.hardware import hardware
from experiments.prices import PriceBook
from experiments.records import Estimate, Hosts, RunRecord

# Peak memory of the training program, EfficientNet-Lite0 f32 and bf16, drawn photographs: see
# tests/experiments/forecast/recorded_runs.json. Nothing that trains takes less.
LEAST_MB = 900.0
_SYSTEM_GIB = 0.6
_MARGIN = 1.15


@dataclass(frozen=True, kw_only=True)
class Need:
    """Memory that a host needs, in GiB, and how that is known."""

    gib: float
    why: str


def need_of(work: Work, history: Iterable[RunRecord]) -> Need:
    """The most that runs of the same backbone took on record, with a margin; else a floor."""
    peaks = [
        record.metrics["memory/peak_mb"]
        for record in history
        if record.params.get("train/backbone") == work.backbone
        and "memory/peak_mb" in record.metrics
    ]
    if peaks:
        gib = max(peaks) * _MARGIN / 1024 + _SYSTEM_GIB
        return Need(gib=gib, why=f"{len(peaks)} run(s) of {work.backbone} took {max(peaks):.0f} MB")
    gib = LEAST_MB * _MARGIN / 1024 + _SYSTEM_GIB
    return Need(gib=gib, why=f"no run of {work.backbone} on record: the least any training takes")


def too_small(hosts: Hosts, need: Need) -> str:
    """Why a type has too little memory, or nothing; a type of unknown hardware is not refused."""
    inside = hardware(hosts.instance_type)
    if inside is None or inside.memory_gib >= need.gib:
        return ""
    return f"{inside.memory_gib:g} GiB of memory, {need.gib:.1f} needed"


def warnings(
    work: Work, hosts: Hosts, estimate: Estimate, need: Need, *, checkpoints: bool, limit_s: int
) -> Iterator[str]:
    """What a person should know before they spend: memory, an idle accelerator, spot, the time limit."""
    inside = hardware(hosts.instance_type)
    if inside is None:
        yield f"the hardware of {hosts.instance_type} is not known here: its memory is not checked"
    small = too_small(hosts, need)
    if small:
        yield f"{hosts.instance_type} is too small: {small} ({need.why})"
    if inside is not None and inside.gpu_count and not work.on_gpu:
        yield (
            f"{inside.gpu_count} x {inside.gpu_name} would be idle: engine {work.engine} runs on the"
            " processors; use `engine: cuda` or a type without an accelerator"
        )
    if hosts.spot and not checkpoints:
        yield "spot without checkpoints: an interruption loses all work"
    if estimate.duration is not None and estimate.duration.high_s >= limit_s:
        yield f"it may not be done within max_runtime_s {limit_s}; it would be stopped there"


def missing_prices(hosts: Hosts, book: PriceBook) -> Iterator[str]:
    """What of a run's cost the book has no price for in its region, by name."""
    parts = [("s3", "put_request"), ("s3", "get_request"), ("s3", "standard_storage")]
    parts.append(("cloudwatch", "logs_ingest"))
    if hosts.launcher == "ec2":
        parts.append(("ebs", "gp3_storage"))
    else:
        parts.append(("sagemaker", "training_storage"))
    missing = [
        f"{service} {component}"
        for service, component in parts
        if (service, component, "", hosts.region) not in book.rows
    ]
    if missing:
        yield f"not in the estimate, no price in {hosts.region}: {', '.join(missing)}"
    if hosts.launcher == "ec2" and hosts.spot:
        try:
            book.find("ec2", "spot", hosts.region, hosts.instance_type)
        except PriceError:
            yield (
                f"no spot quote for {hosts.instance_type} in {hosts.region}:"
                " reckoned on demand, an upper bound"
            )
    if hosts.launcher == "sagemaker" and hosts.spot:
        yield "managed spot's saving is in no price list: reckoned on demand, an upper bound"
