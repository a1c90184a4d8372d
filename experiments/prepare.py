"""Bring everything a launch needs into place: the account's foundation, data, code and weights."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from experiments.aws import Cloud, images_complete
from experiments.dataset import (
    LocalDataset,
    Progress,
    is_there,
    put_dataset,
    put_file,
    read_dataset,
)
from experiments.foundation import observe_foundation, plan_foundation
from experiments.launching.ec2 import AMI_PARAMETER
from experiments.launching.plan import Ingredients, check_settings, check_spec
from experiments.launching.wheels import put_wheels, read_lock, wheels_artifact
from experiments.prices import PriceBook
from experiments.records import Artifact, Dataset, RunRecord
from experiments.source import ROOT, Source, pack_source
from experiments.spec import ExperimentSpec
from experiments.weights import find_weights


def check_inputs(spec: ExperimentSpec, data: Path, book: PriceBook) -> LocalDataset:
    """Everything that can be refused before a cloud is asked: settings, prices, photographs."""
    check_spec(spec, book)
    allowed = min(check_settings(spec, run).max_unreadable_fraction for run in spec.runs)
    return read_dataset(data, max_unreadable_fraction=allowed)


def _weights(
    spec: ExperimentSpec, cloud: Cloud | None, bucket: str, *, cache: Path, base: Path
) -> Artifact:
    if spec.weights.startswith("s3://") and spec.weights_sha256:
        return _weights_in_s3(spec.weights, spec.weights_sha256, cloud, bucket)
    path, digest = find_weights(spec.weights, cache=cache, base=base, sha256=spec.weights_sha256)
    key = f"weights/{digest.removeprefix('sha256:')[:16]}/{path.name}"
    uri = put_file(cloud, bucket, key, path) if cloud else f"s3://{bucket}/{key}"
    return Artifact(uri=uri, digest=digest)


def _weights_in_s3(uri: str, sha256: str, cloud: Cloud | None, bucket: str) -> Artifact:
    """Weights that are in S3 already, copied to the one bucket that a run may read."""
    source, _, source_key = uri.removeprefix("s3://").partition("/")
    digest = f"sha256:{sha256}"
    if source == bucket and source_key.startswith("weights/"):
        return Artifact(uri=uri, digest=digest)
    key = f"weights/{sha256[:16]}/{source_key.rsplit('/', 1)[-1]}"
    if cloud is not None and not is_there(cloud, bucket, key):
        place = quote(f"{source}/{source_key}")
        cloud.ask("s3", "copy_object", Bucket=bucket, Key=key, CopySource=place)
    return Artifact(uri=f"s3://{bucket}/{key}", digest=digest)


def _source_key(source: Source) -> str:
    return f"code/{source.digest.removeprefix('sha256:')[:16]}/source.tar.gz"


def prepare(
    spec: ExperimentSpec,
    data: LocalDataset,
    *,
    cloud: Cloud,
    book: PriceBook,
    history: tuple[RunRecord, ...],
    cache: Path,
    base: Path,
    progress: Progress,
    say: Callable[[str], None],
) -> Ingredients:
    """Create what is missing in the account and put data, code and weights where runs read them."""
    foundation, standing = observe_foundation(cloud)
    for call in plan_foundation(foundation, standing):
        say(f"{call.service} {call.operation}: {call.why}")
        cloud.perform(call)
    source = pack_source()
    bucket = foundation.bucket
    dataset = put_dataset(cloud, bucket, data, progress)
    code = put_file(cloud, bucket, _source_key(source), source.data)
    return Ingredients(
        foundation=foundation,
        dataset=dataset,
        source=Artifact(uri=code, digest=source.digest),
        weights=_weights(spec, cloud, bucket, cache=cache, base=base),
        image_id=image_id(spec, cloud),
        book=book,
        history=history,
        git_commit=git_commit(ROOT),
        owner=owner(),
        wheels=_wheels(spec, cloud, bucket, cache=cache, say=say),
    )


def _wants_wheels(spec: ExperimentSpec, cloud: Cloud) -> bool:
    return (spec.dependencies or ("image" if images_complete(cloud) else "wheels")) == "wheels"


def _wheels(
    spec: ExperimentSpec, cloud: Cloud, bucket: str, *, cache: Path, say: Callable[[str], None]
) -> Artifact | None:
    if not _wants_wheels(spec, cloud):
        return None
    say("hash-locked wheels for the hosts, fetched once for each lock")
    return put_wheels(cloud, bucket, read_lock(), cache=cache)


def foresee(
    spec: ExperimentSpec,
    data: LocalDataset,
    *,
    cloud: Cloud,
    book: PriceBook,
    history: tuple[RunRecord, ...],
    cache: Path,
    base: Path,
) -> Ingredients:
    """The same ingredients as `prepare` would give, with nothing created or sent."""
    foundation, _ = observe_foundation(cloud)
    source = pack_source()
    short = data.digest.removeprefix("sha256:")[:16]
    bucket = foundation.bucket
    return Ingredients(
        foundation=foundation,
        dataset=Dataset(
            uri=f"s3://{bucket}/datasets/{short}/",
            digest=data.digest,
            classes=data.classes,
            images=data.images,
            size_bytes=data.size_bytes,
        ),
        source=Artifact(uri=f"s3://{bucket}/{_source_key(source)}", digest=source.digest),
        weights=_weights(spec, None, bucket, cache=cache, base=base),
        image_id=image_id(spec, cloud),
        book=book,
        history=history,
        git_commit=git_commit(ROOT),
        owner=owner(),
        wheels=wheels_artifact(bucket, read_lock()) if _wants_wheels(spec, cloud) else None,
    )


def image_id(spec: ExperimentSpec, cloud: Cloud) -> str:
    """The id of the newest Deep Learning AMI, if a run needs one."""
    if all(run.on != "ec2" for run in spec.runs):
        return ""
    answer = cloud.ask("ssm", "get_parameter", Name=AMI_PARAMETER)
    return str(answer["Parameter"]["Value"])


def git_commit(root: Path) -> str:
    """The commit the code was at, with `-dirty` if it was changed since; empty outside git."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def owner() -> str:
    """Who is at this machine, for the tags of what is launched."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
