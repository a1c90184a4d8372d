"""Brings endpoints up, replaces, scales and ends them, in the background."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace

from localaws.sagemaker.hosting.document import settled, weights_of
from localaws.sagemaker.hosting.fleets import Fleet, FleetFailed
from localaws.sagemaker.hosting.metrics import EndpointMetrics
from localaws.sagemaker.hosting.rollout import Rollout, Tripped
from localaws.sagemaker.hosting.serverless import ServerlessFleet, capacity_of
from localaws.sagemaker.hosting.stage import Stage
from localaws.sagemaker.hosting.traffic import VariantFleet, alone
from localaws.sagemaker.words import Doc

_log = logging.getLogger(__name__)


class Hosting:
    """`create`, `update`, `scale`, `delete` and `resume` return at once.

    The endpoint's document tells how they went. At most one of them runs for an endpoint, which its
    status guards.
    """

    def __init__(self, stage: Stage, metrics: EndpointMetrics, tripped: Tripped) -> None:
        self._stage = stage
        self._metrics = metrics
        self._rollout = Rollout(stage, tripped)
        self._lock = threading.Lock()
        self._tasks: set[threading.Thread] = set()

    def create(self, name: str) -> None:
        """Bring up a new endpoint, or the one of an earlier server: InService or Failed."""
        self._begin(name, self._create)

    def resume_update(self, name: str) -> None:
        """Bring up what answered before the update, then begin the update anew."""
        self._begin(name, self._resume_update)

    def update(self, name: str) -> None:
        """Replace the fleets by those of the document's Pending."""
        self._begin(name, self._rollout.run)

    def scale(self, name: str) -> None:
        """Bring every variant to its DesiredInstanceCount."""
        self._begin(name, self._scale)

    def delete(self, name: str) -> None:
        """End the fleets after their last request and remove the document."""
        self._begin(name, self._delete)

    def close(self) -> None:
        """End every instance at once."""
        self._stage.close()
        with self._lock:
            tasks = list(self._tasks)
        for task in tasks:
            task.join()

    def _begin(self, name: str, work: Callable[[str, Doc], None]) -> None:
        def run() -> None:
            try:
                doc = self._stage.document(name)
                if doc is not None:
                    work(name, doc)
            except Exception as fault:
                _log.exception("endpoint %s", name)
                reason = f"localaws: {fault}"
                self._stage.change(name, EndpointStatus="Failed", FailureReason=reason)
            finally:
                with self._lock:
                    self._tasks.discard(threading.current_thread())

        task = threading.Thread(target=run, name=f"endpoint-{name}", daemon=True)
        with self._lock:
            if self._stage.closing.is_set():
                return
            self._tasks.add(task)
        task.start()

    def _create(self, name: str, doc: Doc) -> None:
        if self._raise(name, doc):
            variants = settled(doc["Variants"])
            self._stage.change(name, EndpointStatus="InService", Variants=variants)

    def _resume_update(self, name: str, doc: Doc) -> None:
        if self._raise(name, doc):
            self._rollout.run(name, doc)

    def _raise(self, name: str, doc: Doc) -> bool:
        capture = doc.get("DataCaptureConfig", {})
        try:
            side = self._stage.raise_side(name, doc["EndpointConfigName"], doc["Variants"], capture)
        except FleetFailed as failure:
            reason = str(failure)[:1024]
            self._stage.change(name, EndpointStatus="Failed", FailureReason=reason, Pending=None)
            return False
        self._stage.direct(name, alone(side))
        return True

    def _scale(self, name: str, doc: Doc) -> None:
        traffic = self._stage.traffic(name)
        if traffic is None:
            raise RuntimeError("the endpoint has no instances")
        self._stage.direct(name, alone(replace(traffic.main, weights=weights_of(doc["Variants"]))))
        reason = None
        for variant in doc["Variants"]:
            try:
                _resize(traffic.main.fleets[variant["VariantName"]], variant)
            except FleetFailed as failure:
                reason = str(failure)[:1024]
                # Back to what is there, which is what SageMaker does with a failed scaling.
                self._stage.change(name, EndpointStatus="RollingBack", FailureReason=reason)
            fleet = traffic.main.fleets[variant["VariantName"]]
            if isinstance(fleet, Fleet):
                variant["DesiredInstanceCount"] = variant["CurrentInstanceCount"] = fleet.size
        self._stage.change(
            name, EndpointStatus="InService", Variants=doc["Variants"], FailureReason=reason
        )

    def _delete(self, name: str, doc: Doc) -> None:
        del doc
        for side, _ in self._stage.retire(name).sides:
            self._stage.end(side.fleets, drain=True)
        self._metrics.forget(name)
        folder = self._stage.world.settings.state_dir / "endpoints" / name
        shutil.rmtree(folder, ignore_errors=True)
        self._stage.forget(name)


def _resize(fleet: VariantFleet, variant: Doc) -> None:
    if isinstance(fleet, ServerlessFleet):
        fleet.resize(capacity_of(variant["ServerlessConfig"]))
    elif isinstance(fleet, Fleet):
        wanted = variant["DesiredInstanceCount"]
        if wanted > fleet.size:
            fleet.grow(wanted - fleet.size)
        elif wanted < fleet.size:
            fleet.shrink(fleet.size - wanted)
