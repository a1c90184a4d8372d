"""All instances that run here, and how each goes from one state to the next."""

from __future__ import annotations

import base64
import logging
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from werkzeug import Request, Response

from localaws.clock import Timer
from localaws.ec2.ledger import Ledger
from localaws.ec2.machine import Machine
from localaws.ec2.query import own_request
from localaws.ec2.states import (
    BY_ITSELF,
    BY_LOCALAWS,
    BY_SPOT,
    Cause,
    find,
    show_ending,
    show_running,
    state_of,
)
from localaws.ec2.user_data import ShutdownRequest
from localaws.hosts.processes import Processes

STOP_GRACE_S = 5.0
SPOT_NOTICE_S = 120.0
_REBOOT_GRACE_S = 2.0
log = logging.getLogger(__name__)

Forward = Callable[[Request], Response]


@dataclass(kw_only=True)
class _Place:
    """One instance: moto's record, its programs, a shutdown that is set for later."""

    instance: Any
    region: str
    machine: Machine
    user_data: bytes | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    planned: threading.Event = field(default_factory=threading.Event)
    ending: bool = False
    gone: threading.Event = field(default_factory=threading.Event)
    reclaimed_at: float | None = None


class Fleet:
    """Runs, ends and reboots instances. Every change is shown in moto's records as it happens."""

    def __init__(
        self,
        *,
        folder: Path,
        account_id: str,
        processes: Processes,
        clock: Timer,
        ledger: Ledger,
        forward: Forward,
        env_of: Callable[[str, str], Mapping[str, str]],
    ) -> None:
        self._folder = folder
        self._account_id = account_id
        self._processes = processes
        self._clock = clock
        self._ledger = ledger
        self._forward = forward
        self._env_of = env_of
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        # What earlier runs of the server left: their instances are gone.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def has(self, instance_id: str) -> bool:
        """Whether it was launched here and not terminated."""
        return instance_id in self._places

    def running(self, instance_id: str) -> tuple[Any, bytes | None] | None:
        """moto's record and the user data of an instance that is up; else None."""
        place = self._places.get(instance_id)
        up = place is not None and state_of(place.instance) in ("pending", "running")
        return (place.instance, place.user_data) if place is not None and up else None

    def reclaimed_at(self, instance_id: str) -> float | None:
        """The end that its spot notice tells; None without a notice."""
        place = self._places.get(instance_id)
        return None if place is None else place.reclaimed_at

    def reclaim(self, instance_id: str, told: float) -> bool:
        """Give a spot instance its notice; in two minutes of the clock it is terminated.

        `told` is that end as its metadata tells it. False for what is no running spot instance, or
        has its notice.
        """
        place = self._places.get(instance_id)
        if place is None or place.instance.lifecycle != "spot":
            return False
        with place.lock:
            if place.ending or place.reclaimed_at is not None:
                return False
            place.reclaimed_at = told
        _in_background(self._reclaim, place)
        return True

    def console(self, instance_id: str) -> bytes | None:
        """The last 64 KB of its output; None when it never ran here."""
        path = self._folder / instance_id / "console.log"
        place = self._places.get(instance_id)
        if place is not None:
            return place.machine.console.shown()
        return path.read_bytes()[-65_536:] if path.is_file() else None

    def launch(self, instance_id: str, region: str, form: Mapping[str, str]) -> None:
        """Take moto's new instance into the state pending and boot it in the background."""
        instance = find(self._account_id, region, instance_id)
        if instance is None:
            raise RuntimeError(f"{instance_id} was launched and is not on record")
        show_running(instance, "pending", self._clock.now())
        encoded = instance.user_data
        place = _Place(
            instance=instance,
            region=region,
            machine=self._machine(instance_id),
            user_data=base64.b64decode(str(encoded)) if encoded is not None else None,
        )
        with self._lock:
            self._places[instance_id] = place
        self._ledger.opened(instance, form)
        _in_background(self._boot, place)

    def end(self, instance_id: str, cause: Cause, *, final: str) -> tuple[str, str]:
        """Begin to terminate (`final` terminated) or stop it; its states before and now."""
        place = self._places[instance_id]
        with place.lock:
            before = state_of(place.instance)
            if place.ending and not (before == "stopping" and final == "terminated"):
                return before, before
            if before == final:
                return before, before
            place.ending = True
            place.planned.set()
            place.gone.set()
            stopped_before = before == "stopped"
            now = "shutting-down" if final == "terminated" else "stopping"
            show_ending(place.instance, now, cause, self._clock.now())  # type: ignore[arg-type]
        _in_background(self._finish, place, cause, final, stopped_before)
        return before, now

    def start(self, instance_id: str) -> tuple[str, str]:
        """Start a stopped instance again: it is up, and user data is not run again."""
        place = self._places[instance_id]
        with place.lock:
            before = state_of(place.instance)
            if before != "stopped":
                return before, before
            self._forward(_action("StartInstances", instance_id, place.region))
            place.machine = self._machine(instance_id)
            place.planned, place.gone = threading.Event(), threading.Event()
            place.ending = False
            show_running(place.instance, "pending", self._clock.now())
        _in_background(self._boot, place, False)
        return before, "pending"

    def reboot(self, instance_id: str) -> None:
        """End all programs; the instance stays running and user data is not run again."""
        _in_background(self._places[instance_id].machine.halt_programs, _REBOOT_GRACE_S)

    def close(self) -> None:
        """End every instance and note its end."""
        with self._lock:
            places, self._places = list(self._places.values()), {}
        threads = [_in_background(place.machine.end, STOP_GRACE_S) for place in places]
        for place, thread in zip(places, threads, strict=True):
            place.planned.set()
            place.gone.set()
            thread.join()
            self._ledger.ended(place.instance.id, BY_LOCALAWS, self._clock.now())

    def _machine(self, instance_id: str) -> Machine:
        return Machine(
            folder=self._folder / instance_id,
            processes=self._processes,
            python_bin=Path(sys.executable).parent,
            on_power=lambda request: self._on_power(instance_id, request),
        )

    def _boot(self, place: _Place, first: bool = True) -> None:
        env = self._env_of(place.instance.id, place.region)
        try:
            place.machine.boot(place.user_data if first else None, env)
        except Exception as fault:
            log.exception("%s did not boot", place.instance.id)
            place.machine.console.add(f"localaws: could not run the user data: {fault}")
        with place.lock:
            if not place.ending:
                show_running(place.instance, "running")

    def _finish(self, place: _Place, cause: Cause, final: str, stopped_before: bool) -> None:
        if not stopped_before:
            place.machine.end(STOP_GRACE_S)
        action = "TerminateInstances" if final == "terminated" else "StopInstances"
        with place.lock:
            # The instance itself may end, whatever the API is forbidden to do.
            place.instance.disable_api_termination = place.instance.disable_api_stop = False
            self._forward(_action(action, place.instance.id, place.region))
            now = self._clock.now()
            show_ending(place.instance, final, cause, now)  # type: ignore[arg-type]
            place.ending = False
        if final == "terminated":
            self._ledger.ended(place.instance.id, cause, now)
            self._keep_console_only(place)

    def _keep_console_only(self, place: _Place) -> None:
        with self._lock:
            self._places.pop(place.instance.id, None)
        folder = self._folder / place.instance.id
        # All of it may be gone by now: localaws may have been started anew on this folder.
        for entry in list(folder.glob("*")):
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != "console.log":
                entry.unlink(missing_ok=True)

    def _reclaim(self, place: _Place) -> None:
        if not self._clock.sleep(SPOT_NOTICE_S, place.gone) and self.has(place.instance.id):
            self.end(place.instance.id, BY_SPOT, final="terminated")

    def _on_power(self, instance_id: str, request: ShutdownRequest) -> None:
        place = self._places.get(instance_id)
        if place is None:
            return
        with place.lock:
            place.planned.set()
            place.planned = planned = threading.Event()
        if request.kind != "cancel":
            _in_background(self._power_later, place, request, planned)

    def _power_later(
        self, place: _Place, request: ShutdownRequest, planned: threading.Event
    ) -> None:
        if self._clock.sleep(request.delay_s, planned) or planned.is_set():
            return
        if request.kind == "reboot":
            place.machine.halt_programs(_REBOOT_GRACE_S)
            return
        behaviour = place.instance.instance_initiated_shutdown_behavior
        spot = place.instance.lifecycle == "spot"
        final = "terminated" if spot or behaviour == "terminate" else "stopped"
        if self.has(place.instance.id):
            self.end(place.instance.id, BY_ITSELF, final=final)


def _action(action: str, instance_id: str, region: str) -> Request:
    return own_request({"Action": action, "InstanceId.1": instance_id}, region)


def _in_background(target: Callable[..., object], *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, name="ec2", daemon=True)
    thread.start()
    return thread
