"""A lifecycle script as it can run here: its paths, and programs that stand for the machine's own. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from localaws.ec2.user_data import shims

HOME = "/home/ec2-user"
LOCAL_BIN = "/usr/local/bin"
METADATA = "/opt/ml/metadata"
_POWER = re.compile(rb"(?<![\w./-])/(?:usr/)?s?bin/(?=(?:shutdown|poweroff|halt|reboot)\b)")


def moved(script: bytes, folders: Mapping[str, str]) -> bytes:
    """The script with each path in `folders` replaced, but for its first line's interpreter.

    Power commands lose their path, so that they never reach this machine's own.
    """
    first, newline, rest = script.partition(b"\n")
    if not first.startswith(b"#!"):
        first, newline, rest = b"#!/bin/bash", b"\n", script
    rest = _POWER.sub(b"", rest)
    for path, here in folders.items():
        pattern = rb"(?<![\w.-])" + re.escape(path.encode()) + rb"(?![\w.-])"
        rest = here.encode().join(re.split(pattern, rest))
    return first + newline + rest


def notebook_shims(speed: float) -> dict[str, str]:
    """Programs that come first on the PATH of a lifecycle script: name -> text.

    `systemd-run` really keeps its timers, whose times pass `speed` times as fast.
    """
    found = {name: text for name, text in shims("/dev/null").items() if name != "init"}
    for name in ("shutdown", "poweroff", "halt", "reboot"):
        found[name] = _refusal(name, "stop the instance with StopNotebookInstance")
    found["crontab"] = _refusal("crontab", "use systemd-run --on-active --on-unit-active")
    found["systemctl"] = _refusal("systemctl", "a notebook instance here has no services")
    found["systemd-run"] = _SYSTEMD_RUN.replace("SPEED", f"{speed:g}")
    found["sudo"] = _SUDO
    found["chown"] = _CHOWN
    return found


def _refusal(name: str, instead: str) -> str:
    return f'#!/bin/sh\necho "localaws: {name} is not run here: {instead}" >&2\nexit 1\n'


_CHOWN = """\
#!/bin/sh
# Everything here belongs to the user who started localaws, who stands for ec2-user.
case "$*" in *ec2-user*) exit 0 ;; esac
exec /bin/chown "$@"
"""

_SUDO = """\
#!/bin/sh
# There is one user here. Without a command, sudo -i and -s run a shell.
while [ $# -gt 0 ]; do
  case "$1" in
    -u|-g|-h|-p|-C|-D|-R|-T|-U) shift 2 ;;
    --) shift; break ;;
    -*) shift ;;
    *=*) export "$1"; shift ;;
    *) break ;;
  esac
done
[ $# -eq 0 ] && exec /bin/bash
exec "$@"
"""

_SYSTEMD_RUN = """\
#!/bin/sh
# Runs a command later and again, as --on-active and --on-unit-active say; else at once.
seconds() {
  case "$1" in
    *min) n=${1%min} u=60 ;; *ms) n=${1%ms} u=0.001 ;; *h) n=${1%h} u=3600 ;;
    *m) n=${1%m} u=60 ;; *s) n=${1%s} u=1 ;; *) n=$1 u=1 ;;
  esac
  awk "BEGIN { print $n * $u / SPEED }"
}
first=0 every=
while [ $# -gt 0 ]; do
  case "$1" in
    --on-active=*) first=$(seconds "${1#*=}") ; shift ;;
    --on-unit-active=*) every=$(seconds "${1#*=}") ; shift ;;
    -u|-p|-E|--unit|--property|--setenv|--description|--uid|--gid) shift 2 ;;
    --) shift; break ;;
    -*) shift ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || { echo "localaws: systemd-run needs a command" >&2; exit 1; }
(
  sleep "$first"
  "$@"
  while [ -n "$every" ]; do sleep "$every"; "$@"; done
) &
"""
