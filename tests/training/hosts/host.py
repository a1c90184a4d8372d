"""One host of a cluster that works until somebody ends it: `python host.py RANK WORLD PORT KIND`.

KIND is `train` (a head, under torch) or `wait` (for nothing, without torch). Prints its worker's
pid, `working` once the hosts have met, and why it ended.
"""

import os
import sys
import time

from training.hosts.agent import leave, supervise
from training.hosts.cluster import Rendezvous
from training.hosts.lifeline import Lifeline
from training.hosts.verdict import Rank


def say(text: str) -> None:
    print(text, flush=True)


def main(argv: list[str]) -> int:
    rank, world, port = map(int, argv[:3])
    names = tuple(f"algo-{n + 1}" for n in range(world))
    meeting = Rendezvous(rank=rank, world=world, master="127.0.0.1", port=port, job="test")

    def work(lifeline: Lifeline) -> int:
        say(f"worker {os.getpid()}")
        try:
            if argv[3] == "train":
                from tables import train_forever  # type: ignore[import-not-found]

                train_forever(meeting, lifeline.port, lambda: say("working"))
            lifeline.port()
            say("working")
            time.sleep(3600)
        except RuntimeError as error:
            lifeline.tell("lost", f"lost another host ({error})")
            lifeline.await_end()
        return 0

    ending = supervise(meeting, Rank(number=rank, host=names[rank]), names, work)
    say(f"ended {ending.cause.message if ending.cause else ending.code}")
    return ending.code


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
