"""One training run from top to bottom: photos in, a model that can be served out."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from training import export
from training.backbones import Backbone, load_backbone
from training.config import TrainConfig, hyperparameters
from training.errors import ClusterError, DataError
from training.features import FeatureTable, extract, extract_shared
from training.fit.head import Head, train_head
from training.fit.progress import Epoch
from training.graph import Floats, Network, convert, on_openvino, on_torch
from training.hosts.cluster import Cluster, Rendezvous, join, part, unshard
from training.manifest import (
    Inspection,
    Listing,
    Manifest,
    Photo,
    assemble,
    inspect_all,
)
from training.measure.basics import Labels
from training.measure.confusion import class_rows
from training.measure.scores import prediction_rows, score
from training.report import Reporter


def run(config: TrainConfig, listing: Listing, meeting: Rendezvous, report: Reporter) -> None:
    """Train, export and evaluate. Only the leading host writes a model and metrics.

    Raises TrainingError; `report` holds what was done until then.
    """
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(1)  # photos run in parallel threads, and the head is too small to split
    with report.phase("scan"):
        cluster = join(meeting)
        manifest = _scan(listing, config, cluster, threads)
    _announce(config, manifest, cluster, threads, report)
    with report.phase("features"):
        backbone = _load(config)
        graph = convert(backbone.module, config.crop)
        network = _network(config, backbone, graph, threads)
        tables = _features(manifest, backbone, network, cluster, threads, report)
    with report.phase("head"):
        head = _train(*tables, config, manifest, cluster, report)
    part(cluster)
    if not cluster.leads:
        return
    with report.phase("export"):
        path = export.write_model(config.model_dir, graph=graph, backbone=backbone, head=head)
    with report.phase("evaluate"):
        _evaluate(path, config, manifest, backbone, head, threads, report)
    report.metric("memory/peak_mb", _peak_mb())
    report.metric("time/total_s", report.elapsed_s())
    export.write_manifest(
        config.model_dir,
        config=config,
        manifest=manifest,
        backbone=backbone,
        head=head,
        metrics=report.metrics,
    )


def _scan(listing: Listing, config: TrainConfig, cluster: Cluster, threads: int) -> Manifest:
    """Inspect the photos, each host its share. Raises DataError, ClusterError."""
    mine = inspect_all(config.data, cluster.shard(listing.photos), threads=threads)
    seen = hashlib.sha256("\n".join(p.path for p in listing.photos).encode("utf-8", "replace"))
    answer = {"listing": seen.hexdigest(), "found": [[i.sha256, i.fault] for i in mine]}
    answers = [json.loads(text) for text in cluster.gather(json.dumps(answer).encode())]
    if len({a["listing"] for a in answers}) > 1:
        raise ClusterError(
            "the hosts see different photos",
            fix="give every host all of the data (FullyReplicated)",
        )
    inspections = [
        Inspection(sha256=sha256, fault=fault)
        for sha256, fault in unshard([a["found"] for a in answers])
    ]
    manifest = assemble(
        listing, inspections, max_unreadable_fraction=config.max_unreadable_fraction
    )
    if config.dataset_digest and manifest.digest != config.dataset_digest:
        raise DataError(
            f"the photos hash to {manifest.digest}, the run was launched for {config.dataset_digest}",
            fix="launch the run again: the data changed in between",
        )
    return manifest


def _announce(
    config: TrainConfig, manifest: Manifest, cluster: Cluster, threads: int, report: Reporter
) -> None:
    packages = ("torch", "openvino", "numpy", "pillow")
    report.params(
        {
            **hyperparameters(config),
            "dataset_digest": manifest.digest,
            "classes": len(manifest.classes),
            **{f"{split}_photos": len(manifest.of(split)) for split in ("train", "valid", "test")},
            "unreadable_photos": len(manifest.unreadable),
            "hosts": cluster.world,
            "threads": threads,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        }
    )
    for warning in manifest.warnings:
        report.warning(warning)


def _load(config: TrainConfig) -> Backbone:
    return load_backbone(
        config.backbone,
        weights=config.weights,
        weights_digest=config.weights_digest,
        resize=config.resize,
        crop=config.crop,
    )


def _network(config: TrainConfig, backbone: Backbone, graph: object, threads: int) -> Network:
    if config.feature_engine == "torch":
        return on_torch(backbone.module)
    return on_openvino(graph, threads=threads)


def _labels(photos: Sequence[Photo], classes: Sequence[str]) -> Labels:
    place = {name: i for i, name in enumerate(classes)}
    return np.array([place[photo.label] for photo in photos], np.int64)


def _features(
    manifest: Manifest,
    backbone: Backbone,
    network: Network,
    cluster: Cluster,
    threads: int,
    report: Reporter,
) -> tuple[FeatureTable, FeatureTable]:
    """Train and valid through the backbone; reports photos per second over all hosts."""
    train, valid = manifest.of("train"), manifest.of("valid")
    started = time.monotonic()
    rows = extract_shared(
        [*train, *valid],
        manifest.root,
        transform=backbone.transform,
        network=network,
        threads=threads,
        cluster=cluster,
    )
    spent = time.monotonic() - started
    report.metric("throughput/features_images_per_s", len(rows) / spent)
    return (
        _table(train, rows[: len(train)], manifest.classes),
        _table(valid, rows[len(train) :], manifest.classes),
    )


def _table(photos: tuple[Photo, ...], rows: Floats, classes: Sequence[str]) -> FeatureTable:
    digest = f"sha256:{hashlib.sha256(rows.tobytes()).hexdigest()}"
    labels = _labels(photos, classes)
    return FeatureTable(features=rows[:, None, :], labels=labels, photos=photos, digest=digest)


def _train(
    train: FeatureTable,
    valid: FeatureTable,
    config: TrainConfig,
    manifest: Manifest,
    cluster: Cluster,
    report: Reporter,
) -> Head:
    def tell(epoch: Epoch) -> None:
        report.metric("train/loss", epoch.train_loss, step=epoch.number)
        report.metric("valid/loss", epoch.valid_loss, step=epoch.number)
        report.metric("valid/top1", epoch.valid_top1, step=epoch.number)

    return train_head(
        train,
        valid,
        classes=len(manifest.classes),
        config=config,
        cluster=cluster,
        on_epoch=tell,
    )


def _evaluate(
    path: Path,
    config: TrainConfig,
    manifest: Manifest,
    backbone: Backbone,
    head: Head,
    threads: int,
    report: Reporter,
) -> None:
    """Score the exported files themselves on test, as serving will run them."""
    photos, classes = manifest.of("test"), manifest.classes
    logits: Floats = extract(
        photos,
        manifest.root,
        transform=backbone.transform,
        network=on_openvino(path, threads=threads),
        threads=threads,
    )
    labels = _labels(photos, classes)
    scores = score(logits, labels, temperature=head.temperature)
    for name in ("loss", "top1", "top5", "macro_f1", "ece"):
        report.metric(f"test/{name}", getattr(scores, name))
    rows = prediction_rows(
        [photo.path for photo in photos],
        labels,
        logits,
        classes=classes,
        temperature=head.temperature,
    )
    export.write_rows(config.output_dir / "predictions.jsonl", rows)
    confusion = {"classes": list(classes), "rows_are": "true", "counts": scores.confusion.tolist()}
    export.write_json(config.output_dir / "confusion.json", confusion)
    export.write_rows(config.output_dir / "classes.jsonl", class_rows(scores.confusion, classes))
    for name in ("predictions.jsonl", "confusion.json", "classes.jsonl"):
        report.artifact(name)


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
