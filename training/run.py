"""One training run from top to bottom: photos in, a model that can be served out."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np
import torch

from training import export
from training.backbones import Backbone, load_backbone
from training.config import TrainConfig, hyperparameters
from training.engines.choose import Bench, choose_engine
from training.engines.engine import Engine
from training.engines.on_openvino import on_openvino
from training.features.artifact import artifact_logits, test_outputs
from training.features.from_photos import cache_root, features_from_photos
from training.features.survey import survey_photos
from training.fit.course import Course, learn_deeper, learn_head
from training.fit.head import Head
from training.fit.stop import Stop
from training.graph import Floats, add_head
from training.hosts.cluster import Cluster, part
from training.manifest import Listing, Manifest, Photo
from training.measure.basics import Labels
from training.measure.outcome import report_outcome
from training.report import Reporter


def run(
    config: TrainConfig,
    listing: Listing,
    meet: Callable[[], Cluster],
    report: Reporter,
    stop: Stop,
) -> None:
    """Train, export and evaluate. Only the leading host writes a model and metrics.

    Raises TrainingError; `report` holds what was done until then.
    """
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(1)  # photos run in parallel threads, and the head is too small to split
    with report.phase("scan"):
        cluster = meet()
        survey = survey_photos(listing, config, cluster, threads)
    with report.phase("features"):
        backbone = _load(config)
        engine, features = features_from_photos(
            survey, backbone, config, cluster, threads=threads, report=report
        )
    _announce(config, features.manifest, cluster, threads, report)
    course = Course(
        config=config,
        features=features,
        survey=survey,
        cluster=cluster,
        report=report,
        stop=stop,
        threads=threads,
    )
    with report.phase("head"):
        head = learn_head(course)
    if config.trainable != "head":
        with report.phase("deep"):
            head, backbone, tuned = learn_deeper(
                course, backbone, head, lambda deeper: _engine_again(engine.name, deeper, course)
            )
        engine = tuned or engine
    _deliver(course, backbone, engine, head)


def _engine_again(name: str, backbone: Backbone, course: Course) -> Engine:
    """The engine that was chosen, for the backbone as fine-tuning left it."""
    bench = Bench(
        backbone=backbone,
        survey=course.survey,
        cluster=course.cluster,
        cache_root=cache_root(course.config),
        threads=course.threads,
        pictures=0,
    )
    return choose_engine(name, bench)


def _deliver(course: Course, backbone: Backbone, engine: Engine, head: Head) -> None:
    """Export, score the exported files, part, and write the manifest that makes the model whole."""
    config, report, cluster = course.config, course.report, course.cluster
    manifest = course.features.manifest
    with report.phase("export"):
        if cluster.leads:
            export.write_model(config.model_dir, graph=engine.graph, backbone=backbone, head=head)
    with report.phase("evaluate"):
        logits, float_logits = _test_logits(course, backbone, engine, head)
    part(cluster)
    if not cluster.leads:
        return
    photos = manifest.of("test")
    report_outcome(
        config.output_dir,
        report,
        paths=[photo.path for photo in photos],
        labels=_labels(photos, manifest.classes),
        logits=logits,
        classes=manifest.classes,
        head=head,
        float_logits=float_logits,
    )
    report.metric("memory/peak_mb", _peak_mb())
    report.metric("time/total_s", report.elapsed_s())
    export.write_manifest(
        config.model_dir,
        config=config,
        manifest=manifest,
        backbone=backbone,
        engine=engine.served,
        head=head,
        metrics=report.metrics,
    )


def _test_logits(
    course: Course, backbone: Backbone, engine: Engine, head: Head
) -> tuple[Floats, Floats | None]:
    """What the exported files answer on test, and the float network where they are quantized."""
    logits = artifact_logits(
        course.config.model_dir,
        hint=engine.hint,
        survey=course.survey,
        features=course.features,
        transform=backbone.transform,
        cluster=course.cluster,
        threads=course.threads,
    )
    if engine.name != "int8":
        return logits, None
    floating = add_head(engine.float_graph, head.weight, head.bias)
    return logits, test_outputs(
        on_openvino(floating, threads=course.threads, hint="f32"),
        survey=course.survey,
        features=course.features,
        transform=backbone.transform,
        cluster=course.cluster,
        threads=course.threads,
    )


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


def _labels(photos: Sequence[Photo], classes: Sequence[str]) -> Labels:
    place = {name: i for i, name in enumerate(classes)}
    return np.array([place[photo.label] for photo in photos], np.int64)


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
