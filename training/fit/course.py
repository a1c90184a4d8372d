"""What a run learns, stage by stage: the head, or the best of many; then, if asked, deeper."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from training.backbones import Backbone
from training.config import TrainConfig
from training.engines.engine import Engine
from training.features import Features
from training.features.survey import Survey
from training.fit.deep import fine_tune
from training.fit.head import Head, calibrated, head_logits, train_head
from training.fit.keeper import open_keeper
from training.fit.photos import PhotoRows, gather_rows
from training.fit.progress import Epoch
from training.fit.stop import Stop
from training.fit.trials import Trial, search_head
from training.graph import Floats
from training.hosts.cluster import Cluster
from training.report import Reporter


@dataclass(frozen=True, kw_only=True)
class Course:
    """What every stage needs. `threads` are those of this host."""

    config: TrainConfig
    features: Features
    survey: Survey
    cluster: Cluster
    report: Reporter
    stop: Stop
    threads: int

    @property
    def classes(self) -> int:
        return len(self.features.manifest.classes)

    def attending(self) -> AbstractContextManager[None]:
        """Within, a request to stop waits for a checkpoint, if the run keeps any."""
        return self.stop.attending() if self.config.checkpoints else nullcontext()


def learn_head(course: Course) -> Head:
    """The head on the cached features: the one asked for, or the best of `config.trials`.

    Raises DivergedError, and StoppedError after a checkpoint when told to stop.
    """
    config, features = course.config, course.features
    digests = [features.train.digest, features.valid.digest]
    stage = "trials" if config.trials else "head"
    keeper = open_keeper(
        config, stage, digests, leads=course.cluster.leads, stop=course.stop, report=course.report
    )
    with course.attending():
        if config.trials:
            head = search_head(
                features.train,
                features.valid,
                classes=course.classes,
                config=config,
                cluster=course.cluster,
                keeper=keeper,
                on_trial=lambda trial, best: _tell_trial(course.report, trial, best),
            )
            for epoch in head.history:
                _tell_epoch(course.report, epoch, "")
            return head
        return train_head(
            features.train,
            features.valid,
            classes=course.classes,
            config=config,
            cluster=course.cluster,
            keeper=keeper,
            on_epoch=lambda epoch: _tell_epoch(course.report, epoch, ""),
        )


def learn_deeper(
    course: Course, backbone: Backbone, head: Head, rebuild: Callable[[Backbone], Engine]
) -> tuple[Head, Backbone, Engine | None]:
    """Fine-tune the backbone and the head; what is then to be exported, and its engine.

    The engine is None, and backbone and head are as they were, if validation found nothing better.
    """
    config, features, report = course.config, course.features, course.report
    start = hashlib.sha256(head.weight.tobytes() + head.bias.tobytes()).hexdigest()
    inputs = [course.survey.digest, backbone.weights_digest, start]
    keeper = open_keeper(
        config, "deep", inputs, leads=course.cluster.leads, stop=course.stop, report=report
    )
    train, valid = (
        PhotoRows(
            table,
            course.survey,
            backbone.transform,
            threads=course.threads,
            augment=augment,
            seed=config.seed,
        )
        for table, augment in ((features.train, config.augment), (features.valid, "none"))
    )
    with course.attending():
        tuned, before = fine_tune(
            backbone,
            head,
            train=train,
            valid=valid,
            config=config,
            cluster=course.cluster,
            threads=course.threads,
            keeper=keeper,
            on_epoch=lambda epoch: _tell_epoch(report, epoch, "deep/"),
        )
    report.metric("deep/start_calibrated_loss", before)
    if tuned.epoch is head.epoch:
        report.warning(
            f"fine-tuning found no smaller calibrated validation loss than {before:.4f}: head kept"
        )
        return head, backbone, None
    engine = rebuild(replace(backbone, weights_digest=_digest(backbone)))
    logits = _served_logits(engine, tuned, valid, course.cluster)
    return calibrated(tuned, logits, features.valid.labels), backbone, engine


def _served_logits(engine: Engine, head: Head, valid: PhotoRows, cluster: Cluster) -> Floats:
    """Validation logits of the tuned network as it is served."""
    rows = valid.mine(cluster)
    parts = [engine.network(np.stack([pixels])) for pixels in valid.plain_many(rows)]
    empty: Floats = np.zeros((0, head.weight.shape[1]), np.float32)
    values: Floats = np.concatenate(parts) if parts else empty
    whole = gather_rows(rows, values, len(valid.labels), cluster)
    return head_logits(whole, head.weight, head.bias)


def _digest(backbone: Backbone) -> str:
    """The digest of the backbone's weights as they are now."""
    total = hashlib.sha256()
    for name, tensor in backbone.module.state_dict().items():
        total.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return f"sha256:{total.hexdigest()}"


def _tell_epoch(report: Reporter, epoch: Epoch, stage: str) -> None:
    at = epoch.at or None
    report.metric(f"{stage}train/loss", epoch.train_loss, step=epoch.number, at=at)
    report.metric(f"{stage}valid/loss", epoch.valid_loss, step=epoch.number, at=at)
    name = f"{stage}valid/calibrated_loss"
    report.metric(name, epoch.valid_calibrated, step=epoch.number, at=at)
    report.metric(f"{stage}valid/top1", epoch.valid_top1, step=epoch.number, at=at)


def _tell_trial(report: Reporter, trial: Trial, best: bool) -> None:
    metrics = {
        "valid/loss": trial.loss,
        "valid/top1": trial.top1,
        "epochs": float(trial.epochs),
        "given_up": float(trial.given_up),
    }
    report.trial(trial.number, settings=trial.settings, metrics=metrics, best=best)
