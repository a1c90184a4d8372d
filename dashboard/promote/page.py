"""Promote: candidates and their gates, the plan as a diff with its price, and the way there and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from dashboard import access, formats, sources, terms, under_way
from dashboard.parts import nothing_yet, page_title, problem
from dashboard.promote import proposals
from dashboard.under_way import Kind, Work
from deployment.choose import Choice, Rule, choose
from deployment.plan.told import diff_lines
from deployment.promote import Proposal, propose_run
from deployment.settings import ServingSettings
from deployment.store import ReleaseStore, every_application
from deployment.undo import propose_rollback
from experiments.aws import Boto3Cloud
from experiments.errors import PedigreeError
from experiments.prices import latest_book
from experiments.records import RunRecord

_STAGE = "prod"
_EVERY_S = 2.0


def show() -> None:
    """The whole page."""
    page_title("Promote")
    st.markdown("Make the best run live, or bring an earlier release back. The plan comes first.")
    with st.skeleton(height=200):
        records = sources.runs()
        cloud = sources.open_cloud()
    change = under_way.newest(sources.home(), Kind.CHANGE)
    if change is not None:
        _progress(change)
    if not access.is_operator():
        st.info("You may look. Promoting and going back need the operator role.")
    if change is None or not change.running:
        _candidates(cloud, records)
    for name in every_application(cloud):
        _history(cloud, name, busy=change is not None and change.running)


def _progress(change: Work) -> None:
    """The change that was started last, read from its log again and again while it runs."""

    @st.fragment(run_every=_EVERY_S if change.running else None)
    def follow() -> None:
        now = under_way.newest(sources.home(), Kind.CHANGE)
        if now is None:
            return
        _told(now)
        if change.running and not now.running:
            st.rerun(scope="app")

    follow()


def _told(change: Work) -> None:
    words = f"`pedigree {' '.join(change.words)}`"
    since = f"started {formats.moment(change.started_at)} UTC by {formats.plain(change.person)}"
    if change.running:
        st.info(f"Under way: {words}, {since}. You may leave: it goes on.", icon=":material/sync:")
        step = proposals.last_step(change.log)
        if step is not None:
            words = f"Step {step.number} of {step.total}: {formats.plain(step.text)}"
            st.progress(min(step.number / max(step.total, 1), 1.0), text=words)
    elif change.exit_code == 0:
        st.success(f"Done: {words}, {since}.", icon=":material/check:")
    elif change.is_lost:
        problem(
            f"{words} was ended from outside",
            "start it again: it goes on where it stopped, and what was live stays live",
        )
    else:
        problem(f"{words} ended with code {change.exit_code}", "read below what it says")
    with st.expander("What it says", expanded=change.exit_code != 0):
        st.code(change.log.strip() or "nothing yet", language=None, wrap_lines=True)


def _candidates(cloud: Boto3Cloud, records: Sequence[RunRecord]) -> None:
    st.header("Candidates", anchor=False)
    choice = choose(records, Rule())
    if choice.candidate is None:
        if records:
            _refused(choice)
        nothing_yet("No run can be promoted yet", "Train one that succeeds:", "make demo")
        return
    best = choice.candidate
    fit = [best, *(r for r, _ in choice.refused if r.status is best.status and r.model_uri)]
    by_id = {record.run_id: record for record in fit[:100]}
    picked = st.selectbox(
        "Run", list(by_id), key="run", bind="query-params",
        format_func=lambda run_id: _named(by_id[run_id], best),
    )  # fmt: skip
    _refused(choice)
    if st.button("Examine it and plan", icon=":material/rule:", help=terms.GATES):
        st.session_state["proposal"] = None
        record = sources.side(by_id[picked]).record
        app = record.params.get("launch/app", "pedigree")
        with st.spinner("Serving it once on this machine, and asking AWS", show_time=True):
            found = propose_run(
                cloud, record, ServingSettings(app=app, stage=_STAGE),
                book=latest_book(), now=datetime.now(tz=UTC),
            )  # fmt: skip
        st.session_state["proposal"] = (picked, found)
    held = st.session_state.get("proposal")
    if held is not None and held[0] == picked:
        _proposed(held[1], ("promote", picked, "--yes"), "Make it live")


def _named(record: RunRecord, best: RunRecord) -> str:
    quality = formats.share(record.metrics.get("test/top1"))
    cost = formats.usd(record.cost_usd, record.cost_basis)
    mark = "★ " if record is best else ""
    return f"{mark}{record.name} · {quality} · {cost} · {record.run_id}"


def _refused(choice: Choice) -> None:
    if choice.refused:
        with st.expander(f"Why not the others ({len(choice.refused):,})"):
            rows = [{"run": run.name, "why not": why} for run, why in choice.refused[:200]]
            st.dataframe(rows, hide_index=True, alt="Why each other run is not the one")


def _proposed(proposal: Proposal, words: tuple[str, ...], label: str) -> None:
    st.subheader(f"Release {proposal.release.release_id}", anchor=False)
    if proposal.release.gates:
        st.dataframe(
            proposals.gate_rows(proposal.release.gates), hide_index=True, alt="The gates",
            height="content",
        )  # fmt: skip
    plan, price = st.columns([3, 2], gap="medium")
    with plan:
        if proposal.plan.steps:
            st.code("\n".join(diff_lines(proposal.plan)), language="diff", wrap_lines=True)
        else:
            st.markdown("Nothing to do in AWS: everything is as it should be.")
    with price:
        st.dataframe(
            proposals.month_rows(proposal.plan.before, proposal.plan.after), hide_index=True,
            alt="The price of a month before and after", height="content",
        )  # fmt: skip
        basis = proposal.plan.after.at_min.basis.value
        st.caption(f"USD a month, {basis}; not counted: "
                   f"{'; '.join(proposal.plan.after.at_min.not_counted)}.")  # fmt: skip
    for note in proposal.plan.notes:
        st.caption(formats.plain(note))
    _confirmed(proposal.release.settings.name, words, label)


def _confirmed(name: str, words: tuple[str, ...], label: str) -> None:
    """The typed confirmation; the command is started once, however often the button is pressed."""
    typed = st.text_input(f"Type {name} to confirm", key=f"typed {label}", help=terms.CONFIRM)
    allowed = access.is_operator()
    if st.button(label, type="primary", disabled=not allowed or typed.strip() != name):
        access.require_operator()
        now = under_way.newest(sources.home(), Kind.CHANGE)
        if now is not None and now.running:
            raise PedigreeError(
                "another change is under way", fix="wait for it: this page shows its progress"
            )
        person = access.who()
        access.audit(sources.home(), " ".join(words), name, person=person, now=datetime.now(tz=UTC))
        under_way.start(sources.home(), Kind.CHANGE, words, person=person)
        for key in ("proposal", f"back {name}"):
            st.session_state.pop(key, None)
        st.rerun()


def _history(cloud: Boto3Cloud, name: str, *, busy: bool) -> None:
    st.header(f"Releases of {name}", anchor=False)
    store = ReleaseStore(cloud=cloud, name=name)
    known, live = store.records(), store.live()
    st.dataframe(
        proposals.history_rows(known, live.release_id), hide_index=True, alt=f"Releases of {name}"
    )
    earlier = list(dict.fromkeys(i for i in reversed(live.history) if i != live.release_id))
    if busy or not earlier:
        return
    target = st.selectbox("Go back to", earlier, key=f"to {name}")
    if st.button("Plan the way back", icon=":material/undo:", key=f"plan {name}"):
        found = propose_rollback(cloud, name, book=latest_book(), to=target)
        st.session_state[f"back {name}"] = (target, found)
    held = st.session_state.get(f"back {name}")
    if held is not None and held[0] == target:
        app, _, stage = name.rpartition("-")
        words = ("rollback", target, "--app", app, "--stage", stage, "--yes")
        _proposed(held[1], words, "Go back")


if __name__ == "__main__":
    show()
