"""The names under which a run is tracked: one table, so that MLflow's compare page, charts and search read
well. A slash groups metrics and params in MLflow's pages; tags of ours start with `pedigree.` or `cost.`.

`docs/tracking.md` shows the table; a test holds the two, and what the programs write, together.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

RUN_ID = "pedigree.run"
STATUS = "pedigree.status"
REASON = "pedigree.reason"
PHASE = "pedigree.phase"
WARNINGS = "pedigree.warnings"
OWNER = "pedigree.owner"
TRIAL = "pedigree.trial"
TRIAL_BEST = "pedigree.trial_best"
EXPIRES = "pedigree.expires"
RESOURCE = "pedigree.resource"
MODEL_URI = "pedigree.model_uri"
CODE_DIGEST = "pedigree.code_digest"
DATASET_DIGEST = "pedigree.dataset_digest"
COST_USD = "cost.usd"
COST_BASIS = "cost.basis"
COST_PRICE = "cost.price"
COST_PRICE_DATE = "cost.price_date"
COST_METRIC = "cost/usd"
COST_SO_FAR_METRIC = "cost/so_far_usd"
BILLABLE_METRIC = "time/billable_s"
DOWNLOAD_METRIC = "time/download_s"
QUALITY_METRIC = "test/top1"


@dataclass(frozen=True, kw_only=True)
class Named:
    """One row of the table. `name` may hold `*`; `by` says who writes it."""

    name: str
    kind: str
    unit: str
    by: str
    meaning: str


def _rows(kind: str, by: str, *rows: tuple[str, str, str]) -> tuple[Named, ...]:
    return tuple(
        Named(name=name, kind=kind, unit=unit, by=by, meaning=meaning)
        for name, unit, meaning in rows
    )


TABLE: tuple[Named, ...] = (
    *_rows(
        "metric",
        "training",
        (
            "test/top1",
            "0 to 1",
            "share of test photos whose first class is right; runs are ranked by it",
        ),
        ("test/top5", "0 to 1", "share whose class is among the first five"),
        ("test/macro_f1", "0 to 1", "F1 averaged over classes"),
        ("test/loss", "nats", "cross entropy on test"),
        ("test/ece", "0 to 1", "calibration error of the probabilities that are served"),
        ("test/ece_uncalibrated", "0 to 1", "the same before the temperature"),
        ("test/*", "", "further scores of the exported artifact"),
        ("calibration/temperature", "", "what logits are divided by"),
        ("valid/*", "", "on the validation photos, by epoch (`valid/top1`, `valid/loss`)"),
        ("train/loss", "nats", "on the training photos, by epoch"),
        ("deep/*", "", "the same of the fine-tuning stage, by epoch"),
        ("throughput/*", "per s", "photos per second over all hosts (`features_images_per_s`)"),
        ("cache/computed_images", "photos", "photos whose features were not in the cache"),
        ("memory/peak_mb", "MiB", "the training process's peak"),
        ("time/total_s", "s", "the training program from start to end"),
        (
            "time/*_s",
            "s",
            "its phases: scan, features, head, deep, export, evaluate; decoding, backbone",
        ),
    ),
    *_rows(
        "metric",
        "launcher",
        (BILLABLE_METRIC, "s", "seconds AWS bills for each host; written when the run is settled"),
        (
            DOWNLOAD_METRIC,
            "s",
            "fetching the photos, before the program starts; where AWS tells it",
        ),
        (COST_METRIC, "USD", "what the run cost, all lines; written when the run is settled"),
        (COST_SO_FAR_METRIC, "USD", "what it has cost by then, every minute while it runs"),
    ),
    *_rows(
        "param",
        "launcher",
        (
            "launch/*",
            "",
            "where it ran: on, instance_type, hosts, region, spot, dependencies, limits",
        ),
        ("data/*", "", "the photographs: digest, place, number of images and classes"),
        ("code/*", "", "the source: digest of the tarball (the code version), git commit"),
        ("weights/*", "", "the backbone's weights: source and digest"),
        ("train/*", "", "settings of the training that differ from its defaults, and the seed"),
    ),
    *_rows(
        "param",
        "training",
        ("env/*", "", "what the leading host ran on and with: versions, threads, photos found"),
    ),
    *_rows(
        "tag",
        "launcher",
        (RUN_ID, "", "Pedigree's id of the run; also a tag on everything in AWS"),
        (STATUS, "", "submitted, running, succeeded, failed, stopped or refused"),
        (REASON, "", "why it ended as it did"),
        (PHASE, "", "what it is doing now; empty once it is over"),
        (
            WARNINGS,
            "",
            "what its hosts warned of, a line each; also in the note, `runs` and `compare`",
        ),
        (RESOURCE, "", "AWS's name of the job or instance"),
        (OWNER, "", "who launched it"),
        (EXPIRES, "", "the day after which what it left may be deleted"),
        (MODEL_URI, "", "where its model is"),
        (CODE_DIGEST, "", "digest of the code, for search"),
        (DATASET_DIGEST, "", "digest of the photographs, for search"),
        (COST_USD, "USD", "what it cost, with every digit"),
        (COST_BASIS, "", "billed, estimated or simulated; never added up across"),
        (COST_PRICE, "", "the hourly price it was reckoned at"),
        (COST_PRICE_DATE, "", "when that price was read"),
        (TRIAL, "", "number of a trial; its run is nested under the run that tried it"),
        (TRIAL_BEST, "", "whether the trial led when it was done"),
    ),
    *_rows(
        "tag",
        "promotion",
        ("pedigree.release", "", "the release that made this model live"),
        ("pedigree.endpoint", "", "where it is served"),
        ("pedigree.function*", "", "the Lambda alias that asks it, and the version behind it"),
        ("pedigree.live_since", "", "when the release was done"),
        (
            "pedigree.monthly_*",
            "USD",
            "what serving it costs a month, at least and at most; its basis",
        ),
        ("pedigree.gates", "", "the gates it passed"),
    ),
)


def named(kind: str, name: str) -> Named | None:
    """The row of the table that a metric, param or tag of this name falls under; None for none."""
    fitting = [row for row in TABLE if row.kind == kind and fnmatchcase(name, row.name)]
    # The row that says the most of the name: one without a star if there is one.
    return max(fitting, key=lambda row: len(row.name.replace("*", "")), default=None)


def table_markdown() -> str:
    """The table as docs/tracking.md shows it."""
    lines = ["| name | kind | unit | written by | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row.name}` | {row.kind} | {row.unit or '-'} | {row.by} | {row.meaning} |"
        for row in TABLE
    ]
    return "\n".join(lines)
