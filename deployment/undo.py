"""Go back to an earlier release: the same machinery, with an old release as what is wanted.

Nothing of an earlier release is deleted when it is superseded, so going back creates nothing: the
endpoint takes the old configuration, and the alias the old function version.
"""

from __future__ import annotations

from deployment.promote import Prepared, Proposal, propose
from deployment.release import Release, ReleaseStatus
from deployment.store import ReleaseStore
from experiments.aws import Cloud
from experiments.errors import ReleaseError
from experiments.prices import PriceBook


def propose_rollback(
    cloud: Cloud, name: str, *, book: PriceBook, to: str | None = None
) -> Proposal:
    """Plan the way back to the release `to` of `<app>-<stage>`, or to the one live before.

    Going back twice goes back two releases: what was left behind is not what was live before.
    Changes nothing. Raises ReleaseError if there is nothing to go back to, CloudError, PriceError.
    """
    store = ReleaseStore(cloud=cloud, name=name)
    return propose(cloud, Prepared(release=_target(store, to)), book=book, back=True)


def _target(store: ReleaseStore, to: str | None) -> Release:
    live = store.live()
    target = to or live.previous_id
    if not target:
        raise ReleaseError(
            f"{store.name} has no release before {live.release_id or 'the first one'}",
            fix="name one of `pedigree releases`, or promote another run",
        )
    record = store.read(target)
    was_live = record.status in (
        ReleaseStatus.LIVE,
        ReleaseStatus.SUPERSEDED,
        ReleaseStatus.TORN_DOWN,
    )
    if not was_live and target not in live.history:
        raise ReleaseError(
            f"release {target} is {record.status.value} and was never live",
            fix="promote its run instead",
        )
    return record.release
