"""An update: a new fleet takes over step by step, or the old one gets its traffic back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from localaws.sagemaker.hosting.deployment import Deployment, Rolling, deployment_of
from localaws.sagemaker.hosting.document import settled
from localaws.sagemaker.hosting.fleets import Fleet, FleetFailed
from localaws.sagemaker.hosting.stage import Stage
from localaws.sagemaker.hosting.traffic import Side, Traffic, alone, split
from localaws.sagemaker.words import Doc

Tripped = Callable[[Iterable[str], float], list[str]]
"""Which of these alarms are in ALARM, or were since an epoch second."""
_WATCH_S = 5.0


class RollBack(Exception):
    """The update must not go on; the text is the reason."""


class Rollout:
    """Runs one update from the endpoint's Pending to its end; safe to run anew after a crash."""

    def __init__(self, stage: Stage, tripped: Tripped) -> None:
        self._stage = stage
        self._tripped = tripped

    def run(self, name: str, doc: Doc) -> None:
        """Perform the update that the document's Pending describes."""
        pending = doc["Pending"]
        plan = deployment_of(pending.get("DeploymentConfig", {}), pending["Variants"])
        traffic = self._stage.traffic(name)
        if traffic is None:
            raise RuntimeError("the endpoint has no instances")
        turn = _Turn(stage=self._stage, tripped=self._tripped, name=name, doc=doc, plan=plan)
        if plan.rolling is None:
            turn.blue_green(traffic)
        else:
            turn.roll(traffic, plan.rolling)


class _Turn:
    """One update of one endpoint."""

    def __init__(
        self, *, stage: Stage, tripped: Tripped, name: str, doc: Doc, plan: Deployment
    ) -> None:
        self._stage = stage
        self._tripped = tripped
        self._name = name
        self._doc = doc
        self._pending = doc["Pending"]
        self._plan = plan
        self._clock = stage.world.clock
        self._began = self._clock.now()

    def blue_green(self, traffic: Traffic) -> None:
        """All instances of the new fleet first, then its traffic by steps."""
        old, new = traffic.main, None
        try:
            self._watch(0.0)
            new = self._raise_new()
            for share in self._plan.shares:
                self._show("ActivatingTraffic")
                self._stage.direct(self._name, split(old, new, share) if share < 1 else alone(new))
                self._show("Baking", bakes=True)
                self._watch(self._plan.wait_s)
        except RollBack as reason:
            self._return_to(traffic, new, str(reason))
            return
        self._finish(traffic, new)

    def roll(self, traffic: Traffic, rolling: Rolling) -> None:
        """Batch by batch: new instances, their traffic, a watch, then old ones end."""
        old = traffic.main
        new = self._prepare_new()
        try:
            self._watch(0.0)
            for share in self._plan.shares:
                self._roll_step(old, new, share)
        except RollBack as reason:
            self._roll_back(traffic, new, rolling, str(reason))
            return
        self._finish(traffic, new)

    def _roll_step(self, old: Side, new: Side, share: float) -> None:
        self._show("Creating", share=_share_of(new, self._pending["Variants"]))
        try:
            _fit(new, self._pending["Variants"], share)
        except FleetFailed as failure:
            raise RollBack(str(failure)) from failure
        self._show("ActivatingTraffic", share=share)
        self._stage.direct(self._name, split(old, new, share) if share < 1 else alone(new))
        self._show("Baking", share=share, bakes=True)
        self._watch(self._plan.wait_s)
        if share < 1:
            _fit(old, self._doc["Variants"], 1 - share)

    def _roll_back(self, traffic: Traffic, new: Side, rolling: Rolling, reason: str) -> None:
        old = traffic.main
        self._change(EndpointStatus="RollingBack", FailureReason=reason[:1024])
        there = min(_share_of(old, self._doc["Variants"]), 1.0)
        try:
            while there < 1:
                there = min(1.0, there + rolling.rollback_share)
                _fit(old, self._doc["Variants"], there)
                self._stage.direct(self._name, split(old, new, 1 - there))
        except FleetFailed as failure:
            # Both configurations stay in service, each with the traffic that it can carry.
            there = min(_share_of(old, self._doc["Variants"]), 1.0)
            self._stage.direct(self._name, split(old, new, 1 - there))
            text = f"{reason} The rollback failed too: {failure}"
            self._change(
                EndpointStatus="UpdateRollbackFailed", FailureReason=text[:1024], Pending=None
            )
            return
        self._return_to(traffic, new, reason)

    def _prepare_new(self) -> Side:
        return self._stage.prepare(
            self._name,
            self._pending["EndpointConfigName"],
            self._pending["Variants"],
            self._pending.get("DataCaptureConfig", {}),
        )

    def _raise_new(self) -> Side:
        self._show("Creating", share=0.0)
        try:
            return self._stage.raise_side(
                self._name,
                self._pending["EndpointConfigName"],
                self._pending["Variants"],
                self._pending.get("DataCaptureConfig", {}),
            )
        except FleetFailed as failure:
            raise RollBack(str(failure)) from failure

    def _watch(self, seconds: float) -> None:
        """Bake. Raises `RollBack` when an alarm goes off or the deployment takes too long."""
        end = self._clock.now() + seconds
        while True:
            off = self._tripped(self._plan.alarms, self._began)
            now = self._clock.now()
            if off:
                listed = ", ".join(off)
                raise RollBack(
                    f"One or more alarms went into ALARM state during the deployment: {listed}. "
                    "The endpoint was rolled back to the previous configuration."
                )
            if self._plan.limit_s is not None and now > self._began + self._plan.limit_s:
                raise RollBack(
                    "The deployment took longer than MaximumExecutionTimeoutInSeconds "
                    f"({self._plan.limit_s}). The endpoint was rolled back."
                )
            if now >= end or self._clock.sleep(min(_WATCH_S, end - now), self._stage.closing):
                return

    def _return_to(self, traffic: Traffic, new: Side | None, reason: str) -> None:
        self._change(EndpointStatus="RollingBack", FailureReason=reason[:1024])
        self._stage.direct(self._name, traffic)
        if new is not None:
            self._stage.end(new.fleets, drain=not self._stage.closing.is_set())
        self._change(EndpointStatus="InService", Pending=None)

    def _finish(self, traffic: Traffic, new: Side) -> None:
        capture = self._pending.get("DataCaptureConfig")
        self._stage.direct(self._name, alone(new))
        self._change(
            EndpointConfigName=self._pending["EndpointConfigName"],
            Variants=settled(self._pending["Variants"]),
            DataCaptureConfig=capture,
            Pending=None,
            FailureReason=None,
        )
        self._clock.sleep(self._plan.termination_wait_s, self._stage.closing)
        for old, _ in traffic.sides:
            self._stage.end(old.fleets, drain=not self._stage.closing.is_set())
        self._change(EndpointStatus="InService")

    def _show(self, status: str, *, share: float = 1.0, bakes: bool = False) -> None:
        """What DescribeEndpoint tells of the new fleet."""
        for variant in self._pending["Variants"]:
            count = math.ceil(variant["DesiredInstanceCount"] * share - 1e-9)
            variant["CurrentInstanceCount"] = count
            variant["Status"] = {"Status": status, "StartTime": self._clock.now()}
            if bakes and self._plan.alarms:
                watched = ", ".join(self._plan.alarms)
                variant["Status"]["StatusMessage"] = f"Monitoring alarms: {watched}"
        self._change(Pending=self._pending)

    def _change(self, **members: Any) -> None:
        self._stage.change(self._name, **members)


def _fit(side: Side, variants: list[Doc], share: float) -> None:
    """Bring every fleet of the side to `share` of its full size, parts rounded up."""
    for variant in variants:
        fleet = side.fleets[variant["VariantName"]]
        if not isinstance(fleet, Fleet):
            raise FleetFailed("a serverless variant has no instances to roll")
        wanted = math.ceil(variant["DesiredInstanceCount"] * share - 1e-9)
        if wanted > fleet.size:
            fleet.grow(wanted - fleet.size)
        elif wanted < fleet.size:
            fleet.shrink(fleet.size - wanted)


def _share_of(side: Side, variants: list[Doc]) -> float:
    """How much of its full size the side has, where it has least."""
    shares: list[float] = [
        side.fleets[one["VariantName"]].size / max(1, one["DesiredInstanceCount"])
        for one in variants
    ]
    return min(shares)
