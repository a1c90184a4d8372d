"""What must be known of instances after a restart: when each ran, and what it was.

Programs do not survive localaws, so an instance that ran is shown as terminated afterwards, at the
last moment at which it was known to run.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from localaws.account.roles import Sts
from localaws.clock import Timer
from localaws.ec2.query import instance_ids, own_request
from localaws.ec2.states import BY_LOCALAWS, Cause, find, show_ending, show_running
from localaws.store import Store

HEARTBEAT_S = 5.0
SHOWN_AFTER_END_S = 3600.0
_KEPT = ("ImageId", "InstanceType", "SubnetId", "KeyName", "InstanceMarketOptions.MarketType")


class Ledger:
    """Documents by instance id in the store. Times are epoch seconds on `clock`."""

    def __init__(self, *, store: Store, clock: Timer, account_id: str) -> None:
        self._instances = store.table("ec2_instances")
        self._heartbeats = store.table("ec2_heartbeats")
        self._clock = clock
        self._account_id = account_id
        self._live: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="ec2-heartbeat", daemon=True)

    def restore(self, sts: Sts) -> None:
        """Show what ran before this start as terminated; forget what ended over an hour ago."""
        beat = self._heartbeats.get("alive") or {"at": 0.0}
        now = self._clock.now()
        for instance_id, doc in self._instances.items():
            if doc["ended_at"] is None:
                doc["ended_at"] = max(doc["launched_at"], min(beat["at"], now))
                doc["cause"] = vars(BY_LOCALAWS)
                self._instances.put(instance_id, doc)
            if now - doc["ended_at"] > SHOWN_AFTER_END_S:
                self._instances.delete(instance_id)
            else:
                self._show(instance_id, doc, sts)

    def start(self) -> None:
        """Begin to note the time while instances run."""
        self._thread.start()

    def opened(self, instance: Any, form: Mapping[str, str]) -> None:
        """An instance was launched."""
        now = self._clock.now()
        doc = {
            "region": instance.region_name,
            "form": {key: form[key] for key in _KEPT if key in form},
            "tags": {tag["key"]: tag["value"] for tag in instance.get_tags()},
            "client_token": form.get("ClientToken", ""),
            "launched_at": now,
            "ended_at": None,
            "cause": None,
        }
        # The note of the time first: a crash right after this must not look like an old one.
        self._heartbeats.put("alive", {"at": now})
        self._instances.put(instance.id, doc)
        self._live.add(instance.id)

    def ended(self, instance_id: str, cause: Cause, at: float) -> None:
        """An instance was terminated."""
        self._live.discard(instance_id)
        doc = self._instances.get(instance_id)
        if doc is not None:
            self._instances.put(instance_id, {**doc, "ended_at": at, "cause": vars(cause)})

    def close(self) -> None:
        """Note the time no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            if self._live:
                self._heartbeats.put("alive", {"at": self._clock.now()})

    def _show(self, instance_id: str, doc: dict[str, Any], sts: Sts) -> None:
        """An instance of these parameters in moto's records, under its old id, terminated."""
        form = {
            "Action": "RunInstances",
            "MinCount": "1",
            "MaxCount": "1",
            "ClientToken": doc["client_token"],
            **doc["form"],
        }
        response = sts.respond(own_request(form, doc["region"]))
        if response.status_code != 200:
            return
        instance = find(self._account_id, doc["region"], instance_ids(response)[0])
        if instance is None:
            return
        instance.terminate()
        instance.id = instance_id
        instance.add_tags(doc["tags"])
        show_running(instance, "running", doc["launched_at"])
        show_ending(instance, "terminated", Cause(**doc["cause"]), doc["ended_at"])
