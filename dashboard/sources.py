"""Where the pages read: the run store, the releases, the test photos. Every read is cached for seconds.

`cache_resource` and not `cache_data`: the records are frozen, so sessions may share them uncopied.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from experiments.aws import Address, Boto3Cloud
from experiments.comparison import Side, read_bill
from experiments.errors import CloudError
from experiments.forecast.foresee import usable
from experiments.intervals import read_answers
from experiments.records import Basis, RunRecord
from experiments.tracking import Tracker, default_uri
from experiments.tracking.sql import FORECAST, board

REGION = "us-east-1"
CURVE_METRICS = ("valid/top1", "valid/loss", "train/loss")
_LOOKS_AGAIN_S = 2
_CURVES_TTL_S = 30
_LOOPBACK = "http://127.0.0.1:"
_HEALTH_S = 2
_PREDICTIONS = "predictions.jsonl"
_log = logging.getLogger("pedigree.dashboard")

Curves = Mapping[str, tuple[tuple[int, float], ...]]


def home() -> Path:
    """PEDIGREE_HOME if set, else the current folder."""
    return Path(os.environ.get("PEDIGREE_HOME") or Path.cwd()).resolve()


def mlflow_url() -> str:
    """The address of the MLflow UI for links, or empty."""
    url = os.environ.get("PEDIGREE_MLFLOW_URL", "").rstrip("/")
    return url if url.startswith(("http://", "https://")) else ""


def runs() -> tuple[RunRecord, ...]:
    """All runs on record, newest first, with what a leaderboard needs of each; see `side` for the rest.

    Raises CloudError if the store cannot be read.
    """
    root = home()
    uri = default_uri(root)
    return _runs(uri, root, _version(uri))


def runs_version() -> str:
    """Changes when `runs` may have: what is reckoned from the runs may be kept under it."""
    uri = default_uri(home())
    return f"{uri} {_version(uri)}"


def history(basis: Basis) -> tuple[RunRecord, ...]:
    """The runs that may predict what a cloud of this basis makes, newest first, with what that needs.

    Raises CloudError if the store cannot be read.
    """
    root = home()
    uri = default_uri(root)
    return _history(uri, root, _version(uri), basis)


def side(record: RunRecord) -> Side:
    """A run with every param and metric, its bill and what its model said of each test photo.

    Raises CloudError if the store cannot be read.
    """
    root = home()
    return _side(default_uri(root), root, record.tracker_run_id)


def curves(tracker_run_id: str) -> Curves:
    """The learning curves of a run, (step, value) by metric; metrics without values are left out."""
    root = home()
    return _curves(default_uri(root), root, tracker_run_id)


def forget() -> None:
    """Read everything anew at the next look."""
    _version.clear()
    _runs.clear()
    _history.clear()
    _curves.clear()
    _side.clear()


def warm(reckon: Callable[[Sequence[RunRecord]], object]) -> None:
    """Read the runs and reckon with them before anybody asks; a store that cannot be read is the first
    visitor's to hear of."""
    with suppress(CloudError):
        reckon(runs())


@st.cache_resource(show_spinner=False, max_entries=4)
def _tracker(uri: str, root: Path) -> Tracker:
    return Tracker(uri, root)


@st.cache_resource(ttl=_LOOKS_AGAIN_S, show_spinner=False, max_entries=4)
def _version(uri: str) -> str:
    """A sqlite store is as it was while its files are; any other is read anew after some seconds."""
    path = uri.removeprefix("sqlite:///")
    if path == uri:
        return secrets.token_hex(8)
    stamps = []
    for name in (path, f"{path}-wal", f"{path}-journal"):
        try:
            about = Path(name).stat()
            stamps.append(f"{about.st_mtime_ns}/{about.st_size}")
        except OSError:
            stamps.append("-")
    return " ".join(stamps)


@st.cache_resource(show_spinner=False, max_entries=2)
def _runs(uri: str, root: Path, version: str) -> tuple[RunRecord, ...]:
    if _not_made_yet(uri):
        return ()
    try:
        return tuple(board(_tracker(uri, root)))
    except Exception as error:
        raise _unreadable(uri, error) from error


@st.cache_resource(show_spinner=False, max_entries=4)
def _history(uri: str, root: Path, version: str, basis: Basis) -> tuple[RunRecord, ...]:
    if _not_made_yet(uri):
        return ()
    try:
        return usable(board(_tracker(uri, root), columns=FORECAST), basis)
    except Exception as error:
        raise _unreadable(uri, error) from error


@st.cache_resource(ttl=_CURVES_TTL_S, show_spinner=False, max_entries=16)
def _side(uri: str, root: Path, tracker_run_id: str) -> Side:
    tracker = _tracker(uri, root)
    try:
        return Side(
            record=tracker.whole(tracker_run_id),
            answers=read_answers(tracker.read_text(tracker_run_id, _PREDICTIONS) or ""),
            bill=read_bill(tracker.read_text(tracker_run_id, "cost.json") or ""),
        )
    except Exception as error:
        raise _unreadable(uri, error) from error


@st.cache_resource(ttl=_CURVES_TTL_S, show_spinner=False, max_entries=64)
def _curves(uri: str, root: Path, tracker_run_id: str) -> Curves:
    tracker = _tracker(uri, root)
    try:
        found = {name: tuple(tracker.history(tracker_run_id, name)) for name in CURVE_METRICS}
    except Exception as error:
        raise _unreadable(uri, error) from error
    return {name: points for name, points in found.items() if points}


def _not_made_yet(uri: str) -> bool:
    """Looking must not make a store: a sqlite file that is not there holds no runs."""
    path = uri.removeprefix("sqlite:///")
    return path != uri and not Path(path).exists()


def _unreadable(uri: str, error: Exception) -> CloudError:
    _log.error("the run store could not be read: %r", error)
    if uri.startswith("sqlite:///"):
        name = Path(uri.removeprefix("sqlite:///")).name
        return CloudError(
            f"the run store {name} cannot be read",
            fix=f"if a command is writing, wait and reload; if the file is damaged, put {name} aside",
        )
    if isinstance(error, CloudError):
        return error
    return CloudError(
        "the MLflow store cannot be read", fix="check MLFLOW_TRACKING_URI and that it is up"
    )


def open_cloud() -> Boto3Cloud:
    """The local cloud of this folder. Raises CloudError, naming how to start it, if it is down."""
    url = _cloud_url(home() / ".pedigree" / "cloud" / "address.json")
    if not url:
        raise CloudError(
            "AWS on this machine is not running",
            fix="start it with `pedigree cloud up`, then reload this page",
        )
    return _cloud(url)


def _cloud_url(written: Path) -> str:
    """The address that localaws wrote down, if it is on loopback and answers; else empty."""
    try:
        url = str(json.loads(written.read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return url if url.startswith(_LOOPBACK) and _answers(url) else ""


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_localaws/health", timeout=_HEALTH_S) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def cloud_now() -> datetime:
    """The local cloud's own time, aware UTC: with `--speed` it runs ahead of ours. Raises CloudError."""
    url = open_cloud().address.endpoint_url
    try:
        with urllib.request.urlopen(f"{url}/_localaws/clock", timeout=_HEALTH_S) as answer:  # noqa: S310
            return datetime.fromtimestamp(float(json.load(answer)["now"]), tz=UTC)
    except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError) as error:
        raise CloudError(
            "AWS on this machine does not tell its time", fix="see `pedigree cloud logs`"
        ) from error


@st.cache_resource(show_spinner=False, max_entries=4)
def _cloud(url: str) -> Boto3Cloud:
    return Boto3Cloud(Address(name="local", region=REGION, endpoint_url=url))
