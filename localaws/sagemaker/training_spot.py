"""Managed spot training: capacity that is taken back, comes again, or stays away for too long."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from localaws.clock import Timer
from localaws.sagemaker.words import Doc, Params

# SageMaker bills spot seconds as fewer on-demand seconds; AWS tells of savings "up to 90%".
BILLED_SHARE = 0.3
_RUNNING = ("Downloading", "Training", "Uploading", "Stopping")


class SpotCapacity:
    """The spot capacity of one job. For a job that is not on spot it is never taken."""

    def __init__(self, params: Params, clock: Timer, changed: Callable[[], None]) -> None:
        """`changed` is called when capacity was taken or MaxWaitTimeInSeconds is over."""
        limits = params.get("StoppingCondition", {})
        on_spot = params.get("EnableManagedSpotTraining", False)
        self._max_wait_s = limits["MaxWaitTimeInSeconds"] if on_spot else None
        self._clock = clock
        self._changed = changed
        self._leave = threading.Event()
        self._taken = threading.Event()
        self._away_s = 0.0
        self._waited = threading.Event()

    @property
    def taken(self) -> bool:
        """Whether the capacity is gone at present."""
        return self._taken.is_set()

    @property
    def waited_too_long(self) -> bool:
        """Whether the job is older than MaxWaitTimeInSeconds."""
        return self._waited.is_set()

    def begin(self) -> None:
        """The job's time begins."""
        if self._max_wait_s is not None:
            threading.Thread(target=self._limit, name="max-wait", daemon=True).start()

    def take(self, away_s: float) -> bool:
        """Take it back for `away_s` of the clock; False for a job without spot or already taken."""
        if self._max_wait_s is None or self._taken.is_set():
            return False
        self._away_s = away_s
        self._taken.set()
        self._changed()
        return True

    def await_return(self) -> bool:
        """Wait until there is capacity again; False when the job was left before."""
        if self._clock.sleep(self._away_s, self._leave):
            return False
        self._taken.clear()
        return True

    def leave(self) -> None:
        """Wait no more: the job ends."""
        self._leave.set()

    def _limit(self) -> None:
        if not self._clock.sleep(float(self._max_wait_s or 0), self._leave):
            self._waited.set()
            self._leave.set()
            self._changed()


def settle_spot(doc: Doc) -> None:
    """Training and billable seconds of an ended spot job: only what its hosts ran counts."""
    ran_s = sum(
        each["EndTime"] - each["StartTime"]
        for each in doc["SecondaryStatusTransitions"]
        if each["Status"] in _RUNNING
    )
    doc["TrainingTimeInSeconds"] = max(1, math.ceil(ran_s))
    doc["BillableTimeInSeconds"] = max(1, math.ceil(ran_s * BILLED_SHARE))
