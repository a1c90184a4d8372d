"""The step size rises, peaks at the first step size, and falls to nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.fit.schedule import step_factor


def test_without_warm_up_it_is_half_a_cosine() -> None:
    found = [step_factor(step, steps=4, warmup=0) for step in range(4)]
    assert found == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-6)


@settings(deadline=None)
@given(steps=st.integers(1, 500), warmup=st.floats(0, 0.9))
def test_it_rises_once_and_falls_once_within_bounds(steps: int, warmup: float) -> None:
    found = [step_factor(step, steps=steps, warmup=warmup) for step in range(steps)]
    assert all(0 < value <= 1 for value in found) and max(found) == 1
    top = found.index(1)
    assert top == int(warmup * steps)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
