"""The load test itself: questions go out when they are due, whatever becomes of the ones before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deployment.invoke import Answer
from deployment.load.plan import Load
from deployment.load.tally import Outcome, Second, Shot, Summary, outcome, second_of, summary
from experiments.errors import PedigreeError

MOST_AT_ONCE = 256
_PATIENCE_S = 60
_FULL = f"{MOST_AT_ONCE} questions were under way already"

Ask = Callable[[int], Answer]
"""Ask the question of this number. Raises PedigreeError."""


@dataclass(frozen=True, kw_only=True)
class Timer:
    """Time as the driver needs it: seconds of a steady clock, and a sleep."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


class Drive:
    """One load test. `count_instances` is asked about once a second, beside the questions."""

    def __init__(
        self, load: Load, ask: Ask, count_instances: Callable[[], int | None], timer: Timer
    ) -> None:
        self._load, self._ask, self._timer = load, ask, timer
        self._count_instances = count_instances
        self._instances: int | None = None
        self._sent_s: list[float] = []
        self._shots: list[Shot] = []
        self._lock = threading.Lock()
        self._started_s = 0.0

    def run(self, each_second: Callable[[Second], None]) -> Summary:
        """Ask, tell of each second as it ends, and sum up. Ctrl-C ends it with the sum so far."""
        self._started_s = self._timer.monotonic()
        ended = True
        with ThreadPoolExecutor(MOST_AT_ONCE + 1) as pool:
            try:
                self._pace(pool, each_second)
            except KeyboardInterrupt:
                ended = False
                pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            return summary(len(self._sent_s), self._shots, seconds=self._now_s(), ended=ended)

    def _pace(self, pool: ThreadPoolExecutor, each_second: Callable[[Second], None]) -> None:
        number, second = 0, 0
        pool.submit(self._look)
        while second < self._load.seconds or (
            self._under_way() and second < self._load.seconds + _PATIENCE_S
        ):
            due = number / self._load.rate_per_s
            is_question = number < self._load.requests and due < second + 1
            self._wait_until(due if is_question else second + 1)
            if is_question:
                self._send(pool, number, due)
                number += 1
            else:
                each_second(self._second(second))
                pool.submit(self._look)
                second += 1

    def _wait_until(self, at_s: float) -> None:
        left = at_s - self._now_s()
        if left > 0:
            self._timer.sleep(left)

    def _send(self, pool: ThreadPoolExecutor, number: int, due_s: float) -> None:
        with self._lock:
            self._sent_s.append(due_s)
            full = len(self._sent_s) - len(self._shots) > MOST_AT_ONCE
        if full:
            self._note(
                Shot(due_s=due_s, ended_s=self._now_s(), outcome=Outcome.FAILED, fault=_FULL)
            )
        else:
            pool.submit(self._shoot, number, due_s)

    def _shoot(self, number: int, due_s: float) -> None:
        try:
            answer = self._ask(number)
            what, usd = outcome(answer), answer.cost.total_usd
            fault = answer.error or f"status {answer.status}"
        except PedigreeError as error:
            what, usd, fault = outcome(error), None, error.message
        self._note(Shot(due_s=due_s, ended_s=self._now_s(), outcome=what, usd=usd, fault=fault))

    def _note(self, shot: Shot) -> None:
        with self._lock:
            self._shots.append(shot)

    def _under_way(self) -> bool:
        with self._lock:
            return len(self._shots) < len(self._sent_s)

    def _second(self, number: int) -> Second:
        with self._lock:
            return second_of(number, self._sent_s, self._shots, self._instances)

    def _look(self) -> None:
        try:
            self._instances = self._count_instances()
        except PedigreeError:
            self._instances = None

    def _now_s(self) -> float:
        return self._timer.monotonic() - self._started_s
