"""What an instance runs at its first boot, and what its commands to shut down mean. All pure."""

from __future__ import annotations

import gzip
import io
import re
from dataclasses import dataclass
from typing import Literal

USER_DATA_MAX_BYTES = 16_384
_UNPACKED_MAX_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_POWER_COMMANDS = ("shutdown", "poweroff", "halt", "reboot")
_ABSOLUTE = re.compile(rb"(?<![\w./-])/(?:usr/)?s?bin/(?=(?:shutdown|poweroff|halt|reboot)\b)")

ShutdownKind = Literal["halt", "reboot", "cancel"]


@dataclass(frozen=True, kw_only=True)
class ShutdownRequest:
    """What a command inside the instance asks for, `delay_s` from now."""

    kind: ShutdownKind
    delay_s: float = 0.0


def script_of(user_data: bytes) -> bytes | None:
    """The script to run, or None when there is nothing that we run (cloud-config, MIME).

    Commands that name /sbin/shutdown and its like by path are made to name them without, so that
    they find the instance's own and never this machine's.
    """
    if user_data.startswith(_GZIP_MAGIC):
        with gzip.open(io.BytesIO(user_data)) as file:
            user_data = file.read(_UNPACKED_MAX_BYTES)
    if not user_data.startswith(b"#!"):
        return None
    return _ABSOLUTE.sub(b"", user_data)


def interpreter_of(script: bytes) -> list[str]:
    """The words of the `#!` line; a shell when it names none."""
    first = script.split(b"\n", 1)[0][2:].decode("utf-8", "replace").strip()
    return first.split(maxsplit=1) or ["/bin/sh"]


def parse_shutdown(command: str, seconds_of_day: float) -> ShutdownRequest | None:
    """Read `shutdown -h now`, `shutdown -h +90`, `shutdown -r 23:30`, `poweroff`, `reboot`...

    None when it asks for nothing (a warning with -k, no known command). `seconds_of_day` is the
    present time of day, for a time given as hh:mm.
    """
    name, *arguments = command.split()
    if name not in _POWER_COMMANDS:
        return None
    flags = "".join(word[1:] for word in arguments if re.fullmatch(r"-[a-zA-Z]+", word))
    if name != "shutdown":
        wants_reboot = name == "reboot" and "p" not in flags
        return ShutdownRequest(kind="reboot" if wants_reboot else "halt")
    if "c" in flags:
        return ShutdownRequest(kind="cancel")
    if "k" in flags:
        return None
    wants_reboot = "r" in flags or "--reboot" in arguments
    delay_s = _delay(next((w for w in arguments if not w.startswith("-")), "+1"), seconds_of_day)
    return ShutdownRequest(kind="reboot" if wants_reboot else "halt", delay_s=delay_s)


def _delay(when: str, seconds_of_day: float) -> float:
    if when == "now":
        return 0.0
    minutes = re.fullmatch(r"\+?(\d+)m?", when)
    if minutes:
        return int(minutes[1]) * 60.0
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", when)
    if clock:
        return (int(clock[1]) * 3600 + int(clock[2]) * 60 - seconds_of_day) % 86_400
    return 60.0


def shims(fifo: str) -> dict[str, str]:
    """Programs that stand before this machine's own on the instance's PATH: name -> text.

    The power commands write one line to `fifo`. What would change this machine itself (its
    services, its installed packages) is refused.
    """
    tell = f'printf "%s\\n" "$line" > "{fifo}"\n'
    found = {name: f'#!/bin/sh\nline="{name} $*"\n{tell}' for name in _POWER_COMMANDS}
    found["systemctl"] = (
        '#!/bin/sh\ncase "$1" in\n'
        f'  poweroff|halt|reboot) line="$1"; {tell.strip()} ;;\n'
        '  *) echo "localaws: an instance here has no services: systemctl $*" >&2; exit 1 ;;\n'
        "esac\n"
    )
    found["init"] = (
        '#!/bin/sh\ncase "$1" in 0) line=poweroff ;; 6) line=reboot ;; *) exit 1 ;; esac\n' + tell
    )
    found["sudo"] = _SUDO
    for name in ("apt", "apt-get", "dnf", "yum", "snap", "service"):
        found[name] = (
            f'#!/bin/sh\necho "localaws: {name} would change this machine itself; install what '
            'the script needs beforehand" >&2\nexit 1\n'
        )
    return found


_SUDO = """\
#!/bin/sh
# Everything in an instance here is root already (of its own folder).
while [ $# -gt 0 ]; do
  case "$1" in
    -u|-g|-h|-p|-C|-D|-R|-T|-U) shift 2 ;;
    --) shift; break ;;
    -*) shift ;;
    *=*) export "$1"; shift ;;
    *) break ;;
  esac
done
[ $# -eq 0 ] || exec "$@"
"""
