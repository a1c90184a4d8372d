"""Decide a launch: spec, prices, data, code and clock in; the exact requests and their price out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from experiments import budgets
from experiments.cost import compute_price, money
from experiments.errors import SpecError
from experiments.forecast.foresee import foresee
from experiments.foundation import Foundation
from experiments.launching.ec2 import run_instances_call
from experiments.launching.host_script import GRACE_S, user_data
from experiments.launching.sagemaker import training_job_call
from experiments.prices import PriceBook
from experiments.records import Artifact, Call, Dataset, Estimate, Hosts, LaunchPlan, RunRecord
from experiments.spec import ExperimentSpec, RunSpec
from training.config import TrainConfig, from_settings, hyperparameters
from training.errors import TrainingError

_KEEP_DAYS = 90
_UNSAFE = re.compile(r"[^\w.:/=+@ -]")


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What a launch needs besides the spec: where things are in AWS, and what is known."""

    foundation: Foundation
    dataset: Dataset
    source: Artifact
    weights: Artifact
    image_id: str
    book: PriceBook
    history: tuple[RunRecord, ...] = ()
    git_commit: str = ""
    owner: str = "unknown"
    wheels: Artifact | None = None
    """The packages that the hosts' image lacks; None where it has them all."""


def check_settings(spec: ExperimentSpec, run: RunSpec, **lineage: str) -> TrainConfig:
    """The training configuration a run asks for. Raises SpecError naming the run and the setting."""
    try:
        return from_settings(spec.settings_for(run), **lineage)
    except TrainingError as error:
        raise SpecError(f"run {run.name!r}: {error.message}", fix=error.fix) from error


def check_spec(spec: ExperimentSpec, book: PriceBook) -> None:
    """Refuse what can be refused without data or cloud: settings, and types without a price."""
    for run in spec.runs:
        check_settings(spec, run)
        compute_price(book, run.on, run.instance_type, spec.region)


def job_name(spec: ExperimentSpec, run: RunSpec, run_id: str) -> str:
    """The name a run has in AWS: experiment, run and id; at most 63 characters."""
    return f"{spec.experiment}-{run.name}-{run_id}"


def _tags(
    spec: ExperimentSpec, run: RunSpec, run_id: str, made_of: Ingredients, now: datetime
) -> dict[str, str]:
    expires = (now + timedelta(days=_KEEP_DAYS)).date().isoformat()
    tags = {
        "pedigree:owner": made_of.owner,
        "pedigree:experiment": spec.experiment,
        "pedigree:run": run_id,
        "pedigree:expires": expires,
    }
    return {key: _UNSAFE.sub("_", value) for key, value in tags.items()}


def _params(
    spec: ExperimentSpec, run: RunSpec, config: TrainConfig, made_of: Ingredients
) -> dict[str, str]:
    shown = {f"train/{f.name}": str(getattr(config, f.name)) for f in fields(config)}
    tunable = spec.settings_for(run).keys() | {"backbone", "epochs", "batch_size", "learning_rate"}
    return {
        **{k: v for k, v in shown.items() if k.removeprefix("train/") in tunable | {"seed"}},
        "launch/app": spec.app,
        "launch/on": run.on,
        "launch/instance_type": run.instance_type,
        "launch/hosts": str(run.instance_count),
        "launch/region": spec.region,
        "launch/max_runtime_s": str(run.max_runtime_s),
        "launch/volume_gb": str(run.volume_gb),
        "launch/spot": str(run.spot).lower(),
        "launch/checkpoints": str(run.checkpoints).lower(),
        "launch/dependencies": made_of.wheels.digest if made_of.wheels else "image",
        "data/uri": made_of.dataset.uri,
        "data/digest": made_of.dataset.digest,
        "data/images": str(sum(made_of.dataset.images.values())),
        "data/classes": str(len(made_of.dataset.classes)),
        "code/digest": made_of.source.digest,
        "code/git_commit": made_of.git_commit or "unknown",
        "weights/source": spec.weights,
        "weights/digest": made_of.weights.digest,
        "launch/price_book": made_of.book.date,
        **budgets.params_of(run.budget_usd, spec.budget_usd),
    }


def _launch_call(
    spec: ExperimentSpec,
    run: RunSpec,
    config: TrainConfig,
    name: str,
    tags: dict[str, str],
    made_of: Ingredients,
) -> Call:
    if run.on == "sagemaker":
        return training_job_call(
            name=name,
            run=run,
            foundation=made_of.foundation,
            dataset=made_of.dataset,
            source=made_of.source,
            weights=made_of.weights,
            wheels=made_of.wheels,
            hyperparameters=hyperparameters(config),
            tags=tags,
        )
    script = user_data(
        run=run,
        region=spec.region,
        output_uri=_output_uri(made_of, name),
        dataset=made_of.dataset,
        source=made_of.source,
        weights=made_of.weights,
        wheels=made_of.wheels,
        arguments=[f"--{k.replace('_', '-')}={v}" for k, v in hyperparameters(config).items()],
    )
    return run_instances_call(
        name=name,
        run=run,
        foundation=made_of.foundation,
        image_id=made_of.image_id,
        script=script,
        tags=tags,
    )


def _output_uri(made_of: Ingredients, name: str) -> str:
    return f"s3://{made_of.foundation.bucket}/runs/{name}/output/"


def hosts_of_run(spec: ExperimentSpec, run: RunSpec) -> Hosts:
    """The hosts that a run of an experiment file asks for."""
    return Hosts(
        launcher=run.on,
        instance_type=run.instance_type,
        count=run.instance_count,
        region=spec.region,
        volume_gb=run.volume_gb,
        spot=run.spot,
    )


def _foreseen(
    spec: ExperimentSpec, run: RunSpec, made_of: Ingredients, params: Mapping[str, str]
) -> tuple[Estimate, tuple[str, ...]]:
    """What the run may cost, and what a person should know before they spend it."""
    hosts = hosts_of_run(spec, run)
    limit_s = run.max_runtime_s + (GRACE_S if run.on == "ec2" else 0)
    return foresee(
        hosts,
        params,
        history=made_of.history,
        book=made_of.book,
        limit_s=limit_s,
        checkpoints=run.checkpoints,
        kept_s=run.warm_pool_s,
    )


def _reasons(spec: ExperimentSpec, run: RunSpec, made_of: Ingredients) -> tuple[str, ...]:
    price = compute_price(made_of.book, run.on, run.instance_type, spec.region)
    hosts = f"{run.instance_count} x " if run.instance_count > 1 else ""
    return (
        f"{hosts}{run.instance_type} in {spec.region} at {money(price.usd)} an hour"
        f" (read {price.as_of})",
        f"stops at {run.max_runtime_s} s at the latest",
        *_options(run, made_of),
    )


def _options(run: RunSpec, made_of: Ingredients) -> Iterator[str]:
    if run.spot:
        yield f"spot: AWS may take the host back; waits and runs end after {run.longest_s} s"
    if run.warm_pool_s:
        yield f"the hosts are kept warm for {run.warm_pool_s} s after the run, at the same price"
    if not run.checkpoints:
        yield "keeps no checkpoints: a run that is stopped begins anew"
    if made_of.wheels is not None:
        yield f"packages from hash-locked wheels in S3 ({made_of.wheels.digest[:19]})"


def plan_launch(
    spec: ExperimentSpec, run: RunSpec, *, run_id: str, made_of: Ingredients, now: datetime
) -> LaunchPlan:
    """Everything that launching `run` will do: the exact request, its price interval, the reasons.

    Pure. Raises SpecError for settings that cannot be, PriceError where the book has no price.
    """
    config = check_settings(
        spec,
        run,
        run_id=run_id,
        dataset_digest=made_of.dataset.digest,
        code_digest=made_of.source.digest,
        weights_digest=made_of.weights.digest,
    )
    name = job_name(spec, run, run_id)
    tags = _tags(spec, run, run_id, made_of, now)
    params = _params(spec, run, config, made_of)
    estimate, known = _foreseen(spec, run, made_of, params)
    warnings = [*known]
    if run.volume_gb * 1024**3 < 3 * made_of.dataset.size_bytes:
        warnings.append(f"volume_gb {run.volume_gb} is under three times the data's size")
    return LaunchPlan(
        run_id=run_id,
        run_name=run.name,
        experiment=spec.experiment,
        launcher=run.on,
        instance_type=run.instance_type,
        instance_count=run.instance_count,
        region=spec.region,
        calls=(_launch_call(spec, run, config, name, tags, made_of),),
        estimate=estimate,
        params=params,
        tags=tags,
        reasons=_reasons(spec, run, made_of),
        warnings=tuple(warnings),
        max_runtime_s=run.max_runtime_s,
        volume_gb=run.volume_gb,
        output_uri=_output_uri(made_of, name),
    )


def plan_experiment(
    spec: ExperimentSpec, *, run_ids: Sequence[str], made_of: Ingredients, now: datetime
) -> tuple[LaunchPlan, ...]:
    """One plan for each run of the experiment, in the file's order."""
    pairs = zip(spec.runs, run_ids, strict=True)
    return tuple(
        plan_launch(spec, run, run_id=run_id, made_of=made_of, now=now) for run, run_id in pairs
    )
