"""The settings of one training run: what each means, and what it may be.

The launcher imports this by way of `training.config` to check settings before anything is sent, so
it may import nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from training.errors import ConfigError
from training.options import (
    About,
    about_field,
    check_digest,
    check_value,
    names,
    number,
    option,
    place,
    whole,
)

BACKBONES: Final = ("efficientnet_lite0", "resnet50")
ENGINES: Final = (
    *("auto", "f32", "bf16", "int8"),
    *("torch-f32", "torch-bf16", "torch-compile", "cuda"),
)
TRAINABLE: Final = ("head", "last_block", "all")
AUGMENTS: Final = ("none", "trivialaugment", "randaugment")
ML_DIR: Final = Path("/opt/ml")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. Fractions are 0 to 1, sizes are pixels, digests read `sha256:<64 hex>`.

    Raises ConfigError, naming the field and what it may be, for any value out of its range.
    """

    data: Path = field(
        default=ML_DIR / "input/data/training",
        metadata=place("folder with train/, valid/ and test/, each with a folder for each class"),
    )
    model_dir: Path = field(default=ML_DIR / "model", metadata=place("where the model is written"))
    output_dir: Path = field(
        default=ML_DIR / "output/data", metadata=place("where events and predictions are written")
    )
    weights: Path = field(
        default=ML_DIR / "input/data/weights",
        metadata=place("the backbone's weights: .pth or .safetensors, or a folder with one"),
    )
    backbone: str = option("resnet50", "the network under the head", choices=BACKBONES)
    epochs: int = option(40, "passes over the training photos", read=whole, low=1, high=100_000)
    batch_size: int = option(
        64, "photos in one step, over all hosts together", read=whole, low=1, high=65_536
    )
    learning_rate: float = option(
        0.001, "AdamW's first step size", read=number, low=0.0, above_low=True, high=1000
    )
    weight_decay: float = option(0.01, "AdamW's decay", read=number, low=0.0, high=1000)
    label_smoothing: float = option(
        0.1, "share of the target spread over all classes", read=number, low=0.0, high=0.99
    )
    warmup: float = option(
        0.05, "share of the steps over which the step size rises", read=number, low=0.0, high=0.9
    )
    clip_norm: float = option(
        1.0, "largest norm of a step's gradient; 0 is no limit", read=number, low=0.0, high=1e6
    )
    ema_decay: float = option(
        0.0, "keep a moving average of the weights; 0 is none", read=number, low=0.0, high=0.99999
    )
    patience: int = option(
        0,
        "stop after so many epochs without a smaller validation loss; 0 is never",
        read=whole,
        low=0,
        high=100_000,
    )
    class_weights: str = option(
        "none", "weight rare classes up in the loss", choices=("none", "balanced")
    )
    trainable: str = option(
        "head", "what learns; more than the head is fine-tuned after it", choices=TRAINABLE
    )
    deep_epochs: int = option(
        5, "passes over the photos when fine-tuning", read=whole, low=1, high=10_000
    )
    deep_learning_rate: float = option(
        0.0001,
        "first step size of the head and the topmost block when fine-tuning",
        read=number,
        low=0.0,
        above_low=True,
        high=1000,
    )
    layer_decay: float = option(
        0.7,
        "step size of each block as a share of the one above it",
        read=number,
        low=0.0,
        above_low=True,
        high=1.0,
    )
    deep_precision: str = option(
        "f32", "arithmetic of the fine-tuning passes", choices=("f32", "bf16")
    )
    augment: str = option(
        "trivialaugment", "how fine-tuning varies the photos of each pass", choices=AUGMENTS
    )
    trials: int = option(
        0,
        "heads to try: the best on valid is kept, those behind are given up; 0 is the one asked for",
        read=whole,
        low=0,
        high=10_000,
    )
    checkpoint_seconds: float = option(
        30.0, "time between two checkpoints", read=number, low=0.0, high=86_400
    )
    seed: int = option(0, "the run's chance", read=whole, low=0, high=2**32 - 1)
    resize: int = option(
        224, "length that a photo's short side is scaled to", read=whole, low=32, high=4096
    )
    crop: int = option(224, "side of the square cut from its middle", read=whole, low=32, high=1024)
    max_unreadable_fraction: float = option(
        0.01,
        "share of the photos that may be unreadable before the run is refused",
        read=number,
        low=0.0,
        high=1.0,
    )
    engine: str = option(
        "auto",
        "what runs the frozen backbone over the photos and is served; auto times them on the host",
        choices=ENGINES,
    )
    views: int = option(
        1,
        "pictures of each training photo that go through the backbone, all but one augmented",
        read=whole,
        low=1,
        high=1000,
    )
    cache: str = option(
        "", "folder where features are kept; empty is among the checkpoints", group="host"
    )
    checkpoints: str = option(
        "", "folder where the run keeps what it needs to go on; empty is none", group="host"
    )
    weights_digest: str = option("", "what the weights file must hash to", group="lineage")
    dataset_digest: str = option("", "what the photos must hash to", group="lineage")
    code_digest: str = option("", "digest of the source that runs", group="lineage")
    run_id: str = option("", "the tracker's name of this run", group="lineage")
    job_name: str = option("", "name of the job; hosts of one job share it", group="cluster")
    hosts: tuple[str, ...] = option(
        (), "all hosts of the job, the first leads: a,b", group="cluster", read=names
    )
    host: str = option("", "this host's name among them", group="cluster")
    network_interface: str = option("", "interface the hosts talk over", group="cluster")

    def __post_init__(self) -> None:
        for item in fields(self):
            check_value(item.name, getattr(self, item.name), about_field(item))
        for name in ("weights_digest", "dataset_digest", "code_digest"):
            check_digest(name, getattr(self, name))
        if self.crop > self.resize:
            raise ConfigError(
                f"crop is {self.crop} and resize is {self.resize}: the cut is the larger",
                fix=f"set resize to {self.crop} or more, or crop to {self.resize} or less",
            )
        if self.host and self.hosts and self.host not in self.hosts:
            raise ConfigError(
                f"host {self.host!r} is not among the hosts {', '.join(self.hosts)}",
                fix="give --host one of the names in --hosts",
            )
        if self.views > 1 and self.augment == "none":
            raise ConfigError(
                f"views is {self.views} and augment is none: the views would all be the same",
                fix="set augment to trivialaugment or randaugment, or views to 1",
            )
        if self.trials and self.trainable != "head":
            raise ConfigError(
                f"trials is {self.trials} and trainable is {self.trainable}: trials try heads only",
                fix="set trainable to head, or trials to 0",
            )
        if len(self.hosts) > 1 and not self.host:
            raise ConfigError("hosts names several hosts but host is empty", fix="give --host")


FIELDS: Final[Mapping[str, About]] = {item.name: about_field(item) for item in fields(TrainConfig)}

TUNABLE: Final[Mapping[str, str]] = {
    name: about.help for name, about in FIELDS.items() if about.group == "tunable"
}
"""The settings that an experiment may change, each with its help."""
