"""One promotion in a process of its own, which kills itself at one call. For test_sigkill.

python -m tests.deployment.promote_once URL RUN [CALL STAGE]
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime
from typing import Any

from deployment.apply import Means, apply_proposal
from deployment.clock import Clock
from deployment.promote import prepare, propose
from deployment.rollout import Rollout
from deployment.settings import ServingSettings
from experiments.aws import Address, Boto3Cloud
from experiments.prices import latest_book
from experiments.records import Call, RunRecord, RunStatus


class Deadly(Boto3Cloud):
    """A cloud whose caller dies at its `number`-th call: before it, after its effect, or after it."""

    def __init__(self, address: Address, number: int, stage: str) -> None:
        super().__init__(address)
        self.number, self.stage, self.calls = number, stage, 0

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._counted(
            lambda: super(Deadly, self).ask(service, operation, **params)
        )
        return answer

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        listing = super().pages
        found: list[Any] = self._counted(lambda: listing(service, operation, member, **params))
        return found

    def perform(self, call: Call) -> dict[str, Any]:
        return self.ask(call.service, call.operation, **call.params)

    def _counted(self, act: Any) -> Any:
        self.calls += 1
        mine = self.calls == self.number
        if mine and self.stage == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = act()
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def main(url: str, run_id: str, number: int, stage: str) -> None:
    """Promote a run whose archive is in the bucket; says how many calls it took."""
    cloud = Deadly(Address(name="local", region="us-east-1", endpoint_url=url), number, stage)
    bucket = "pedigree-123456789012-us-east-1"
    run = RunRecord(
        run_id=run_id,
        tracker_run_id=run_id,
        name=run_id,
        experiment="dogs",
        status=RunStatus.SUCCEEDED,
        launcher="sagemaker",
        instance_type="ml.m5.large",
        hosts=1,
        model_uri=f"s3://{bucket}/runs/{run_id}/output/model.tar.gz",
    )
    how = ServingSettings(app="dogs", max_instances=1)
    ready = prepare(cloud, run, how, now=datetime.now(tz=UTC))
    plan = propose(cloud, ready, book=latest_book(), rollout=Rollout(bake_s=120))
    ways = Means(
        cloud=cloud,
        book=latest_book(),
        holder=f"process-{os.getpid()}",
        report=lambda done: None,
        clock=Clock(monotonic=lambda: 10 * time.monotonic(), sleep=lambda s: time.sleep(s / 10)),
    )
    apply_proposal(plan, ways)
    print(cloud.calls)


if __name__ == "__main__":
    at = sys.argv[3:] or ["0", "never"]
    main(sys.argv[1], sys.argv[2], int(at[0]), at[1])
