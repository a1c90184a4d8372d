"""The work of a run, as far as its time depends on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from experiments.hardware import hardware
from experiments.records import RunRecord, RunStatus

# Multiply-adds of one forward pass at 224 x 224, in 1e9, as the papers' tables give them:
# EfficientNet-Lite0 (tensorflow/tpu, efficientnet/lite/README.md), ResNet-50 (He et al. 2015, table 1).
GIGA_MACS = {"efficientnet_lite0": 0.407, "resnet50": 3.8}
_CUDA = "cuda"


@dataclass(frozen=True, kw_only=True)
class Work:
    """Where and what: hosts of a type, and photos through a backbone. `crop` is in pixels."""

    launcher: str
    instance_type: str
    hosts: int
    backbone: str
    engine: str
    images: int
    epochs: int
    deep_epochs: int
    crop: int
    spot: bool = False
    trials: int = 0

    @property
    def base_type(self) -> str:
        """The type without SageMaker's prefix: the hardware is the same."""
        return self.instance_type.removeprefix("ml.")

    @property
    def on_gpu(self) -> bool:
        """Whether the program runs on an accelerator of this type."""
        found = hardware(self.instance_type)
        wants = self.engine in (_CUDA, "auto") or self.engine.startswith("torch")
        return bool(found and found.gpu_count and wants)

    def elsewhere(self, launcher: str, instance_type: str, hosts: int, *, spot: bool) -> Work:
        """The same work on other machines."""
        return replace(self, launcher=launcher, instance_type=instance_type, hosts=hosts, spot=spot)


def work_of(params: Mapping[str, str], *, launcher: str, instance_type: str, hosts: int) -> Work:
    """The work that a run's params describe; what a param leaves out has its default.

    Raises ValueError for a count that is no number.
    """
    deep = params.get("train/trainable", "head") != "head"
    views = int(params.get("train/views", "1"))
    return Work(
        launcher=launcher,
        instance_type=instance_type,
        hosts=hosts,
        backbone=params.get("train/backbone", "resnet50"),
        engine=params.get("train/engine", params.get("train/feature_engine", "auto")),
        images=int(params.get("data/images", "0")) * views,
        epochs=int(params.get("train/epochs", "40")),
        deep_epochs=int(params.get("train/deep_epochs", "5")) if deep else 0,
        crop=int(params.get("train/crop", "224")),
        spot=params.get("launch/spot", "false") == "true",
        trials=int(params.get("train/trials", "0")),
    )


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A run on record: its work, the seconds billed for each host, and those of the program itself."""

    work: Work
    billable_s: float
    program_s: float | None


def seen(record: RunRecord) -> Seen | None:
    """What a run teaches, or None: only one that succeeded, and whose work and time are known, does."""
    if record.status is not RunStatus.SUCCEEDED or not record.billable_s or record.billable_s <= 0:
        return None
    try:
        work = work_of(
            record.params,
            launcher=record.launcher,
            instance_type=record.instance_type,
            hosts=record.hosts,
        )
    except ValueError:
        return None
    if work.images <= 0 or work.epochs <= 0:
        return None
    program = record.metrics.get("time/total_s")
    known = program is not None and 0 < program < record.billable_s
    return Seen(work=work, billable_s=record.billable_s, program_s=program if known else None)
