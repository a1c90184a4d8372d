"""Runs on a notebook instance every five minutes: stops it once nobody has used it for a while.

Standard library only; `boto3` is on the instance. Asks the Jupyter server on this machine.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
import urllib.request
from datetime import datetime, timezone
from typing import Any

JUPYTER = "https://127.0.0.1:8443/api"
METADATA = "/opt/ml/metadata/resource-metadata.json"


def moment(text: str) -> float:
    """Epoch seconds of a time as Jupyter writes it."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found.replace(tzinfo=found.tzinfo or timezone.utc).timestamp()  # noqa: UP017


def last_used(
    sessions: list[dict[str, Any]], terminals: list[dict[str, Any]], *, up_since: float, now: float
) -> float:
    """When somebody last used the instance, in epoch seconds: `now` while a kernel is busy."""
    kernels = [session["kernel"] for session in sessions if session.get("kernel")]
    if any(kernel.get("execution_state") == "busy" for kernel in kernels):
        return now
    times = [
        moment(item["last_activity"]) for item in [*kernels, *terminals] if "last_activity" in item
    ]
    return max([up_since, *times])


def ask(what: str) -> list[dict[str, Any]]:
    """Jupyter's own list. Its certificate is its own, and it is on this machine."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(f"{JUPYTER}/{what}", timeout=20, context=trusting) as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer)
    return found


def up_since(now: float) -> float:
    """When this machine was started, in epoch seconds."""
    with open("/proc/uptime", encoding="ascii") as file:  # noqa: PTH123
        return now - float(file.read().split()[0])


def stop() -> None:
    """Ask SageMaker to stop this instance; what is on its disk stays."""
    import subprocess

    with open(METADATA, encoding="utf-8") as file:  # noqa: PTH123
        known = json.load(file)
    region = known["ResourceArn"].split(":")[3]
    command = ["aws", "sagemaker", "stop-notebook-instance", "--region", region]
    subprocess.run([*command, "--notebook-instance-name", known["ResourceName"]], check=True)


def main() -> None:
    """`idle_stop.py SECONDS`: stop when unused for so long; a Jupyter that gives no answer is unused."""
    limit_s, now = float(sys.argv[1]), time.time()
    try:
        sessions, terminals = ask("sessions"), ask("terminals")
    except OSError as error:
        print(f"jupyter cannot be asked: {error}")
        sessions, terminals = [], []
    idle_s = now - last_used(sessions, terminals, up_since=up_since(now), now=now)
    print(f"idle for {idle_s:.0f} s of {limit_s:.0f} s")
    if idle_s >= limit_s:
        stop()


if __name__ == "__main__":
    main()
