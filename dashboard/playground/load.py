"""A short load test: its plan with the price, then its course, drawn while it runs beside the page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import access, formats, live, sources, terms, under_way
from dashboard.parts import problem, tile_row
from dashboard.playground.drawn import by_second, load_answers, load_instances, load_latency
from dashboard.playground.load_view import asked_for, command, course_tiles, read_course
from dashboard.plots import draw
from dashboard.records import LiveRelease
from dashboard.under_way import Kind, Work
from deployment.invoke import Way
from deployment.load.plan import MAX_RATE_PER_S, MAX_SECONDS, Load, plan_load
from experiments.errors import PedigreeError
from experiments.prices import latest_book
from experiments.records import Basis

_EVERY_S = 1.0
_MOST_SIZES = 50


def load_test(chosen: LiveRelease, way: Way) -> None:
    """The form while nothing runs, and the course of the test that was started last."""
    st.header("Load test", anchor=False, help=terms.OPEN_LOOP)
    work = under_way.newest(sources.home(), Kind.LOAD)
    if work is None or not work.running:
        _form(chosen, way)
    if work is not None:
        _course(work, chosen.basis)


def _form(chosen: LiveRelease, way: Way) -> None:
    photos = live.test_photos()
    if not photos:
        st.info(
            "A load test sends the test photos, and there are none here: `make demo` draws some."
        )
        return
    rate, seconds = st.columns(2, gap="medium")
    wanted = Load(
        rate_per_s=float(
            rate.slider("Questions a second", 1, int(MAX_RATE_PER_S), 5, key="load_rate")
        ),
        seconds=int(seconds.slider("Seconds", 5, MAX_SECONDS, 20, step=5, key="load_seconds")),
        way=way,
    )
    some = [paths[0] for paths in photos.values()][:_MOST_SIZES]
    plan = plan_load(
        wanted, chosen.settings, photo_bytes=tuple(_size(path) for path in some),
        region=chosen.region, book=latest_book(), basis=chosen.basis,
    )  # fmt: skip
    where = "through Lambda" if way is Way.LAMBDA else "straight to the endpoint"
    price = formats.usd(plan.cost.total_usd, plan.cost.basis)
    st.markdown(
        formats.plain(f"{wanted.requests:,} questions {where}. The calls cost about {price}.")
    )
    for note in (*plan.notes, *(f"Not counted: {text}." for text in plan.cost.not_counted)):
        st.caption(formats.plain(note[:1].upper() + note[1:]))
    if not access.is_operator():
        st.info("You may look. A load test needs the operator role.")
    if st.button("Start the load test", icon=":material/speed:", disabled=not access.is_operator()):
        _start(chosen, wanted)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # removed since the folder was read
        return 0


def _start(chosen: LiveRelease, wanted: Load) -> None:
    """Start it once, however often and in however many tabs the button is pressed."""
    access.require_operator()
    home = sources.home()
    now = under_way.newest(home, Kind.LOAD)
    if now is not None and now.running:
        raise PedigreeError(
            "another load test is under way", fix="wait for it or stop it: this page shows it"
        )
    words, person = command(chosen, live.photo_folder(), wanted), access.who()
    access.audit(home, " ".join(words), chosen.settings.name, person=person)
    under_way.start(home, Kind.LOAD, words, person=person)
    st.rerun()


def _course(work: Work, basis: Basis) -> None:
    """Drawn anew each second while it runs; read from its file, so that any tab shows the same."""

    @st.fragment(run_every=_EVERY_S if work.running else None)
    def follow() -> None:
        now = under_way.newest(sources.home(), Kind.LOAD)
        if now is None:
            return
        if work.running and not now.running:
            st.rerun(scope="app")
        _told(now)
        _drawn(now, basis)

    follow()


def _told(work: Work) -> None:
    asked, _ = asked_for(work.words)
    since = f"started {formats.moment(work.started_at)} UTC by {formats.plain(work.person)}"
    if work.running:
        with st.container(horizontal=True, vertical_alignment="center", key="load_running"):
            st.info(f"Under way: {asked}, {since}.", icon=":material/sync:")
            if st.button(
                "Stop it", icon=":material/stop_circle:", disabled=not access.is_operator()
            ):
                access.require_operator()
                access.audit(sources.home(), "stop load", work.name, person=access.who())
                under_way.interrupt(work)
    elif work.exit_code == 0:
        st.success(f"Done: {asked}, {since}.", icon=":material/check:")
    elif read_course(work.lines).summary is not None:
        st.warning(f"Stopped: {asked}, {since}.", icon=":material/stop_circle:")
    else:
        problem(
            "the load test did not come to its end",
            f"it says: {work.log.strip()[-600:] or 'nothing'}",
        )


def _drawn(work: Work, basis: Basis) -> None:
    course = read_course(work.lines)
    if not course.rows:
        if work.running:
            st.caption("Waiting for the first second.")
        return
    tile_row(course_tiles(course, basis), columns=5)
    data = by_second(course.rows)
    seconds = max(asked_for(work.words)[1], len(course.rows))
    drawn = [
        ("Latency by second", load_latency(data, seconds)),
        ("Answers, refusals and failures by second", load_answers(data, seconds)),
        ("Instances by second", load_instances(data, seconds)),
    ]
    for alt, chart in drawn:
        if chart is not None:
            draw(chart, alt)
    for fault in (course.summary or {}).get("faults", ()):
        st.caption(f"Failed: {formats.plain(fault)}")
