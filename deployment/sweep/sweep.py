"""List what belongs to nobody, and remove exactly what was listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from deployment.reconcile.lease import Lease
from deployment.reconcile.means import Means
from deployment.settings import ALIAS
from deployment.store import LOCK, ReleaseStore, every_application
from deployment.sweep.inventory import Inventory
from deployment.sweep.judge import orphans
from deployment.sweep.resource import Kind, Known, Orphan, digest_of
from experiments.aws import Cloud, is_code
from experiments.contract import check
from experiments.errors import CloudError, PedigreeError, ReleaseError

_OF_APPLICATION = (Kind.PROVISIONED, Kind.FUNCTION, Kind.ENDPOINT)
_GONE = ("NoSuchUpload", "NoSuchKey", "InvalidInstanceID.NotFound", "InvalidVolume.NotFound")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Orphans, and the word that names this list. `unknown` kinds are those this cloud has not."""

    orphans: tuple[Orphan, ...]
    unknown: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.orphans)

    @property
    def usd_per_day(self) -> Decimal:
        """What those cost whose price is known."""
        return sum((o.resource.usd_per_day or Decimal(0) for o in self.orphans), Decimal(0))


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What was removed, and what was not, with the reason."""

    removed: tuple[Orphan, ...]
    left: tuple[tuple[Orphan, str], ...]


def look(inventory: Inventory, runs: Iterable[str], now: datetime) -> Found:
    """Find the orphans. `runs` are the ids of runs that are not settled. Changes nothing."""
    known = what_is_needed(inventory.cloud, frozenset(runs), now)
    resources, unknown = inventory.everything()
    return Found(orphans=orphans(resources, known, now), unknown=unknown)


def what_is_needed(cloud: Cloud, runs: frozenset[str], now: datetime) -> Known:
    """Read the records of all releases, who works on them, and where their aliases point."""
    stores = [ReleaseStore(cloud=cloud, name=name) for name in every_application(cloud)]
    live = {store.name: store.live() for store in stores}
    busy = {store.name for store in stores if _is_busy(store, now)}
    on_record = {release for store in stores for release in store.ids()}
    names = {name for name, history in live.items() if history.release_id}
    return Known(
        live=frozenset(names),
        busy=frozenset(busy),
        versions={name: _version(cloud, name) for name in names},
        releases=frozenset(release for seen in live.values() for release in seen.history),
        on_record=frozenset(on_record),
        runs=runs,
    )


def _is_busy(store: ReleaseStore, now: datetime) -> bool:
    found = store.get(LOCK)
    if found is None or not found[0].get("holder"):
        return False
    return datetime.fromisoformat(found[0]["until"]) > now


def _version(cloud: Cloud, name: str) -> str:
    try:
        answer = cloud.ask("lambda", "get_alias", FunctionName=name, Name=ALIAS)
    except CloudError as error:
        if is_code(error, "ResourceNotFoundException"):
            return ""
        raise
    return str(answer["FunctionVersion"])


def remove(inventory: Inventory, runs: Iterable[str], digest: str, means: Means) -> Swept:
    """Remove the orphans, if they are still those that `digest` named.

    While an application's things go, nobody can promote to it. Raises ReleaseError if the list is
    another one by now; what AWS refuses to remove is left, with the reason.
    """
    found = look(inventory, runs, means.clock.now())
    if found.digest != digest:
        raise ReleaseError(
            f"the list is not {digest} any more, but {found.digest}; nothing was removed",
            fix="look at it again with `pedigree sweep`",
        )
    check(call for orphan in found.orphans for call in orphan.resource.remove)
    removed, left = [], []
    with ExitStack() as held:
        leases = _leases(inventory.cloud, found, means, held)
        for orphan in found.orphans:
            fault = _remove(inventory.cloud, orphan, leases)
            if fault:
                left.append((orphan, fault))
            else:
                removed.append(orphan)
    return Swept(removed=tuple(removed), left=tuple(left))


def _leases(
    cloud: Cloud, found: Found, means: Means, held: ExitStack
) -> dict[str, Callable[[], None]]:
    """Hold the lease of each application concerned; one that is being changed is left out."""
    leases: dict[str, Callable[[], None]] = {}
    for name in sorted({_application(orphan) for orphan in found.orphans} - {""}):
        store = ReleaseStore(cloud=cloud, name=name)
        lease = Lease(store, holder=means.holder, now=means.clock.now, died=means.died)
        try:
            lease.take("sweep what belongs to nobody")
        except PedigreeError:
            continue
        held.callback(lease.give_back)
        leases[name] = lambda lease=lease: lease.renew("sweep")  # type: ignore[misc]
    return leases


def _application(orphan: Orphan) -> str:
    if orphan.resource.kind not in _OF_APPLICATION:
        return ""
    return orphan.resource.name.partition(":")[0]


def _remove(cloud: Cloud, orphan: Orphan, leases: dict[str, Callable[[], None]]) -> str:
    """Send its requests. Why it is still there, or empty."""
    name = _application(orphan)
    if name and name not in leases:
        return f"another command changes {name} now"
    try:
        if name:
            leases[name]()
        for call in orphan.resource.remove:
            cloud.perform(call)
    except CloudError as error:
        if is_code(error, "ResourceNotFoundException", *_GONE) or "Could not find" in error.message:
            return ""
        return error.message
    return ""
