"""Provisioned environments: warm before the first call, kept at the number that was asked for."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from localaws.functions.config import Config
from localaws.functions.environment import INIT_TIMEOUT_S, Environment
from localaws.functions.pool import Launch, Lease, environment_key, pop_usable

INIT_FAILURE = "FUNCTION_ERROR_INIT_FAILURE"
log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Place:
    """One version's environments. `failure` says why the last start did not succeed."""

    config: Config
    wanted: int
    starting: int = 0
    failure: str = ""
    free: list[Environment] = field(default_factory=list)
    busy: list[Environment] = field(default_factory=list)

    @property
    def ready(self) -> int:
        return len(self.free) + len(self.busy)


class ProvisionedPool:
    """Holds, for each version with provisioned concurrency, that many started environments."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._closed = False

    def take(self, key: str) -> Lease | None:
        """A warm environment of this key that is free, or None."""
        with self._lock:
            place = self._places.get(key)
            environment = pop_usable(place.free) if place is not None else None
            if place is None or environment is None:
                return None
            place.busy.append(environment)
        taken = environment
        return Lease(environment=taken, cold=False, give_back=lambda: self._give_back(place, taken))

    def provision(self, function_arn: str, wanted: list[tuple[Config, int]]) -> None:
        """Have so many environments for each of these versions of the function, and no others.

        Returns at once; `status` tells how far it is. A version that failed is tried again.
        """
        targets = {environment_key(config): (config, count) for config, count in wanted}
        with self._lock:
            known = [key for key in self._places if key.startswith(f"{function_arn}|")]
            ended = [e for key in known if key not in targets for e in self._drop(key)]
            for key, (config, count) in targets.items():
                place = self._places.setdefault(key, _Place(config=config, wanted=count))
                place.wanted, place.failure = count, ""
                ended += _take_surplus(place)
            places = [self._places[key] for key in targets]
        for environment in ended:
            environment.close()
        for place in places:
            self._top_up(place)

    def status(self, config: Config) -> tuple[int, str]:
        """How many environments of this version are warm, and why more could not be started."""
        with self._lock:
            place = self._places.get(environment_key(config))
            return (place.ready, place.failure) if place is not None else (0, "")

    def close(self) -> None:
        """End every environment."""
        with self._lock:
            self._closed = True
            ended = [e for place in self._places.values() for e in (*place.free, *place.busy)]
            self._places.clear()
        for environment in ended:
            environment.close()

    def _drop(self, key: str) -> list[Environment]:
        place = self._places.pop(key)
        place.wanted = 0
        return _take_surplus(place)

    def _give_back(self, place: _Place, environment: Environment) -> None:
        with self._lock:
            if environment in place.busy:
                place.busy.remove(environment)
            kept = environment.usable and not self._closed
            if kept:
                place.free.append(environment)
        if not kept:
            environment.close()
            self._top_up(place)

    def _top_up(self, place: _Place) -> None:
        with self._lock:
            missing = 0 if self._closed else place.wanted - place.ready - place.starting
            place.starting += max(0, missing)
        for _ in range(missing):
            threading.Thread(
                target=self._warm_up, args=(place,), name="lambda-warm", daemon=True
            ).start()

    def _warm_up(self, place: _Place) -> None:
        environment: Environment | None = None
        kept = False
        try:
            environment = self._launch(place.config, "provisioned-concurrency")
            environment.await_ready(INIT_TIMEOUT_S + place.config["Timeout"])
            environment.take_tail()
        except Exception:
            log.exception("%s could not be started", place.config["FunctionArn"])
        finally:
            with self._lock:
                place.starting -= 1
                works = environment is not None and environment.ready and environment.usable
                place.failure = "" if works else INIT_FAILURE
                if environment is not None and works:
                    kept = not self._closed and place.ready < place.wanted
                    if kept:
                        place.free.append(environment)
            if environment is not None and not kept:
                environment.close()


def _take_surplus(place: _Place) -> list[Environment]:
    """Take out what is over the wanted number: free ones first, busy ones when they are done."""
    ended = []
    while place.ready > place.wanted:
        if place.free:
            ended.append(place.free.pop(0))
        else:
            place.busy.pop(0).retired = True
    return ended
