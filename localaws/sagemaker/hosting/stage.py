"""What runs for the endpoints of this server: raised, switched, scaled and ended here."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Any

from localaws.sagemaker.hosting.document import spec_of, weights_of
from localaws.sagemaker.hosting.fleets import Fleet, FleetFailed
from localaws.sagemaker.hosting.routing import route_by, strategy_of
from localaws.sagemaker.hosting.serverless import ServerlessFleet, capacity_of
from localaws.sagemaker.hosting.traffic import Side, Traffic, VariantFleet
from localaws.sagemaker.words import Doc
from localaws.sagemaker.world import World
from localaws.store import Table


class Stage:
    """The live sides of every endpoint, and the documents that tell of them.

    `chance` picks instances where a variant is routed at random.
    """

    def __init__(self, table: Table, world: World, chance: random.Random | None = None) -> None:
        self.world = world
        self._chance = chance or random.SystemRandom()
        self.closing = threading.Event()
        self._table = table
        self._lock = threading.Lock()
        self._traffic: dict[str, Traffic] = {}
        self._fleets: set[VariantFleet] = set()

    def traffic(self, name: str) -> Traffic | None:
        """Who answers for the endpoint now; None when it never came up."""
        return self._traffic.get(name)

    def direct(self, name: str, traffic: Traffic) -> None:
        """From now on the endpoint's requests go this way."""
        self._traffic[name] = traffic

    def retire(self, name: str) -> Traffic:
        """No more requests to the endpoint; what answered until now."""
        return self._traffic.pop(name, Traffic(sides=()))

    def document(self, name: str) -> Doc | None:
        """The endpoint's document."""
        return self._table.get(name)

    def prepare(self, name: str, config: str, variants: list[Doc], capture: Doc) -> Side:
        """A side without instances yet."""
        fleets = {one["VariantName"]: self._fleet(name, one) for one in variants}
        with self._lock:
            self._fleets |= set(fleets.values())
        return Side(config=config, fleets=fleets, weights=weights_of(variants), capture=capture)

    def raise_side(self, name: str, config: str, variants: list[Doc], capture: Doc) -> Side:
        """A side with all its instances healthy. Raises `FleetFailed`, leaving nothing."""
        side = self.prepare(name, config, variants, capture)
        try:
            for variant in variants:
                if self.closing.is_set():
                    raise FleetFailed("localaws is going down")
                side.fleets[variant["VariantName"]].open(variant["DesiredInstanceCount"])
        except FleetFailed:
            self.end(side.fleets, drain=False)
            raise
        return side

    def end(self, fleets: Mapping[str, VariantFleet], *, drain: bool) -> None:
        """End the fleets."""
        for fleet in fleets.values():
            fleet.close(drain=drain)
        with self._lock:
            self._fleets -= set(fleets.values())

    def change(self, name: str, **members: Any) -> None:
        """Set members (None removes one), unless localaws goes down: the next start goes on."""
        with self._lock:
            doc = self._table.get(name)
            if doc is None or self.closing.is_set():
                return
            doc |= {"LastModifiedTime": self.world.clock.now(), **members}
            self._table.put(name, {key: value for key, value in doc.items() if value is not None})

    def forget(self, name: str) -> None:
        """The endpoint is gone."""
        with self._lock:
            self._table.delete(name)

    def close(self) -> None:
        """End every instance at once. Documents stay as they are, for the next start."""
        self.closing.set()
        with self._lock:
            fleets = list(self._fleets)
        enders = [threading.Thread(target=fleet.close, kwargs={"drain": False}) for fleet in fleets]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()

    def _fleet(self, name: str, variant: Doc) -> VariantFleet:
        spec = spec_of(name, variant)
        if "ServerlessConfig" in variant:
            return ServerlessFleet(spec, self.world, capacity_of(variant["ServerlessConfig"]))
        route = route_by(strategy_of(variant), self._chance)
        return Fleet(spec, self.world, route)
