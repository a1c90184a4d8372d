"""Everything in an account that can cost money, with its tags and its price by the day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from deployment.sweep.computing import Computing
from deployment.sweep.resource import Resource
from deployment.sweep.serving import Serving
from deployment.sweep.storage import Storage


class Inventory(Serving, Computing, Storage):
    """Reads a whole account."""

    def everything(self) -> tuple[Resource, ...]:
        """Every thing of every kind, Pedigree's or not. Raises CloudError."""
        kinds: Sequence[Callable[[], Iterator[Resource]]] = (
            self.endpoints,
            self.configs_and_models,
            self.functions,
            self.alarms,
            self.jobs,
            self.instances,
            self.volumes,
            self.notebooks,
            self.uploads,
            self.archives,
        )
        return tuple(resource for kind in kinds for resource in kind())
