"""The metadata service: sessions, what it tells, and what user data and its commands mean."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import Request, Response
from werkzeug.test import EnvironBuilder

from localaws.account.roles import RoleCredentials
from localaws.ec2.console import SHOWN_BYTES, Console
from localaws.ec2.imds import TOKEN_HEADER, TTL_HEADER, Imds, Metadata
from localaws.ec2.launches import refuse_launch
from localaws.ec2.query import numbered, with_states
from localaws.ec2.user_data import (
    ShutdownRequest,
    interpreter_of,
    parse_shutdown,
    script_of,
)
from localaws.wire.protocol import AwsError

VALUES = {
    "meta-data/instance-id": "i-1",
    "meta-data/placement/region": "us-east-1",
    "user-data": "#!/bin/sh",
}


class Time:
    """A hand on the clock."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Keys:
    """Issues credentials that last an hour, and counts them."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.issued = 0

    def __call__(self) -> RoleCredentials:
        self.issued += 1
        return RoleCredentials(
            access_key_id=f"ASIA{self.issued}",
            secret_access_key="s",
            session_token="t",
            expires_at=self.time.now + 3600,
        )


def imds(
    *,
    required: bool = True,
    enabled: bool = True,
    time: Time | None = None,
    assume: Callable[[], RoleCredentials | None] = lambda: None,
) -> Imds:
    metadata = Metadata(
        values=VALUES, tokens_required=required, enabled=enabled, role_name="r", assume=assume
    )
    return Imds(lambda wanted: metadata if wanted == "i-1" else None, time or Time())


def ask(service: Imds, path: str, method: str = "GET", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    builder = EnvironBuilder(path=f"/_imds/i-1/{path}", method=method, headers=list(named.items()))
    return service.respond(Request(builder.get_environ()), f"i-1/{path}")


def session(service: Imds, ttl_s: str = "60") -> dict[str, str]:
    answer = ask(service, "latest/api/token", "PUT", **{TTL_HEADER: ttl_s})
    assert answer.status_code == 200 and answer.headers[TTL_HEADER] == ttl_s
    return {TOKEN_HEADER: answer.get_data(as_text=True)}


def test_a_token_opens_what_is_closed_without_it() -> None:
    service = imds()
    path = "latest/meta-data/instance-id"
    assert ask(service, path).status_code == 401
    assert ask(service, path, **{TOKEN_HEADER: "wrong"}).status_code == 401
    assert ask(service, path, **session(service)).get_data() == b"i-1"
    assert ask(imds(required=False), path).get_data() == b"i-1"
    assert ask(imds(required=False), path, **{TOKEN_HEADER: "wrong"}).status_code == 401


def test_a_token_ends_when_its_time_is_over() -> None:
    time = Time()
    service = imds(time=time)
    token = session(service, "30")
    time.now += 29
    assert ask(service, "latest/user-data", **token).status_code == 200
    time.now += 2
    assert ask(service, "latest/user-data", **token).status_code == 401


@pytest.mark.parametrize("ttl", ["0", "21601", "-1", "soon", ""])
def test_the_life_of_a_token_has_limits(ttl: str) -> None:
    assert ask(imds(), "latest/api/token", "PUT", **{TTL_HEADER: ttl}).status_code == 400


def test_what_is_refused() -> None:
    service = imds()
    assert ask(service, "latest/api/token").status_code == 405
    assert ask(service, "latest/meta-data/", "POST").status_code == 405
    proxied = {TTL_HEADER: "60", "X-Forwarded-For": "10.0.0.1"}
    assert ask(service, "latest/api/token", "PUT", **proxied).status_code == 403
    assert ask(imds(enabled=False), "latest/meta-data/").status_code == 403
    other = Request(EnvironBuilder(path="/").get_environ())
    assert service.respond(other, "i-2/latest/meta-data/").status_code == 404


def test_folders_are_listed() -> None:
    service = imds()
    token = session(service)
    assert ask(service, "latest/meta-data/", **token).get_data() == b"iam/\ninstance-id\nplacement/"
    folder = ask(service, "latest/meta-data/iam/security-credentials/", **token)
    assert folder.get_data() == b"r"
    assert ask(service, "latest/meta-data/spot/instance-action", **token).status_code == 404


def test_credentials_are_kept_until_they_near_their_end() -> None:
    time = Time()
    keys = Keys(time)
    service = imds(time=time, assume=keys, required=False)
    path = "latest/meta-data/iam/security-credentials/r"
    first = json.loads(ask(service, path).get_data())
    assert (first["Code"], first["AccessKeyId"]) == ("Success", "ASIA1")
    time.now += 2000
    assert json.loads(ask(service, path).get_data())["AccessKeyId"] == "ASIA1"
    time.now += 1001
    assert json.loads(ask(service, path).get_data())["AccessKeyId"] == "ASIA2"
    refused = json.loads(ask(imds(required=False), path).get_data())
    assert refused["Code"] == "AssumeRoleUnauthorizedAccess"


# User data


def test_scripts_are_found() -> None:
    script = b"#!/bin/bash -ex\necho hi\n"
    assert script_of(script) == script
    assert script_of(gzip.compress(script)) == script
    assert script_of(b"#cloud-config\nruncmd: []\n") is None
    assert interpreter_of(script) == ["/bin/bash", "-ex"]
    assert interpreter_of(b"#!\necho hi") == ["/bin/sh"]


@pytest.mark.parametrize("command", ["shutdown -h now", "poweroff", "reboot", "halt -p"])
def test_this_machines_own_power_commands_are_never_named_by_path(command: str) -> None:
    for folder in ("/sbin/", "/usr/sbin/", "/bin/", "/usr/bin/"):
        script = f"#!/bin/sh\nsudo {folder}{command} && x={folder}{command.split()[0]}\n"
        rewritten = script_of(script.encode()) or b""
        assert folder.encode() not in rewritten.partition(b"\n")[2]
        assert command.encode() in rewritten
    kept = b"#!/bin/sh\n/opt/sbin/shutdown\ncat /sbin/shutdown-log\n"
    assert b"/opt/sbin/shutdown" in (script_of(kept) or b"")


@pytest.mark.parametrize(
    ("command", "request_"),
    [
        ("shutdown -h now", ShutdownRequest(kind="halt")),
        ("shutdown now", ShutdownRequest(kind="halt")),
        ("shutdown", ShutdownRequest(kind="halt", delay_s=60)),
        ("shutdown -h +90", ShutdownRequest(kind="halt", delay_s=5400)),
        ("shutdown -P 10", ShutdownRequest(kind="halt", delay_s=600)),
        ("shutdown -r now", ShutdownRequest(kind="reboot")),
        ("shutdown -h 00:30", ShutdownRequest(kind="halt", delay_s=5400)),
        ("shutdown -c", ShutdownRequest(kind="cancel")),
        ("poweroff -f", ShutdownRequest(kind="halt")),
        ("halt", ShutdownRequest(kind="halt")),
        ("reboot", ShutdownRequest(kind="reboot")),
        ("shutdown -k now", None),
        ("ls", None),
    ],
)
def test_power_commands_are_understood(command: str, request_: ShutdownRequest | None) -> None:
    at_23_00 = 23 * 3600.0
    assert parse_shutdown(command, at_23_00) == request_


@given(lines=st.lists(st.text(max_size=200), max_size=40), repeat=st.integers(1, 40))
def test_the_console_shows_the_last_64_kb(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], repeat: int
) -> None:
    path = tmp_path_factory.mktemp("console") / "console.log"
    console = Console(path)
    for line in lines * repeat:
        console.add(line)
    console.close()
    everything = path.read_bytes()
    assert console.shown() == everything[-SHOWN_BYTES:]


# The query protocol


def test_numbered_parameters_keep_their_order() -> None:
    form = {"InstanceId.10": "j", "InstanceId.2": "b", "InstanceId.1": "a", "Other.1": "x"}
    assert numbered(form, "InstanceId") == ["a", "b", "j"]


def test_states_are_written_into_an_answer() -> None:
    body = (
        b'<RunInstancesResponse xmlns="urn:x"><instancesSet><item><instanceId>i-1</instanceId>'
        b"<instanceState><code>16</code><name>running</name></instanceState></item></instancesSet>"
        b"</RunInstancesResponse>"
    )
    changed = with_states(body, {"i-1": ("pending", 0)})
    assert b"<code>0</code><name>pending</name>" in changed


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ImageId": "ami-nothing"}, "InvalidAMIID.Malformed"),
        ({"ImageId": "ami-00000000"}, "InvalidAMIID.NotFound"),
        ({"InstanceType": "p9.huge"}, "InvalidParameterValue"),
        ({"InstanceInitiatedShutdownBehavior": "explode"}, "InvalidParameterValue"),
        ({"UserData": "%%%"}, "InvalidUserData.Malformed"),
        ({"UserData": base64.b64encode(b"x" * 16_385).decode()}, "InvalidParameterValue"),
    ],
)
def test_launches_that_ec2_refuses(change: dict[str, str], code: str) -> None:
    form = {"ImageId": "ami-11111111", "InstanceType": "c6i.xlarge"} | change
    with pytest.raises(AwsError) as caught:
        refuse_launch(form, lambda image_id: image_id == "ami-11111111")
    assert caught.value.code == code


def test_a_launch_needs_an_image() -> None:
    with pytest.raises(AwsError, match="ImageId"):
        refuse_launch({"InstanceType": "c6i.xlarge"}, lambda _: True)
    refuse_launch({"LaunchTemplate.LaunchTemplateName": "t"}, lambda _: True)


def test_a_console_survives_its_machine(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    console.add("héllo")
    console.close()
    console.add("late")
    assert console.shown().decode() == "héllo\nlate\n"
    assert (tmp_path / "console.log").read_text() == "héllo\n"
