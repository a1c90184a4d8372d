"""Where a tracker may be, and how one is opened: a database, an MLflow server, SageMaker's managed MLflow.

A managed tracking server is named by its ARN. The plugin `sagemaker-mlflow` makes the server's address from
it (`https://REGION.experiments.sagemaker.aws`; SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT names another), sends the
ARN as a header and signs each request (SigV4, service `sagemaker-mlflow`) with boto3's credentials. It takes
the ARN from MLflow's own current tracking address and not from the client that asks, so that is set too.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

from experiments.errors import CloudError

DEFAULT_STORE = "mlflow.db"
_PASSWORD = re.compile(r"//[^/@\s]*@")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ARN = re.compile(
    r"arn:aws(-us-gov)?:sagemaker:[a-z0-9-]+:\d{12}:(mlflow-tracking-server|mlflow-app)/[\w-]+"
)


def default_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI if set, else the sqlite file that a plain `mlflow ui` opens in `root`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / DEFAULT_STORE}"


def is_database(uri: str) -> bool:
    """Whether the store at this tracking URI is a database that is opened directly, without a server."""
    return uri.partition(":")[0].partition("+")[0] in _DATABASES


def open_client(uri: str, root: Path) -> Any:
    """MLflow's client of a store, after one answer from it. A fresh database gets its tables.

    Raises CloudError if the store cannot be asked, naming what is missing.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault(
        "MLFLOW_DISABLE_TELEMETRY", "true"
    )  # else every call is told to its makers
    # A server that is down is asked again by the mirror, which lets the run be watched meanwhile.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    if uri.startswith("arn:"):
        _take_arn(uri)
    from filelock import FileLock
    from mlflow import MlflowClient

    lock = root / ".pedigree" / "tracker.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):  # several processes must not migrate a fresh store at once
        try:
            if is_database(uri):
                _connect_once(uri)
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
        except Exception as error:  # MLflow, its HTTP client and its database have their own
            raise _no_answer(uri, error) from error
    return client


def _connect_once(uri: str) -> None:
    """Raise what the database's driver says. MLflow would ask ten times, for 100 s, before it says so."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    create_engine(uri, poolclass=NullPool).connect().close()


def _take_arn(uri: str) -> None:
    if not _ARN.fullmatch(uri):
        raise CloudError(
            f"{uri} names no tracking server of SageMaker's managed MLflow",
            fix="MLFLOW_TRACKING_URI=arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME",
            code="Unreachable",
        )
    if importlib.util.find_spec("sagemaker_mlflow") is None:
        raise CloudError(
            "an ARN as tracking address needs the package sagemaker-mlflow, which is not installed",
            fix="install it: `pip install sagemaker-mlflow`, or `make install`",
            code="Unreachable",
        )
    import mlflow

    mlflow.set_tracking_uri(uri)


def _no_answer(uri: str, error: Exception) -> CloudError:
    if isinstance(error, ImportError):
        return CloudError(
            f"the tracker needs a package that is not installed: {error.name or error}",
            fix="`make install` installs the driver of PostgreSQL; others need their own",
            code="Unreachable",
        )
    why = (str(error).splitlines() or [type(error).__name__])[0][:200]
    said = f"the tracker at {uri} does not answer: {why}"
    return CloudError(
        _PASSWORD.sub("//", said),
        fix="start it, set MLFLOW_TRACKING_URI to where it is, or unset MLFLOW_TRACKING_URI to use"
        f" {DEFAULT_STORE} here",
        code="Unreachable",
    )
