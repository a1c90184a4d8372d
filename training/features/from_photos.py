"""The part of a run that goes from the survey to the features and the engine that made them."""

from __future__ import annotations

import time
from pathlib import Path

from training.backbones import Backbone
from training.config import TrainConfig
from training.engines.choose import Bench, choose_engine
from training.engines.engine import Engine
from training.features.cache import CacheKey, FeatureCache
from training.features.compute import compute_features
from training.features.feature_pass import Lens
from training.features.survey import Survey
from training.features.table import Features
from training.hosts.cluster import Cluster
from training.report import Reporter


def cache_root(config: TrainConfig) -> Path:
    """Where features are kept: `cache`, else among the checkpoints, else beside the output."""
    if config.cache:
        return Path(config.cache)
    kept = Path(config.checkpoints) if config.checkpoints else config.output_dir.parent
    return kept / "features"


def features_from_photos(
    survey: Survey,
    backbone: Backbone,
    config: TrainConfig,
    cluster: Cluster,
    *,
    threads: int,
    report: Reporter,
) -> tuple[Engine, Features]:
    """Choose the engine, then compute or find the features of train and valid.

    Reports which engine and why, the pass's speed over all hosts, and where its time went.
    """
    root = cache_root(config)
    engine = _engine(survey, backbone, config, cluster, root, threads)
    report.params({"engine_used": engine.name, "engine_why": engine.why})
    lens = Lens(
        transform=backbone.transform,
        network=engine.network,
        batch=engine.batch,
        width=backbone.width,
        views=config.views,
        augment=config.augment,
        seed=config.seed,
    )
    started = time.monotonic()
    features = compute_features(
        survey,
        lens,
        FeatureCache(root, _key(survey, backbone, engine, config)),
        cluster,
        threads=threads,
        max_unreadable_fraction=config.max_unreadable_fraction,
    )
    _tell(features, time.monotonic() - started, cluster, threads, report)
    return engine, features


def _engine(
    survey: Survey,
    backbone: Backbone,
    config: TrainConfig,
    cluster: Cluster,
    root: Path,
    threads: int,
) -> Engine:
    counts = {
        split: sum(photo.split == split for photo in survey.listing.photos)
        for split in ("train", "valid", "test")
    }
    pictures = counts["train"] * config.views + counts["valid"] + counts["test"]
    bench = Bench(
        backbone=backbone,
        survey=survey,
        cluster=cluster,
        cache_root=root,
        threads=threads,
        pictures=-(-pictures // cluster.world),
    )
    return choose_engine(config.engine, bench)


def _key(survey: Survey, backbone: Backbone, engine: Engine, config: TrainConfig) -> CacheKey:
    return CacheKey(
        dataset_digest=survey.digest,
        weights_digest=backbone.weights_digest,
        backbone=backbone.name,
        transform=backbone.transform,
        engine=engine.digest,
        views=config.views,
        augment=config.augment,
        seed=config.seed,
    )


def _tell(
    features: Features, spent_s: float, cluster: Cluster, threads: int, report: Reporter
) -> None:
    """Speed, and the share of the phase that decoding and the backbone took (both hide behind each
    other on several threads, so a thread's seconds are divided by the threads)."""
    for name in features.damaged:
        report.warning(f"the cached features in {name} were damaged and have been computed again")
    spent = features.spent
    pictures = sum(int(answer) for answer in cluster.gather(str(spent.pictures).encode()))
    report.metric("cache/computed_images", pictures)
    if pictures:
        report.metric("throughput/features_images_per_s", pictures / spent_s)
        report.metric("time/decode_s", spent.decode_s / threads)
        report.metric("time/backbone_s", spent.backbone_s / threads)
