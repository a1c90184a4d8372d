"""On-demand environments: reused while warm, limited in number, ended when idle."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from localaws.clock import Timer
from localaws.functions.config import Config, identity
from localaws.functions.environment import Environment

IDLE_S = 600.0
_SWEEP_S = 10.0

Launch = Callable[[Config, str], Environment]


@dataclass(frozen=True, kw_only=True)
class Lease:
    """An environment in use until `give_back` is called, once."""

    environment: Environment
    cold: bool
    give_back: Callable[[], None]


def environment_key(config: Config) -> str:
    """Environments with equal keys are interchangeable."""
    return f"{config['FunctionArn']}|{config['Version']}|{identity(config)}"


def pop_usable(environments: list[Environment]) -> Environment | None:
    """Take the most recent environment that still works; those that do not are closed."""
    while environments:
        environment = environments.pop()
        if environment.usable:
            return environment
        environment.close()
    return None


class OnDemandPool:
    """Environments that are started when an event finds none that is free.

    `launch(config, initialization)` starts one. `idle_s` is on `clock`.
    """

    def __init__(self, launch: Launch, clock: Timer, idle_s: float = IDLE_S) -> None:
        self._launch = launch
        self._clock = clock
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._idle: dict[str, list[Environment]] = defaultdict(list)
        self._busy: list[Environment] = []
        self._stop = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="lambda-idle", daemon=True)
        self._sweeper.start()

    def take(self, config: Config, key: str, bucket: str, most: int) -> Lease | None:
        """An environment of the configuration, whose `environment_key` is `key`.

        None when `most` invocations of this bucket are under way.
        """
        with self._lock:
            if self._running[bucket] >= most:
                return None
            self._running[bucket] += 1
            environment = pop_usable(self._idle[key])
        cold = environment is None
        try:
            if environment is None:
                environment = self._launch(config, "on-demand")
        except BaseException:
            with self._lock:
                self._running[bucket] -= 1
            raise
        with self._lock:
            self._busy.append(environment)
        taken = environment
        return Lease(
            environment=taken, cold=cold, give_back=lambda: self._give_back(taken, key, bucket)
        )

    def keep(self, function_arn: str, configs: list[Config]) -> None:
        """End the function's environments that none of these configurations can use."""
        keys = {environment_key(config) for config in configs}
        with self._lock:
            stale = [k for k in self._idle if k.startswith(f"{function_arn}|") and k not in keys]
            ended = [environment for key in stale for environment in self._idle.pop(key)]
            for environment in self._busy:
                config = environment.config
                if config["FunctionArn"] == function_arn and environment_key(config) not in keys:
                    environment.retired = True
        for environment in ended:
            environment.close()

    def running(self, bucket: str) -> int:
        """Invocations under way in a bucket."""
        with self._lock:
            return self._running[bucket]

    def close(self) -> None:
        """End every environment."""
        self._stop.set()
        with self._lock:
            ended = [*self._busy, *(e for group in self._idle.values() for e in group)]
            self._idle.clear()
        for environment in ended:
            environment.close()
        self._sweeper.join()

    def _give_back(self, environment: Environment, key: str, bucket: str) -> None:
        with self._lock:
            environment.idle_since = self._clock.now()
            self._running[bucket] -= 1
            self._busy.remove(environment)
            kept = environment.usable and not self._stop.is_set()
            if kept:
                self._idle[key].append(environment)
        if not kept:
            environment.close()

    def _sweep(self) -> None:
        while not self._clock.sleep(_SWEEP_S, self._stop):
            for environment in self._take_expired():
                environment.close()

    def _take_expired(self) -> list[Environment]:
        oldest = self._clock.now() - self._idle_s
        ended: list[Environment] = []
        with self._lock:
            for key, environments in list(self._idle.items()):
                ended += [e for e in environments if e.idle_since < oldest or not e.usable]
                self._idle[key] = [e for e in environments if e not in ended]
                if not self._idle[key]:
                    del self._idle[key]
        return ended
