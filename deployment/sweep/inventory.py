"""Everything in an account that can cost money, with its tags and its price by the day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from deployment.sweep.computing import Computing
from deployment.sweep.resource import Resource
from deployment.sweep.serving import Serving
from deployment.sweep.storage import Storage
from experiments.aws import is_code
from experiments.errors import CloudError


class Inventory(Serving, Computing, Storage):
    """Reads a whole account."""

    def everything(self) -> tuple[tuple[Resource, ...], tuple[str, ...]]:
        """Every thing of every kind, Pedigree's or not, and the kinds that this cloud does not have.

        Raises CloudError.
        """
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
        found: list[Resource] = []
        unknown = []
        for kind in kinds:
            try:
                found += kind()
            except CloudError as error:
                if not is_code(error, "NotImplemented"):
                    raise
                unknown.append(kind.__name__)
        return tuple(found), tuple(unknown)
