"""Make the virtual environment from the lock. Standard library only: it runs before anything is there.

Does nothing when the environment is already the one the lock describes. Exit codes: 0 done,
2 this Python is too old, 3 another install is running here, 4 pip failed, 130 interrupted.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import venv
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "installed"
BUSY = ROOT / ".venv.lock"
INPUTS = ("requirements.lock", "pyproject.toml")


def wanted() -> str:
    """What the environment must have been made from."""
    total = hashlib.sha256(sys.version.encode())
    for name in INPUTS:
        total.update((ROOT / name).read_bytes())
    return total.hexdigest()


def is_installed() -> bool:
    """True if the environment was made from just these inputs."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8") == wanted()


def take_lock() -> int | None:
    """An open, locked file; None if another install holds it. The lock goes with the process."""
    handle = os.open(BUSY, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # no such lock on Windows: installs there are not kept apart
        return handle
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def pip(*arguments: str) -> None:
    """Run the environment's pip in a process group of its own, ended on Ctrl-C."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as running:
        try:
            code = running.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGTERM)
            raise
    if code:
        sys.exit(
            "error: pip could not install the locked packages\n"
            "  fix: see its message above; it needs the package index and about 7 GB of disk"
        )


def install() -> None:
    """Make the environment and stamp it."""
    started = time.monotonic()
    print("installing the locked packages into .venv (several GB, some minutes) ...", flush=True)
    if not (VENV / "pyvenv.cfg").is_file():
        venv.create(VENV, with_pip=True)
    STAMP.unlink(missing_ok=True)
    pip("install", "--quiet", "--require-hashes", "--requirement", "requirements.lock")
    pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    STAMP.write_text(wanted(), encoding="utf-8")
    print(f"installed in {time.monotonic() - started:.0f} s", flush=True)


def main() -> int:
    """Install if needed."""
    if sys.version_info < (3, 11):  # noqa: UP036
        print(
            f"error: Python {sys.version.split()[0]} is too old\n  fix: make PYTHON=python3.11 ..."
        )
        return 2
    if is_installed():
        return 0
    lock = take_lock()
    if lock is None:
        print("error: another make is installing here\n  fix: wait for it, then run this again")
        return 3
    try:
        if not is_installed():
            install()
    except KeyboardInterrupt:
        print("\nerror: interrupted\n  fix: run the same command again; it goes on from here")
        return 130
    finally:
        os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
