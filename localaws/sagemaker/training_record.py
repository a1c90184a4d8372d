"""The record of one training job: its document in the store and how its status moves."""

from __future__ import annotations

import math
import threading
from typing import Any

from localaws.clock import Timer
from localaws.sagemaker.training_spot import settle_spot
from localaws.sagemaker.words import Doc
from localaws.store import Table

STARTING = ("InProgress", "Starting", "Starting the training job")
DOWNLOADING = ("InProgress", "Downloading", "Downloading input data")
TRAINING = (
    "InProgress",
    "Training",
    "Training image download completed. Training in progress.",
)
UPLOADING = ("InProgress", "Uploading", "Uploading generated training model")
STOPPING = ("Stopping", "Stopping", "Stopping the training job")
INTERRUPTED = ("InProgress", "Interrupted", "Interrupted: the spot capacity was taken back")
COMPLETED = ("Completed", "Completed", "Training job completed")
STOPPED = ("Stopped", "Stopped", "Training job stopped")
EXPIRED = ("Stopped", "MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds")
WAITED = (
    "Stopped",
    "MaxWaitTimeExceeded",
    "Training job wait time exceeded MaxWaitTimeInSeconds",
)
FAILED = ("Failed", "Failed", "Training job failed")
FINAL = ("Completed", "Failed", "Stopped")

Status = tuple[str, str, str]


class JobRecord:
    """Changes one job's document; each change is on disk when the call returns."""

    def __init__(self, table: Table, clock: Timer, name: str) -> None:
        self._table = table
        self._clock = clock
        self._name = name
        self._lock = threading.Lock()

    def move(self, status: Status, **members: Any) -> None:
        """Take the next status and set further members; a job that is Stopping stays so."""
        with self._lock:
            doc = self._read()
            primary, secondary, message = status
            if doc["TrainingJobStatus"] == "Stopping" and primary == "InProgress":
                primary = "Stopping"
            advance(doc, (primary, secondary, message), self._clock.now())
            doc |= members
            self._table.put(self._name, doc)

    def finish(self, status: Status, **members: Any) -> None:
        """Take a final status; times and billable seconds follow from the clock."""
        with self._lock:
            doc = self._read()
            close_account(doc, status, self._clock.now())
            doc |= members
            self._table.put(self._name, doc)

    def stop_requested(self) -> bool:
        """Move to Stopping; False when the job is not in progress."""
        with self._lock:
            doc = self._read()
            if doc["TrainingJobStatus"] != "InProgress":
                return False
            advance(doc, STOPPING, self._clock.now())
            self._table.put(self._name, doc)
        return True

    def _read(self) -> Doc:
        doc = self._table.get(self._name)
        if doc is None:
            raise KeyError(f"training job {self._name} has no record")
        return doc


def end_of(*, stopped: bool, expired: bool, waited: bool) -> Status:
    """The final status of a job that did not fail: stopped by its user, by a limit, or done."""
    if stopped:
        return STOPPED
    if expired:
        return EXPIRED
    return WAITED if waited else COMPLETED


def advance(doc: Doc, status: Status, now: float) -> None:
    """End the present secondary status and begin the next, in place."""
    primary, secondary, message = status
    transitions = doc["SecondaryStatusTransitions"]
    if transitions:
        transitions[-1].setdefault("EndTime", now)
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
    doc.update(TrainingJobStatus=primary, SecondaryStatus=secondary, LastModifiedTime=now)


def close_account(doc: Doc, status: Status, now: float) -> None:
    """Move to a final status and settle the seconds; a job that never started bills none."""
    advance(doc, status, now)
    doc["SecondaryStatusTransitions"][-1]["EndTime"] = now
    doc["TrainingEndTime"] = now
    if "TrainingStartTime" in doc and doc.get("EnableManagedSpotTraining"):
        settle_spot(doc)
    elif "TrainingStartTime" in doc:
        seconds = max(1, math.ceil(now - doc["TrainingStartTime"]))
        doc.update(TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)
