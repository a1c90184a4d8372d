"""How far a change has come, read from what the command prints."""

from __future__ import annotations

from dashboard.promote.proposals import last_step

LOG = """chosen: wide-head (d4e5f607)
  gate latency: passed: 3 of 4 vCPUs
   1 of 12  lambda publish_version
   2 of 12  sagemaker create_model
"""


def test_the_last_step_is_told() -> None:
    step = last_step(LOG)
    assert step is not None
    assert (step.number, step.total, step.text) == (2, 12, "sagemaker create_model")


def test_before_the_first_there_is_none() -> None:
    assert last_step("") is None
    assert last_step(LOG.partition("   1 of")[0]) is None
