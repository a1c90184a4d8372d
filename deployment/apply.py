"""Carry out a proposal so that what is live stays live until the new release has proved itself.

The order: take the stage's lease; refuse a plan made for another world; write the release on record;
prepare; the endpoint takes the model; try the new function version; the alias moves; try again
through the alias; move `live.json`; let go of what is needed no more. After an error the same
command goes on where this one stopped, because each plan holds only what is missing.
"""

from __future__ import annotations

from deployment.promote import Proposal
from deployment.reconcile.lease import Lease
from deployment.reconcile.means import Applied, Means
from deployment.reconcile.promotion import Promotion, applied
from deployment.release import ReleaseStatus
from deployment.state.observe import observe
from deployment.store import ReleaseStore
from experiments.aws import Cloud
from experiments.errors import ReleaseError

__all__ = ["Applied", "Means", "apply_proposal"]


def apply_proposal(proposal: Proposal, means: Means) -> Applied:
    """Make a proposed release live. One that is live already is looked at and left alone.

    Raises BusyError while another command changes the same stage; ReleaseError if the world is not
    the one the plan was made for, a wait ended badly or a golden photo failed (then the release
    that was live has been put back, or what was begun is let go); CloudError. Every error says how
    to go on.
    """
    store = ReleaseStore(cloud=means.cloud, name=proposal.release.settings.name)
    if proposal.is_done and _is_settled(store, proposal):
        _refuse_stale(proposal, means.cloud)
        return applied(proposal, means, version=proposal.plan.version, answer=None)
    lease = Lease(store, holder=means.holder, now=means.clock.now, died=means.died)
    purpose = f"make release {proposal.release.release_id} live"
    lease.take(purpose)
    try:
        _refuse_stale(proposal, means.cloud)
        return Promotion(store, proposal, means, lambda: lease.renew(purpose)).run()
    finally:
        lease.give_back()


def _is_settled(store: ReleaseStore, proposal: Proposal) -> bool:
    record = store.find(proposal.release.release_id)
    return record is not None and record.status is ReleaseStatus.LIVE


def _refuse_stale(proposal: Proposal, cloud: Cloud) -> None:
    if observe(cloud, proposal.wanted).digest != proposal.plan.basis_digest:
        raise ReleaseError(
            "conflict: what is in AWS has changed since this plan was made; nothing was done",
            fix="run the same command again and look at the new plan",
        )
