"""Hosts of clusters that work until somebody ends them: `python host.py`, then one line for each host
on standard input: RANK PORT FILE, for a cluster of two.

Each host is forked here, so that torch is imported once; its agent's pid is printed. FILE gets the
worker's pid, `training` once the hosts train together, and why it ended.
"""

import os
import signal
import sys
from pathlib import Path

from tables import SETTINGS, train_forever, trained  # type: ignore[import-not-found]

from training.hosts.agent import leave, supervise
from training.hosts.cluster import Cluster, Rendezvous
from training.hosts.lifeline import Lifeline
from training.hosts.verdict import Rank

NAMES = ("algo-1", "algo-2")


def run(rank: int, port: int, file: Path) -> int:
    def say(text: str) -> None:
        with file.open("a") as out:
            out.write(text + "\n")

    meeting = Rendezvous(rank=rank, world=2, master="127.0.0.1", port=port, job="test")

    def work(lifeline: Lifeline) -> int:
        say(f"worker {os.getpid()}")
        try:
            train_forever(meeting, lifeline.port, lambda: say("training"))
        except RuntimeError as error:
            lifeline.tell("lost", f"lost another host ({error})")
            lifeline.await_end()
        return 0

    ending = supervise(meeting, Rank(number=rank, host=NAMES[rank]), NAMES, work)
    say(f"ended {ending.cause.message if ending.cause else ending.code}")
    return ending.code


def main() -> None:
    trained(SETTINGS, Cluster(rank=0, world=1))  # torch imports much at its first step
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended hosts leave no zombies
    for line in sys.stdin:
        rank, port, file = line.split()
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            leave(run(int(rank), int(port), Path(file)))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
