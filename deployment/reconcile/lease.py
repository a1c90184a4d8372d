"""Only one command at a time changes what is live: a lease in S3, taken by conditional writes.

The holder renews it while it works. A command that died stops renewing, and the next one takes over
when the lease has run out; at once, if it can prove that the holder has died. A holder that lost its
lease stops at the next renewal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from deployment.reconcile.owner import Owner, is_dead
from deployment.store import LOCK, ReleaseStore
from experiments.errors import BusyError, PedigreeError, ReleaseError

LEASE_S = 120


class Lease:
    """The lease on one application and stage. `holder` is a word that nobody else uses."""

    def __init__(
        self,
        store: ReleaseStore,
        *,
        holder: str,
        now: Callable[[], datetime],
        owner: Owner | None = None,
        died: Callable[[Mapping[str, object]], bool] = is_dead,
    ) -> None:
        self._store = store
        self._holder = holder
        self._now = now
        self._owner = owner or Owner.here()
        self._died = died
        self._etag = ""
        self._until = now()

    def take(self, purpose: str) -> None:
        """Take the lease. Raises BusyError while somebody else holds it."""
        found = self._store.get(LOCK)
        if found is not None:
            self._refuse_held(found[0])
            self._etag = found[1]
        try:
            self._write(purpose)
        except ReleaseError as error:
            raise self._busy("by another command that started just now") from error

    def renew(self, purpose: str) -> None:
        """Hold on for another while; does nothing in the first half of the lease.

        Raises ReleaseError if the lease was lost.
        """
        if self._until - self._now() < timedelta(seconds=LEASE_S / 2):
            self._write(purpose)

    def give_back(self) -> None:
        """Let the next one in. A lease that was lost or cannot be given back just runs out."""
        try:
            self._store.put(LOCK, {"holder": "", "purpose": "", "until": ""}, etag=self._etag)
        except PedigreeError:
            return

    def _write(self, purpose: str) -> None:
        until = self._now() + timedelta(seconds=LEASE_S)
        data = {
            "holder": self._holder,
            "purpose": purpose,
            "until": until.isoformat(),
            "owner": self._owner.as_dict(),
        }
        self._etag = self._store.put(LOCK, data, etag=self._etag)
        self._until = until

    def _refuse_held(self, lease: dict[str, Any]) -> None:
        if not lease.get("holder") or lease["holder"] == self._holder:
            return
        until = datetime.fromisoformat(lease["until"])
        if until > self._now() and not self._died(lease.get("owner") or {}):
            when = f"{until:%H:%M:%S}"
            raise self._busy(f"to {lease['purpose']}, at least until {when} UTC")

    def _busy(self, words: str) -> BusyError:
        return BusyError(
            f"conflict: {self._store.name} is being changed {words}",
            fix="wait for it to end; a command that died lets go at once on its own machine, and"
            " within two minutes elsewhere",
        )
