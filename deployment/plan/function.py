"""The steps that bring the function, its versions, numbers and alias to what a release wants. Pure.

Warm environments belong to versions, not to the alias. Then each version's number is explicit, so
that AWS's rule (all of a function's provisioned concurrency fits its reserved one) is plain sums; a
new version is warm and tried before the alias moves, and moving the alias, also back, is one atomic
call. An alias of its own provisioned concurrency loses the old environments when it moves, and may
not be weighted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployment.plan.endpoint import agrees
from deployment.plan.steps import Phase, Step, Wait
from deployment.settings import ALIAS
from deployment.state.desired import ARCHITECTURE, Wanted
from deployment.state.seen import Observed, VersionSeen
from experiments.errors import ReleaseError
from experiments.foundation import OWNER_TAG
from experiments.records import Call

VERSION = "version"
ADDRESS = "address"
_SETTLED = {"State": ("Active", "Inactive"), "LastUpdateStatus": ("Successful",)}
_SETTLING = {"State": ("Pending",), "LastUpdateStatus": ("InProgress",)}


def target_version(wanted: Wanted, seen: Observed) -> tuple[str, bool]:
    """The version the alias shall point to, and whether it is published already.

    The newest version with the wanted code and configuration; else the number that Lambda is
    expected to give next.
    """
    for version in reversed(seen.versions):
        if version.state != "Failed" and _is_wanted(version, wanted):
            return version.version, True
    newest = max((int(version.version) for version in seen.versions), default=0)
    return str(newest + 1), False


def _is_wanted(version: VersionSeen, wanted: Wanted) -> bool:
    return version.code_sha256 == wanted.code_sha256 and _same_config(version, wanted)


def _same_config(version: VersionSeen, wanted: Wanted) -> bool:
    config = {key: value for key, value in wanted.function.items() if key != "FunctionName"}
    return agrees(config, version.config, tuple(config))


def function_steps(wanted: Wanted, seen: Observed) -> list[Step]:
    """Create or change the function and publish it, if no published version is what is wanted."""
    expected, published = target_version(wanted, seen)
    if published:
        return []
    name = wanted.settings.name
    if seen.function is None:
        steps = [_create(wanted)]
    elif seen.function.state == "Failed":
        raise ReleaseError(
            f"function {name} is in state Failed",
            fix="see why with `aws lambda get-function`; delete it, then run this again",
        )
    else:
        steps = _changes(wanted, seen.function)
    params = {"FunctionName": name, "CodeSha256": wanted.code_sha256}
    publish = _lambda(
        "publish_version",
        params,
        "no published version has this code and these settings",
        wait=_settled(name, expected),
        keep={"Version": VERSION},
        fill={"Qualifier": VERSION},
    )
    return [*steps, publish]


def _create(wanted: Wanted) -> Step:
    params = {
        **wanted.function,
        "Code": _code(wanted),
        "Architectures": [ARCHITECTURE],
        "Description": "asks the model behind the endpoint of the same name",
        "Tags": {OWNER_TAG["Key"]: OWNER_TAG["Value"], "pedigree:app": wanted.settings.app},
    }
    name = wanted.settings.name
    return _lambda("create_function", params, f"no function {name} yet", wait=_settled(name))


def _code(wanted: Wanted) -> dict[str, str]:
    return {"S3Bucket": wanted.foundation.bucket, "S3Key": wanted.release.function.key}


def _changes(wanted: Wanted, latest: VersionSeen) -> list[Step]:
    name = wanted.settings.name
    steps = []
    if latest.settling:
        steps.append(Step(phase=Phase.PREPARE, wait=_settled(name)))
    if not _same_config(latest, wanted):
        why = "the function's settings differ"
        steps.append(
            _lambda("update_function_configuration", wanted.function, why, wait=_settled(name))
        )
    if latest.code_sha256 != wanted.code_sha256:
        params = {"FunctionName": name, **_code(wanted)}
        steps.append(
            _lambda("update_function_code", params, "the handler differs", wait=_settled(name))
        )
    return steps


def _settled(name: str, version: str = "") -> Wait:
    params = {"FunctionName": name, **({"Qualifier": version} if version else {})}
    call = Call(
        service="lambda",
        operation="get_function_configuration",
        params=params,
        why=f"version {version} is ready" if version else "the function is ready",
    )
    return Wait(call=call, until=_SETTLED, moving=_SETTLING, reason="StateReason", limit_s=300)


def concurrency_steps(wanted: Wanted, seen: Observed) -> list[Step]:
    """Reserve, then warm the wanted version within what is reserved, then let the others go.

    Versions that the alias does not point to give way first. The one it points to gives only what
    the new one cannot do without (of 5 reserved and 3 provisioned: 3 to 2), and the rest at the end.
    """
    settings = wanted.settings
    version, published = target_version(wanted, seen)
    now = {entry.qualifier: entry.requested for entry in seen.provisioned}
    reserve = _reserve(wanted, seen)
    first = settings.reserved_concurrency >= sum(now.values())
    limit = settings.reserved_concurrency if first else (seen.reserved or sum(now.values()))
    steps = list(reserve) if first else []
    others = {name: number for name, number in now.items() if name != version}
    early, left = _make_room(wanted, seen, others, limit - settings.provisioned_concurrency)
    steps += early
    if settings.provisioned_concurrency:
        steps += _warm(wanted, seen, version, published)
    elif version in now:
        left = {**left, version: now[version]}
    steps += [_cool(wanted, name, Phase.CLEAN) for name in sorted(left)]
    return steps if first else [*steps, *reserve]


def _reserve(wanted: Wanted, seen: Observed) -> list[Step]:
    number = wanted.settings.reserved_concurrency
    if seen.reserved == number:
        return []
    params = {"FunctionName": wanted.settings.name, "ReservedConcurrentExecutions": number}
    why = f"at most {number} calls at once, taken out of the account's pool; costs nothing"
    # A number below what is provisioned now can only be set when that has been let go.
    warm = sum(entry.requested for entry in seen.provisioned)
    phase = Phase.PREPARE if number >= warm else Phase.CLEAN
    return [_lambda("put_function_concurrency", params, why, phase=phase)]


def _make_room(
    wanted: Wanted, seen: Observed, others: Mapping[str, int], room: int
) -> tuple[list[Step], dict[str, int]]:
    """The steps that leave the other versions at most `room`, and what they keep until the end."""
    steps = []
    left = dict(others)
    live = seen.alias.version if seen.alias else ""
    for name in sorted(others):
        on_alias = not name.isdigit()
        if on_alias or (name != live and sum(left.values()) > room):
            steps.append(_cool(wanted, name, Phase.PREPARE))
            del left[name]
    if live in left and sum(left.values()) > room:
        if room > 0:
            why = f"version {live} makes room for the new one"
            steps.append(_provision(wanted, live, room, why))
            left[live] = room
        else:
            steps.append(_cool(wanted, live, Phase.PREPARE))
            del left[live]
    return steps, left


def _warm(wanted: Wanted, seen: Observed, version: str, published: bool) -> list[Step]:
    number = wanted.settings.provisioned_concurrency
    entry = next((e for e in seen.provisioned if e.qualifier == version), None)
    if entry is not None and entry.requested == number:
        if entry.status == "READY":
            return []
        if entry.status == "IN_PROGRESS":
            return [Step(phase=Phase.PREPARE, wait=_ready(wanted, version))]
    why = f"{number} environments of version {version} are kept warm"
    return [_provision(wanted, version, number, why, fill=not published)]


def _provision(wanted: Wanted, version: str, number: int, why: str, *, fill: bool = False) -> Step:
    params = {
        "FunctionName": wanted.settings.name,
        "Qualifier": version,
        "ProvisionedConcurrentExecutions": number,
    }
    return _lambda(
        "put_provisioned_concurrency_config",
        params,
        why,
        wait=_ready(wanted, version),
        fill={"Qualifier": VERSION} if fill else {},
    )


def _ready(wanted: Wanted, version: str) -> Wait:
    call = Call(
        service="lambda",
        operation="get_provisioned_concurrency_config",
        params={"FunctionName": wanted.settings.name, "Qualifier": version},
        why=f"the environments of version {version} are warm",
    )
    return Wait(
        call=call,
        until={"Status": ("READY",)},
        moving={"Status": ("IN_PROGRESS",)},
        reason="StatusReason",
        limit_s=600,
    )


def _cool(wanted: Wanted, qualifier: str, phase: Phase) -> Step:
    params = {"FunctionName": wanted.settings.name, "Qualifier": qualifier}
    why = f"no environments of {qualifier} need be kept warm any more"
    return _lambda("delete_provisioned_concurrency_config", params, why, phase=phase)


def alias_steps(wanted: Wanted, seen: Observed) -> list[Step]:
    """Point the alias to the wanted version, if nobody has moved it since it was looked at."""
    version, published = target_version(wanted, seen)
    alias = seen.alias
    params: dict[str, Any] = {
        "FunctionName": wanted.settings.name,
        "Name": ALIAS,
        "FunctionVersion": version,
    }
    fill = {} if published else {"FunctionVersion": VERSION}
    if alias is None:
        why = f"no alias {ALIAS} yet"
        return [_lambda("create_alias", params, why, phase=Phase.FRONT, fill=fill)]
    if alias.version == version and not alias.weighted:
        return []
    params["RevisionId"] = alias.revision_id
    if alias.weighted:
        params["RoutingConfig"] = {"AdditionalVersionWeights": {}}
    why = f"the alias points to version {alias.version}"
    return [_lambda("update_alias", params, why, phase=Phase.FRONT, fill=fill)]


def url_steps(wanted: Wanted, seen: Observed) -> list[Step]:
    """Give the alias its address, or close one that stands to all but signed requests."""
    if wanted.function_url is None:
        return []
    keep = {"FunctionUrl": ADDRESS}
    if seen.function_url is None:
        why = f"the alias {ALIAS} has no address yet; only signed requests will reach it (AWS_IAM)"
        params = {key: value for key, value in wanted.function_url.items() if value != {}}
        operation = "create_function_url_config"
    elif differences := _url_differences(wanted.function_url, seen.function_url):
        why = f"the address of the alias {ALIAS} has another {' and '.join(differences)}"
        params, operation = wanted.function_url, "update_function_url_config"
    else:
        return []
    return [_lambda(operation, params, why, phase=Phase.FRONT, keep=keep)]


def _url_differences(wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """The members that are not as wanted; CORS in any order, and no matter what AWS adds to none."""
    found = [name for name in ("AuthType", "InvokeMode") if seen.get(name) != wanted[name]]
    lists = ("AllowOrigins", "AllowMethods", "AllowHeaders")
    cors = seen.get("Cors") or {}
    if any(set(cors.get(name) or ()) != set(wanted["Cors"].get(name, ())) for name in lists):
        found.append("Cors")
    return found


def _lambda(
    operation: str,
    params: Mapping[str, Any],
    why: str,
    *,
    phase: Phase = Phase.PREPARE,
    wait: Wait | None = None,
    keep: Mapping[str, str] | None = None,
    fill: Mapping[str, str] | None = None,
) -> Step:
    call = Call(service="lambda", operation=operation, params=params, why=why)
    return Step(phase=phase, call=call, wait=wait, keep=keep or {}, fill=fill or {})
