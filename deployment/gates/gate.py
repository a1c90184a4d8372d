"""One examined condition, and the rule that all of them have to be met."""

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


def require(gates: Sequence[Gate], *, override: str = "") -> None:
    """Raise ReleaseError naming every gate that was not passed, with its evidence.

    With a reason in `override` only the integrity of the archive is required.
    """
    shut = [gate for gate in gates if not gate.passed]
    if override:
        shut = [gate for gate in shut if gate.name == "integrity"]
    if shut:
        words = "; ".join(
            f"{gate.name}: {', '.join(f'{k} {v}' for k, v in gate.evidence.items())}"
            for gate in shut
        )
        raise ReleaseError(
            f"the model did not pass ({words})",
            fix="promote another run, train this one anew, or say why it shall go live all the"
            ' same: `--override "reason"`',
        )
