"""`pedigree doctor`: is everything here that a run needs?"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

import click

from cli.workspace import Workspace, cloud_option, json_option


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at: fine or not, what was seen, and what to do if it is not fine."""

    name: str
    fine: bool
    seen: str
    fix: str = ""


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(name="Python", fine=sys.version_info >= (3, 11), seen=version, fix="use 3.11+")


def _packages() -> Finding:
    wanted = (
        "torch",
        "torchvision",
        "mlflow",
        "boto3",
        "sagemaker",
        "streamlit",
        "openvino",
        "moto",
    )
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    seen = f"missing: {', '.join(missing)}" if missing else "all there"
    return Finding(name="packages", fine=not missing, seen=seen, fix="run `make install`")


def _disk() -> Finding:
    free_gb = shutil.disk_usage(Workspace.here().root).free / 1024**3
    fix = "free some space: a run keeps its photos and model twice"
    return Finding(name="disk", fine=free_gb > 3, seen=f"{free_gb:.1f} GB free", fix=fix)


def _isolation() -> Finding:
    import tempfile
    from pathlib import Path

    from localaws.hosts.isolation import probe

    with tempfile.TemporaryDirectory() as folder:
        kind, reason = probe(Path(folder) / "probe")
    return Finding(name="isolation of local jobs", fine=True, seen=f"{kind}: {reason}")


def _prices() -> Finding:
    from experiments.prices import latest_book

    book = latest_book()
    return Finding(name="price book", fine=True, seen=f"{book.date}, {len(book.rows)} prices")


def _tracker() -> Finding:
    tracker = Workspace.here().open_tracker()
    count = len(tracker.runs(limit=10_000))
    return Finding(name="tracker", fine=True, seen=f"{tracker.uri}, {count} runs")


def _local_cloud() -> Finding:
    from cli import local_cloud

    found = local_cloud.address(Workspace.here().cloud_state)
    seen = f"up at {found['url']}" if found else "not running (start it with `pedigree cloud up`)"
    return Finding(name="AWS on this machine", fine=True, seen=seen)


def _aws() -> Finding:
    cloud = Workspace.here().open_cloud("aws")
    return Finding(name="AWS account", fine=True, seen=cloud.account_id)


def _look(name: str, check: Callable[[], Finding]) -> Finding:
    from experiments.errors import PedigreeError

    try:
        return check()
    except PedigreeError as error:
        return Finding(name=name, fine=False, seen=error.message, fix=error.fix)


def _rooms(cloud_name: str, app: str, stage: str) -> list[Finding]:
    """Lambda's concurrency and SageMaker's quota for a release with the default settings."""
    from deployment.access.quotas import room
    from deployment.settings import ServingSettings

    cloud = Workspace.here().open_cloud(cloud_name)
    return [
        Finding(
            name=one.what,
            fine=one.is_enough,
            seen=f"{one.wanted} wanted, {'not told' if one.there is None else one.there} there",
            fix=one.fix,
        )
        for one in room(cloud, ServingSettings(app=app, stage=stage))
    ]


def _roles(cloud_name: str, app: str, stage: str) -> list[Finding]:
    """Each role against what was generated, and against what it ever used."""
    from deployment.access.review import review
    from deployment.clock import Clock
    from deployment.settings import ServingSettings

    cloud = Workspace.here().open_cloud(cloud_name)
    findings = []
    for role in review(cloud, ServingSettings(app=app, stage=stage), clock=Clock()):
        if not role.exists:
            seen = "not there yet: `pedigree init` makes it, or the first command that needs it"
        elif role.drift:
            seen = "; ".join(role.drift)
        else:
            unused = "last access not told" if role.unused is None else ", ".join(role.unused)
            seen = f"as generated; not used in 90 days: {unused or 'nothing'}"
        fix = "`pedigree init` puts it back, and the next promotion its own two"
        fine = not role.drift
        findings.append(Finding(name=f"role {role.role}", fine=fine, seen=seen, fix=fix))
    return findings


def _look_all(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    from experiments.errors import PedigreeError

    try:
        return check()
    except PedigreeError as error:
        return [Finding(name=name, fine=False, seen=error.message, fix=error.fix)]


@click.command()
@click.option("--iam", is_flag=True, help="Review the four roles: drift, and what they never used.")
@click.option("--app", default="dogs", show_default=True, help="Whose roles and room.")
@click.option("--stage", default="prod", show_default=True)
@cloud_option
@json_option
def doctor(iam: bool, app: str, stage: str, cloud_name: str, as_json: bool) -> int:
    """Look at everything a run needs and say what to do where something is missing.

    With --cloud aws also whether the account has room for a release: Lambda's concurrency and
    SageMaker's quota, before anything is spent.
    """
    from cli import show

    checks = {
        "Python": _python,
        "packages": _packages,
        "disk": _disk,
        "isolation of local jobs": _isolation,
        "price book": _prices,
        "tracker": _tracker,
        "AWS on this machine": _local_cloud,
    }
    if cloud_name == "aws":
        checks["AWS account"] = _aws
    findings = [_look(name, check) for name, check in checks.items()]
    if cloud_name == "aws":
        findings += _look_all("room in the account", lambda: _rooms(cloud_name, app, stage))
    if iam:
        findings += _look_all("roles", lambda: _roles(cloud_name, app, stage))
    if as_json:
        show.print_json(findings)
    else:
        for finding in findings:
            mark = "ok " if finding.fine else "NOT"
            show.say(f"{mark} {finding.name}: {finding.seen}")
            if not finding.fine:
                show.say(f"    fix: {finding.fix}")
    return 0 if all(finding.fine for finding in findings) else 4
