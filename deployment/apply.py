"""Carry out a proposal so that what is live stays live until the new release has proved itself.

The order: take the stage's lease; refuse a plan made for another world; write the release on record;
prepare; the endpoint takes the model; try the new function version; the alias moves; try again
through the alias; move `live.json`; let go of what is needed no more. After an error the same
command goes on where this one stopped, because each plan holds only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from deployment.clock import Clock
from deployment.desired import desired
from deployment.invoke import Answer
from deployment.lock import StageLock
from deployment.monthly import Monthly
from deployment.observe import observe
from deployment.perform import Performer, Report
from deployment.plan import plan_release
from deployment.promote import Proposal
from deployment.release import Release, ReleaseStatus
from deployment.settings import ALIAS
from deployment.smoke import GoldenPhoto, SmokeError, golden_photos, prove
from deployment.steps import Phase
from deployment.store import ReleaseRecord, ReleaseStore
from experiments.aws import Cloud
from experiments.errors import PedigreeError, ReleaseError
from experiments.prices import PriceBook


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A release that is live, with what the tracker writes on its run and model version."""

    release: Release
    previous_id: str
    function_version: str
    monthly: Monthly
    steps_done: int
    answer: Answer | None
    finished_at: datetime

    @property
    def tags(self) -> dict[str, str]:
        """For the registered model version and the run: release, addresses and price."""
        name = self.release.settings.name
        return {
            "pedigree.release": self.release.release_id,
            "pedigree.endpoint": name,
            "pedigree.function": f"{name}:{ALIAS}",
            "pedigree.function_version": self.function_version,
            "pedigree.live_since": self.finished_at.isoformat(timespec="seconds"),
            "pedigree.monthly_usd_at_min": f"{self.monthly.at_min.total_usd:.2f}",
            "pedigree.monthly_usd_at_max": f"{self.monthly.at_max.total_usd:.2f}",
            "pedigree.monthly_basis": self.monthly.at_min.basis.value,
        }


@dataclass(frozen=True, kw_only=True)
class Means:
    """What carrying out a plan takes besides the plan. `holder` is a word nobody else uses."""

    cloud: Cloud
    book: PriceBook
    holder: str
    report: Report
    golden: GoldenPhoto | None = None
    clock: Clock = Clock()  # noqa: RUF009  (frozen)


def apply_proposal(proposal: Proposal, means: Means) -> Applied:
    """Make a proposed release live. One that is live already is looked at and left alone.

    Raises BusyError while another command changes the same stage; ReleaseError if the world is not
    the one the plan was made for, a wait ended badly or the trial photo failed (then the release
    that was live has been put back); CloudError. Every error says how to go on.
    """
    store = ReleaseStore(cloud=means.cloud, name=proposal.release.settings.name)
    if proposal.is_done and _is_settled(store, proposal):
        _refuse_stale(proposal, means.cloud)
        return _applied(proposal, means, version=proposal.plan.version, answer=None)
    lock = StageLock(store, holder=means.holder, now=means.clock.now)
    purpose = f"make release {proposal.release.release_id} live"
    lock.take(purpose)
    try:
        _refuse_stale(proposal, means.cloud)
        return _Promotion(store, proposal, means, lambda: lock.renew(purpose)).run()
    finally:
        lock.give_back()


def _is_settled(store: ReleaseStore, proposal: Proposal) -> bool:
    record = store.find(proposal.release.release_id)
    return record is not None and record.status is ReleaseStatus.LIVE


def _refuse_stale(proposal: Proposal, cloud: Cloud) -> None:
    if observe(cloud, proposal.wanted).digest != proposal.plan.basis_digest:
        raise ReleaseError(
            "what is in AWS has changed since this plan was made; nothing was done",
            fix="run the same command again and look at the new plan",
        )


def _applied(proposal: Proposal, means: Means, *, version: str, answer: Answer | None) -> Applied:
    live = proposal.observed.live
    mine = live.release_id == proposal.release.release_id
    return Applied(
        release=proposal.release,
        previous_id=live.previous_id if mine else live.release_id,
        function_version=version,
        monthly=proposal.plan.after,
        steps_done=len(proposal.plan.steps),
        answer=answer,
        finished_at=means.clock.now(),
    )


class _Promotion:
    """One run through a plan, with its record in the store."""

    def __init__(
        self, store: ReleaseStore, proposal: Proposal, means: Means, heartbeat: Callable[[], None]
    ) -> None:
        self._store = store
        self._proposal = proposal
        self._means = means
        self._heartbeat = heartbeat
        self._is_live = proposal.observed.live.release_id == proposal.release.release_id
        self._performer = self._new_performer(len(proposal.plan.steps))
        self._record = self._write_ahead()

    def run(self) -> Applied:
        """All phases in order. Whatever goes wrong is on record before it is raised."""
        try:
            answer = self._make_live()
        except SmokeError as error:
            self._note(error.message)
            raise self._put_back(error) from error
        except PedigreeError as error:
            self._note(error.message)
            error.fix = f"{error.fix}; then run the same command again: it goes on from there"
            raise
        except KeyboardInterrupt:
            self._note("interrupted")
            raise
        return _applied(self._proposal, self._means, version=self._version(), answer=answer)

    def _make_live(self) -> Answer | None:
        self._perform(Phase.PREPARE)
        self._perform(Phase.MODEL)
        answer = self._try(self._version(), "the new version")
        self._perform(Phase.FRONT)
        answer = self._try(ALIAS, "the live path") or answer
        self._point()
        self._perform(Phase.CLEAN)
        return answer

    def _perform(self, phase: Phase) -> None:
        for step in self._proposal.plan.steps:
            if step.phase is phase:
                self._performer.perform(step)

    def _version(self) -> str:
        return self._performer.words.get("version", self._proposal.plan.version)

    def _try(self, qualifier: str, what: str) -> Answer | None:
        """Every golden photo through `qualifier`; the first one's answer, or None without photos."""
        photos = self._photos
        if not photos:
            return None
        self._performer.say(f"try {what} with {len(photos)} golden photos")
        answers = [
            prove(
                self._means.cloud,
                self._proposal.release,
                photo,
                qualifier=qualifier,
                version=self._version(),
                book=self._means.book,
                clock=self._means.clock,
                heartbeat=self._heartbeat,
            )
            for photo in photos
        ]
        return answers[0]

    @cached_property
    def _photos(self) -> tuple[GoldenPhoto, ...]:
        """The photo of whoever promotes, then those that belong to the release."""
        given = (self._means.golden,) if self._means.golden else ()
        return (*given, *golden_photos(self._means.cloud, self._proposal.wanted))

    def _write_ahead(self) -> ReleaseRecord:
        """On record before anything is done, so that whoever comes after a crash knows of it."""
        release = self._proposal.release
        found = self._store.find(release.release_id)
        titles = tuple(f"{step.title}: {step.why}" for step in self._proposal.plan.steps)
        record = ReleaseRecord(
            release=release,
            status=ReleaseStatus.APPLYING,
            updated_at=self._means.clock.now(),
            steps=titles,
            etag=found.etag if found else "",
        )
        return self._store.write(record)

    def _note(self, message: str) -> None:
        """Write a failure down. If that fails too, the record stays at `applying`: also true."""
        status = ReleaseStatus.LIVE if self._is_live else ReleaseStatus.FAILED
        try:
            self._record = self._rewritten(self._record, status, message)
        except PedigreeError as error:
            self._performer.say(f"the outcome could not be written down: {error.message}")

    def _rewritten(
        self, record: ReleaseRecord, status: ReleaseStatus, message: str = ""
    ) -> ReleaseRecord:
        now = self._means.clock.now()
        return self._store.write(replace(record, status=status, message=message, updated_at=now))

    def _point(self) -> None:
        """Move the pointer, then the statuses that follow from it."""
        live, mine = self._proposal.observed.live, self._proposal.release.release_id
        if live.release_id != mine:
            history = live.after(mine, back=self._proposal.back)
            self._store.point(live, history, self._means.clock.now())
            self._is_live = True
            before = self._store.find(live.release_id) if live.release_id else None
            if before is not None:
                self._rewritten(before, ReleaseStatus.SUPERSEDED)
        self._record = self._rewritten(self._record, ReleaseStatus.LIVE)

    def _put_back(self, error: SmokeError) -> ReleaseError:
        """Return to the release that was live, and say so; or say what stands there now."""
        live = self._proposal.observed.live.release_id
        name = self._proposal.release.settings.name
        if not live or live == self._proposal.release.release_id:
            return ReleaseError(
                f"{error.message}; nothing was live before",
                fix=f"{error.fix}; endpoint {name} stands and is paid for until it is deleted",
            )
        try:
            self._return_to(self._store.read(live).release)
        except PedigreeError as second:
            return ReleaseError(
                f"{error.message}; and release {live} could not be put back: {second.message}",
                fix=f"put it back with `pedigree rollback {live}`",
            )
        return ReleaseError(f"{error.message}; release {live} is live as before", fix=error.fix)

    def _return_to(self, release: Release) -> None:
        means = self._means
        wanted = desired(release, self._proposal.wanted.foundation)
        seen = observe(means.cloud, wanted)
        plan = plan_release(release, wanted, seen, means.book, basis=means.cloud.basis)
        self._performer = self._new_performer(len(plan.steps))
        self._performer.say(f"put release {release.release_id} back")
        for step in plan.steps:
            self._performer.perform(step)

    def _new_performer(self, total: int) -> Performer:
        means = self._means
        return Performer(
            means.cloud,
            clock=means.clock,
            report=means.report,
            total=total,
            heartbeat=self._heartbeat,
        )
