"""One run through a plan, with its record in the store, and what is done when it goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from deployment.invoke import Answer
from deployment.plan.function import ADDRESS, VERSION
from deployment.plan.release_plan import plan_release
from deployment.plan.steps import Phase
from deployment.promote import Proposal
from deployment.reconcile.means import Applied, Means
from deployment.reconcile.perform import Performer, RolledBackError, StuckError
from deployment.reconcile.teardown import let_go_steps, perform_all, remains
from deployment.release import Release, ReleaseStatus
from deployment.settings import ALIAS
from deployment.smoke import GoldenPhoto, SmokeError, golden_photos, prove
from deployment.state.desired import desired
from deployment.state.observe import observe
from deployment.store import ReleaseRecord, ReleaseStore
from experiments.errors import PedigreeError, ReleaseError


def applied(
    proposal: Proposal, means: Means, *, version: str, answer: Answer | None, address: str = ""
) -> Applied:
    """What a finished promotion reports."""
    live = proposal.observed.live
    stands = (proposal.observed.function_url or {}).get("FunctionUrl", "")
    mine = live.release_id == proposal.release.release_id
    return Applied(
        release=proposal.release,
        previous_id=live.previous_id if mine else live.release_id,
        function_version=version,
        monthly=proposal.plan.after,
        steps_done=len(proposal.plan.steps),
        answer=answer,
        finished_at=means.clock.now(),
        address=address or stands,
    )


class Promotion:
    """One run through a plan, with its record in the store. The lease is held by whoever makes it."""

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
        except (SmokeError, StuckError) as error:
            is_back = isinstance(error, RolledBackError)
            self._note(
                error.message, ReleaseStatus.ROLLED_BACK if is_back else ReleaseStatus.FAILED
            )
            raise self._put_back(error) from error
        except PedigreeError as error:
            self._note(error.message)
            error.fix = f"{error.fix}; then run the same command again: it goes on from there"
            raise
        except KeyboardInterrupt:
            self._note("interrupted")
            raise
        address = self._performer.words.get(ADDRESS, "")
        return applied(
            self._proposal, self._means, version=self._version(), answer=answer, address=address
        )

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
        return self._performer.words.get(VERSION, self._proposal.plan.version)

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

    def _note(self, message: str, status: ReleaseStatus = ReleaseStatus.FAILED) -> None:
        """Write a failure down. If that fails too, the record stays at `applying`: also true."""
        status = ReleaseStatus.LIVE if self._is_live else status
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

    def _put_back(self, error: ReleaseError) -> ReleaseError:
        """Return to the release that was live, and say so; or say what stands there now."""
        live = self._proposal.observed.live.release_id
        if live == self._proposal.release.release_id:
            return error
        if not live:
            return self._let_go(error)
        try:
            self._return_to(self._store.read(live).release)
        except PedigreeError as second:
            return ReleaseError(
                f"{error.message}; and release {live} could not be put back: {second.message}",
                fix=f"put it back with `pedigree rollback {live}`",
            )
        return ReleaseError(f"{error.message}; release {live} is live as before", fix=error.fix)

    def _let_go(self, error: ReleaseError) -> ReleaseError:
        """A first release that failed leaves nothing behind that is paid for by the hour."""
        release, means = self._proposal.release, self._means
        self._performer.say("nothing was live before: let go of what is paid for")
        try:
            seen = remains(means.cloud, release.settings, [release.model_name])
            perform_all(let_go_steps(release.settings, seen), means, self._heartbeat)
        except PedigreeError as second:
            return ReleaseError(
                f"{error.message}; and what was begun could not be let go: {second.message}",
                fix=f"take it down with `pedigree teardown --app {release.settings.app}`",
            )
        return ReleaseError(
            f"{error.message}; nothing was live before, and nothing is left that costs by the hour",
            fix=error.fix,
        )

    def _return_to(self, release: Release) -> None:
        means = self._means
        wanted = desired(release, self._proposal.wanted.foundation)
        seen = observe(means.cloud, wanted)
        plan = plan_release(release, wanted, seen, means.book, basis=means.cloud.basis, back=True)
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
