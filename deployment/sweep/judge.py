"""Who needs a thing? Pure: things, what is known, and the time in; orphans with their reasons out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from deployment.sweep.resource import APP, OWNER, RELEASE, RUN, Kind, Known, Orphan, Resource

YOUNG = timedelta(minutes=15)
STALE_UPLOAD = timedelta(days=1)


def orphans(resources: Iterable[Resource], known: Known, now: datetime) -> tuple[Orphan, ...]:
    """Those that are Pedigree's, old enough, and needed by nobody; in the order of their removal."""
    found = [
        Orphan(resource=resource, why=why)
        for resource in resources
        if (why := reason(resource, known, now))
    ]
    order = {kind: place for place, kind in enumerate(Kind)}
    return tuple(sorted(found, key=lambda o: (order[o.resource.kind], o.resource.name)))


def reason(resource: Resource, known: Known, now: datetime) -> str:
    """Why a thing is an orphan; empty if it is needed, too young to say, or not Pedigree's."""
    if OWNER not in resource.tags or resource.in_use:
        return ""
    least = STALE_UPLOAD if resource.kind is Kind.UPLOAD else YOUNG
    if resource.created_at is not None and now - resource.created_at < least:
        return ""
    return _RULES[resource.kind](resource, known)


def _of_application(resource: Resource, known: Known) -> str:
    """An endpoint or function has its application's name; an alarm's begins with it."""
    name = resource.name
    needed = known.live | known.busy
    if resource.kind is Kind.ALARM:
        name = name.rpartition("-")[0]
    return "" if name in needed else f"no release is live as {name}"


def _of_release(resource: Resource, known: Known) -> str:
    release = resource.tags.get(RELEASE, "")
    name = resource.name.removesuffix(f"-{release}")
    if release in known.releases or name in known.busy:
        return ""
    return f"release {release or 'unknown'} is not live and not to go back to"


def _of_version(resource: Resource, known: Known) -> str:
    function = resource.name.partition(":")[0]
    if function in known.busy or known.versions.get(function) == resource.version:
        return ""
    return f"the live alias of {function} points elsewhere"


def _of_run(resource: Resource, known: Known) -> str:
    run = resource.tags.get(RUN, "")
    if run in known.runs:
        return ""
    return f"run {run} is over" if run else "it belongs to no run"


def _unattached(resource: Resource, known: Known) -> str:
    del known
    return f"no instance uses it{_app(resource)}"


def _app(resource: Resource) -> str:
    return f" ({resource.tags[APP]})" if APP in resource.tags else ""


def _never_needed(resource: Resource, known: Known) -> str:
    del resource, known
    return "no command of pedigree needs one"


def _unfinished(resource: Resource, known: Known) -> str:
    del resource, known
    return "nobody went on with it for a day"


def _archive(resource: Resource, known: Known) -> str:
    release = resource.tags.get(RELEASE, "")
    return "" if release in known.on_record else f"release {release} is not on record"


_RULES: Mapping[Kind, Callable[[Resource, Known], str]] = {
    Kind.PROVISIONED: _of_version,
    Kind.FUNCTION: _of_application,
    Kind.ENDPOINT: _of_application,
    Kind.ALARM: _of_application,
    Kind.CONFIG: _of_release,
    Kind.MODEL: _of_release,
    Kind.JOB: _of_run,
    Kind.INSTANCE: _of_run,
    Kind.VOLUME: _unattached,
    Kind.NOTEBOOK: _never_needed,
    Kind.UPLOAD: _unfinished,
    Kind.ARCHIVE: _archive,
}
