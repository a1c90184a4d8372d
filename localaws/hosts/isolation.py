"""How a process gets its own view: the command that makes it, and what this machine allows."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Isolation = Literal["namespaces", "paths"]

BARE_PYTHON = (sys.executable, "-I", "-S")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SANDBOX = Path(__file__).with_name("sandbox.py")
_PROBE = 'test -f /opt/ml/probe && test "$(uname -n)" = probe && grep -q probe.local /etc/hosts'


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A program and the view that it asks for.

    mounts: absolute path inside -> real folder; hosts: name -> address; scratch: a folder of the
    process's own, for what the view needs on disk; tree: where what it writes anywhere else is kept, if
    it is to have a file tree of its own.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    scratch: Path
    mounts: Mapping[str, Path]
    hostname: str | None = None
    hosts: Mapping[str, str]
    join: Sequence[int] = ()
    tree: Path | None = None


def in_namespaces(launch: Launch) -> Launch:
    """The launch that builds the view by mounts and then becomes the program (Linux)."""
    hosts_file = None
    if launch.hosts and Path("/etc/hosts").is_file():
        hosts_file = launch.scratch / "hosts"
        known = {"localhost": "127.0.0.1", **launch.hosts}
        hosts_file.write_text("".join(f"{address} {name}\n" for name, address in known.items()))
    if not (launch.mounts or hosts_file or launch.hostname or launch.join or launch.tree):
        return replace(launch, argv=_by_shell(launch.argv))
    (launch.scratch / "view").mkdir(exist_ok=True)
    view = {
        "mounts": {inside: str(outside) for inside, outside in launch.mounts.items()},
        "hostname": launch.hostname,
        "hosts_file": None if hosts_file is None else str(hosts_file),
        "cwd": str(launch.cwd),
        "scratch": str(launch.scratch / "view"),
        "join": list(launch.join),
        "tree": None if launch.tree is None else str(launch.tree),
    }
    argv = [*BARE_PYTHON, str(_SANDBOX), json.dumps(view), *launch.argv]
    return replace(launch, argv=argv, cwd=Path("/"))


def by_paths(launch: Launch) -> Launch:
    """The launch with every mount path in arguments and environment rewritten to its folder."""

    def real(text: str) -> str:
        for inside in sorted(launch.mounts, key=len, reverse=True):
            parts = re.split(rf"(?<![\w-]){re.escape(inside)}(?![\w-])", text)
            text = str(launch.mounts[inside]).join(parts)
        return text

    env = {name: real(value) for name, value in launch.env.items()}
    if "/opt/ml" in launch.mounts:
        env.setdefault("SAGEMAKER_BASE_DIR", str(launch.mounts["/opt/ml"]))
    if launch.hosts:
        env.setdefault("MASTER_ADDR", "127.0.0.1")
    argv = _by_shell([real(word) for word in launch.argv])
    return replace(launch, argv=argv, env=env, cwd=Path(real(str(launch.cwd))))


def probe(scratch: Path) -> tuple[Isolation, str]:
    """What this machine allows, found by trying, and why; LOCALAWS_ISOLATION=paths is obeyed."""
    if os.environ.get("LOCALAWS_ISOLATION") == "paths":
        return "paths", "LOCALAWS_ISOLATION=paths"
    if not sys.platform.startswith("linux"):
        return "paths", f"{sys.platform} has no mount namespaces"
    scratch.mkdir(parents=True)
    (scratch / "probe").touch()
    launch = in_namespaces(
        Launch(
            argv=["/bin/sh", "-c", _PROBE],
            env={"PATH": SYSTEM_PATH},
            cwd=Path("/"),
            scratch=scratch,
            mounts={"/opt/ml": scratch},
            hostname="probe",
            hosts={"probe.local": "127.0.0.1"},
        )
    )
    tried = subprocess.run(
        launch.argv, env=launch.env, capture_output=True, text=True, check=False, timeout=30
    )
    shutil.rmtree(scratch, ignore_errors=True)
    if tried.returncode == 0:
        return "namespaces", "mount and host name namespaces work here"
    said = tried.stderr.strip().splitlines() or [f"exit status {tried.returncode}"]
    return "paths", f"namespaces were refused: {said[-1]}"


def _by_shell(argv: Sequence[str]) -> list[str]:
    """A program that does not exist then ends with 127 and a line on stderr, as in a container."""
    return ["/bin/sh", "-c", 'exec "$@"', "sh", *argv]
