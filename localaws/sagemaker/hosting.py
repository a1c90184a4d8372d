"""Brings endpoints up, replaces their fleets, scales and ends them, in the background."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from typing import Any

from localaws.sagemaker.endpoint_document import spec_of
from localaws.sagemaker.endpoint_metrics import EndpointMetrics
from localaws.sagemaker.fleets import Fleet, FleetFailed
from localaws.sagemaker.words import Doc
from localaws.sagemaker.world import World
from localaws.store import Table

Fleets = Mapping[str, Fleet]
_log = logging.getLogger(__name__)


class Hosting:
    """The live fleets of every endpoint, by variant name.

    `create`, `update`, `scale`, `delete` and `resume` return at once; the endpoint's document
    tells how they went. At most one of them runs for an endpoint, which its status guards.
    """

    def __init__(self, table: Table, world: World, metrics: EndpointMetrics) -> None:
        self._table = table
        self._world = world
        self._metrics = metrics
        self._lock = threading.Lock()
        self._serving: dict[str, Fleets] = {}
        self._fleets: set[Fleet] = set()
        self._tasks: set[threading.Thread] = set()
        self._closing = threading.Event()

    def fleets(self, name: str) -> Fleets | None:
        """What answers for the endpoint now; None when it never came up."""
        return self._serving.get(name)

    def create(self, name: str) -> None:
        """Bring up a new endpoint, or the one of an earlier server: InService or Failed."""
        self._begin(name, self._create)

    def update(self, name: str) -> None:
        """Replace the fleets by those of the document's Pending."""
        self._begin(name, self._update)

    def scale(self, name: str) -> None:
        """Bring every variant to its DesiredInstanceCount."""
        self._begin(name, self._scale)

    def delete(self, name: str) -> None:
        """End the fleets after their last request and remove the document."""
        self._begin(name, self._delete)

    def close(self) -> None:
        """End every instance at once. Documents stay as they are, for the next start."""
        self._closing.set()
        with self._lock:
            fleets, tasks = list(self._fleets), list(self._tasks)
        enders = [threading.Thread(target=fleet.close, kwargs={"drain": False}) for fleet in fleets]
        for ender in enders:
            ender.start()
        for thread in [*enders, *tasks]:
            thread.join()

    def _begin(self, name: str, work: Callable[[str, Doc], None]) -> None:
        def run() -> None:
            try:
                doc = self._table.get(name)
                if doc is not None:
                    work(name, doc)
            except Exception as fault:
                _log.exception("endpoint %s", name)
                self._change(name, EndpointStatus="Failed", FailureReason=f"localaws: {fault}")
            finally:
                with self._lock:
                    self._tasks.discard(threading.current_thread())

        task = threading.Thread(target=run, name=f"endpoint-{name}", daemon=True)
        with self._lock:
            if self._closing.is_set():
                return
            self._tasks.add(task)
        task.start()

    def _create(self, name: str, doc: Doc) -> None:
        variants = doc["Variants"]
        try:
            self._serving[name] = self._raise_fleets(name, variants)
        except FleetFailed as failure:
            self._change(name, EndpointStatus="Failed", FailureReason=str(failure)[:1024])
        else:
            self._change(name, EndpointStatus="InService", Variants=_settled(variants))

    def _update(self, name: str, doc: Doc) -> None:
        pending = doc["Pending"]
        old = self._serving.get(name, {})
        try:
            new = self._raise_fleets(name, pending["Variants"])
        except FleetFailed as failure:
            reason = str(failure)[:1024]
            self._change(name, EndpointStatus="RollingBack", FailureReason=reason)
            self._change(name, EndpointStatus="InService", Pending=None)
            return
        self._serving[name] = new
        self._change(
            name,
            EndpointConfigName=pending["EndpointConfigName"],
            Variants=_settled(pending["Variants"]),
            Pending=None,
            FailureReason=None,
        )
        self._world.clock.sleep(pending["WaitSeconds"], self._closing)
        self._end(old, drain=not self._closing.is_set())
        self._change(name, EndpointStatus="InService")

    def _scale(self, name: str, doc: Doc) -> None:
        fleets = self._serving[name]
        reason = None
        for variant in doc["Variants"]:
            fleet, wanted = fleets[variant["VariantName"]], variant["DesiredInstanceCount"]
            try:
                if wanted > fleet.size:
                    fleet.grow(wanted - fleet.size)
                elif wanted < fleet.size:
                    fleet.shrink(fleet.size - wanted)
            except FleetFailed as failure:
                reason = str(failure)[:1024]
            variant["DesiredInstanceCount"] = variant["CurrentInstanceCount"] = fleet.size
        self._change(
            name, EndpointStatus="InService", Variants=doc["Variants"], FailureReason=reason
        )

    def _delete(self, name: str, doc: Doc) -> None:
        del doc
        self._end(self._serving.pop(name, {}), drain=True)
        self._metrics.forget(name)
        shutil.rmtree(self._world.settings.state_dir / "endpoints" / name, ignore_errors=True)
        self._table.delete(name)

    def _raise_fleets(self, name: str, variants: list[Doc]) -> Fleets:
        fleets = {one["VariantName"]: Fleet(spec_of(name, one), self._world) for one in variants}
        with self._lock:
            self._fleets |= set(fleets.values())
        try:
            for variant in variants:
                if self._closing.is_set():
                    raise FleetFailed("localaws is going down")
                fleets[variant["VariantName"]].grow(variant["DesiredInstanceCount"])
        except FleetFailed:
            self._end(fleets, drain=False)
            raise
        return fleets

    def _end(self, fleets: Fleets, *, drain: bool) -> None:
        for fleet in fleets.values():
            fleet.close(drain=drain)
        with self._lock:
            self._fleets -= set(fleets.values())

    def _change(self, name: str, **members: Any) -> None:
        """Set members (None removes one), unless localaws goes down: the next start goes on."""
        doc = self._table.get(name)
        if doc is None or self._closing.is_set():
            return
        doc |= {"LastModifiedTime": self._world.clock.now(), **members}
        self._table.put(name, {key: value for key, value in doc.items() if value is not None})


def _settled(variants: list[Doc]) -> list[Doc]:
    return [
        {**variant, "CurrentInstanceCount": variant["DesiredInstanceCount"]} for variant in variants
    ]
