"""What a model has to pass before it may go live, with the evidence kept on the release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.errors import ReleaseError


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One examined condition. `evidence` is what was found, name by name, in words and figures."""

    name: str
    passed: bool
    evidence: Mapping[str, str]


def require(gates: Sequence[Gate]) -> None:
    """Raise ReleaseError naming every gate that was not passed, with its evidence."""
    shut = [gate for gate in gates if not gate.passed]
    if shut:
        words = "; ".join(
            f"{gate.name}: {', '.join(f'{k} {v}' for k, v in gate.evidence.items())}"
            for gate in shut
        )
        raise ReleaseError(
            f"the model did not pass ({words})", fix="promote another run, or train this one anew"
        )
