"""A notebook instance: planned, made once, stopped, deleted, and what it cost."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from experiments.contract import check, faults
from experiments.errors import PriceError, RunError, SpecError
from experiments.notebooks import idle_stop, instance
from experiments.notebooks.files import pack_program
from experiments.notebooks.plan import NotebookPlan, choose_type, month_usd, plan_notebook
from experiments.notebooks.policy import notebook_policy
from experiments.prices import latest_book
from experiments.records import Basis, Call
from experiments.source import ROOT
from tests.experiments.build import NOW, artifact, book, foundation, price
from tests.experiments.fake_cloud import FakeCloud
from tests.experiments.fake_storage import Refusal

PRICES = book(
    price("sagemaker", "notebook", "ml.t3.medium", "0.05"),
    price("sagemaker", "notebook", "ml.t3.large", "0.1"),
    price("sagemaker", "notebook", "ml.m5.xlarge", "0.23"),
    price("sagemaker", "notebook_storage", "", "0.14", unit="GB-month"),
)
NAME = "pedigree-notebook"


@dataclass(kw_only=True)
class WithNotebooks(FakeCloud):
    """An account whose notebook instances take a minute for each change."""

    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def _settled(self, name: str) -> dict[str, Any]:
        if name not in self.held:
            raise Refusal("ValidationException", "RecordNotFound")
        found = self.held[name]
        if self.clock.now() - found["LastModifiedTime"] >= timedelta(minutes=1):
            after = {"Pending": "InService", "Stopping": "Stopped", "Deleting": ""}
            status = after.get(found["NotebookInstanceStatus"], found["NotebookInstanceStatus"])
            if not status:
                del self.held[name]
                raise Refusal("ValidationException", "RecordNotFound")
            if status != found["NotebookInstanceStatus"]:
                self._change(name, status, found["LastModifiedTime"] + timedelta(minutes=1))
        return self.held[name]

    def _change(self, name: str, status: str, at: datetime) -> None:
        self.held[name] |= {"NotebookInstanceStatus": status, "LastModifiedTime": at}

    def _sagemaker_describe_notebook_instance(self, NotebookInstanceName: str) -> dict[str, Any]:
        return dict(self._settled(NotebookInstanceName))

    def _sagemaker_create_notebook_instance_lifecycle_config(self, **params: Any) -> dict[str, Any]:
        name = params["NotebookInstanceLifecycleConfigName"]
        if name in self.configs:
            raise Refusal("ValidationException", f"Lifecycle Configuration {name} already exists")
        self.configs[name] = params
        return {}

    def _sagemaker_delete_notebook_instance_lifecycle_config(
        self, NotebookInstanceLifecycleConfigName: str
    ) -> dict[str, Any]:
        del self.configs[NotebookInstanceLifecycleConfigName]
        return {}

    def _sagemaker_create_notebook_instance(self, **params: Any) -> dict[str, Any]:
        name = params["NotebookInstanceName"]
        if name in self.held:
            raise Refusal("ValidationException", f"Cannot create a duplicate {name}")
        if not self.roles.trusts(params["RoleArn"].rpartition("/")[2], "sagemaker"):
            raise Refusal("ValidationException", f"Could not assume role {params['RoleArn']}")
        if params["LifecycleConfigName"] not in self.configs:
            raise Refusal("ValidationException", "no such lifecycle configuration")
        self.held[name] = {
            "NotebookInstanceName": name,
            "InstanceType": params["InstanceType"],
            "NotebookInstanceLifecycleConfigName": params["LifecycleConfigName"],
        }
        self._change(name, "Pending", self.clock.now())
        return {}

    def _sagemaker_start_notebook_instance(self, NotebookInstanceName: str) -> dict[str, Any]:
        self._change(NotebookInstanceName, "Pending", self.clock.now())
        return {}

    def _sagemaker_stop_notebook_instance(self, NotebookInstanceName: str) -> dict[str, Any]:
        self._change(NotebookInstanceName, "Stopping", self.clock.now())
        return {}

    def _sagemaker_delete_notebook_instance(self, NotebookInstanceName: str) -> dict[str, Any]:
        if self._settled(NotebookInstanceName)["NotebookInstanceStatus"] != "Stopped":
            raise Refusal("ValidationException", "the instance must be stopped")
        self._change(NotebookInstanceName, "Deleting", self.clock.now())
        return {}


def planned(**changes: Any) -> NotebookPlan:
    given: dict[str, Any] = {
        "foundation": foundation(),
        "files": artifact("notebooks/abababab/pedigree.tar.gz"),
        "prices": PRICES,
        "owner": "ada",
        "now": NOW,
        **changes,
    }
    return plan_notebook("notebook", **given)


def test_every_planned_request_is_one_aws_knows() -> None:
    found = planned()
    check(found.calls)
    assert [call.operation for call in found.calls] == [
        "create_role",
        "put_role_policy",
        "create_notebook_instance_lifecycle_config",
        "create_notebook_instance",
    ]
    made = found.calls[-1].params
    assert (
        made["LifecycleConfigName"]
        == (found.calls[-2].params["NotebookInstanceLifecycleConfigName"])
    )
    for call in found.calls[-2:]:
        tags = {tag["Key"]: tag["Value"] for tag in call.params["Tags"]}
        assert tags == {
            "pedigree:owner": "ada",
            "pedigree:run": NAME,
            "pedigree:expires": "2027-01-30",
        }
    for name in ("stop", "delete", "start", "describe"):
        call = Call(
            service="sagemaker",
            operation=f"{name}_notebook_instance",
            params={"NotebookInstanceName": NAME},
            why="",
        )
        assert faults(call) == []


def test_the_cheapest_type_that_serves_is_the_default() -> None:
    assert planned().instance_type == "ml.t3.medium"
    assert choose_type(latest_book(), "us-east-1")[0] == "ml.t3.medium"
    assert planned(instance_type="ml.m5.xlarge").hour.usd == Decimal("0.23")
    assert month_usd(planned(), Decimal(20)) == Decimal("0.05") * 20 + Decimal("0.14") * 20
    with pytest.raises(PriceError, match=r"ml\.p3\.2xlarge"):
        planned(instance_type="ml.p3.2xlarge")
    with pytest.raises(PriceError, match="no notebook type is priced"):
        choose_type(book(), "us-east-1")
    with pytest.raises(SpecError, match="idle time"):
        planned(idle_s=10)


def test_the_lifecycle_script_fits_and_bash_accepts_it() -> None:
    content = planned().calls[-2].params["OnStart"][0]["Content"]
    assert len(content) < 16_384
    script = base64.b64decode(content).decode()
    assert "idle-stop.py 3600" in script
    done = subprocess.run(["bash", "-n"], input=script.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    inner = script.partition("<<'PEDIGREE_END'\n")[2].partition("\nPEDIGREE_END")[0]
    compile(inner, "idle_stop.py", "exec")
    assert planned(idle_s=600).calls[-1].params != planned().calls[-1].params


def test_a_notebook_may_do_what_runs_need_and_no_more() -> None:
    for statement in notebook_policy(foundation())["Statement"]:
        assert not any("*" in action for action in statement["Action"])
        if statement["Resource"] == ["*"]:
            assert all(":Describe" in action for action in statement["Action"])


def test_it_is_made_once_and_started_again() -> None:
    cloud, found = WithNotebooks(), planned()
    for _ in range(2):
        instance.create(cloud, found, sleep=cloud.clock.sleep)
        seen = instance.await_status(cloud, NAME, ("InService",), sleep=cloud.clock.sleep)
        assert seen is not None
    assert cloud.count("create_notebook_instance") == 1
    instance.stop(cloud, NAME)
    instance.await_status(cloud, NAME, ("Stopped",), sleep=cloud.clock.sleep)
    instance.create(cloud, found, sleep=cloud.clock.sleep)
    assert cloud.count("start_notebook_instance") == 1
    instance.delete(cloud, NAME, sleep=cloud.clock.sleep)
    assert (cloud.held, cloud.configs) == ({}, {})
    with pytest.raises(RunError, match="there is no notebook instance"):
        instance.stop(cloud, NAME)


def test_what_broke_off_is_made_whole() -> None:
    cloud, found = WithNotebooks(), planned()
    for call in found.calls[:-1]:
        cloud.perform(call)
    role_there = planned(role=(True, notebook_policy(foundation())))
    instance.create(cloud, role_there, sleep=cloud.clock.sleep)
    assert set(cloud.held) == {NAME}


def entries() -> Iterator[dict[str, Any]]:
    for status, minutes in (
        ("InService", 0),
        ("Stopped", 90),
        ("InService", 600),
        ("Deleted", 630),
    ):
        at = (NOW + timedelta(minutes=minutes)).isoformat()
        yield {"status": status, "at": at, "instance_type": "ml.t3.medium"}


def test_the_cost_is_its_hours_in_service_and_its_disk(tmp_path: Path) -> None:
    found = planned()
    ledger = instance.cost(
        entries(),
        hour=found.hour,
        disk=found.disk,
        basis=Basis.ESTIMATED,
        now=NOW + timedelta(days=9),
    )
    compute, disk = ledger.lines
    assert (compute.quantity, compute.usd) == (Decimal(2), Decimal("0.1"))  # 90 and 30 minutes
    assert disk.usd == pytest.approx(Decimal("10.5") * 20 / 730 * Decimal("0.14"))
    assert ledger.not_counted == ()
    cloud = WithNotebooks()
    instance.create(cloud, found, sleep=cloud.clock.sleep)
    seen = instance.await_status(cloud, NAME, ("InService",), sleep=cloud.clock.sleep)
    assert seen is not None
    for _ in range(2):
        instance.note(tmp_path / "n.jsonl", seen)
    (kept,) = instance.history(tmp_path / "n.jsonl")
    assert (kept["status"], kept["instance_type"]) == ("InService", "ml.t3.medium")


def activity(minutes_ago: float, now: datetime) -> str:
    return (now - timedelta(minutes=minutes_ago)).isoformat().replace("+00:00", "Z")


def test_an_instance_is_idle_from_its_last_use_on() -> None:
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    at = now.timestamp()

    def used(sessions: list[Any], terminals: list[Any], up_minutes: float = 500) -> float:
        since = at - 60 * up_minutes
        last = idle_stop.last_used(sessions, terminals, up_since=since, now=at)
        return (at - last) / 60

    idle = {"kernel": {"execution_state": "idle", "last_activity": activity(40, now)}}
    busy = {"kernel": {"execution_state": "busy", "last_activity": activity(300, now)}}
    assert used([], []) == 500
    assert used([], [], up_minutes=3) == 3
    assert used([idle], []) == 40
    assert used([idle], [{"last_activity": activity(7, now)}]) == 7
    assert used([idle, busy], []) == 0


def test_the_notebook_runs_commands_that_exist() -> None:
    held = json.loads((ROOT / "experiments/notebooks/launch.ipynb").read_text("utf-8"))
    assert held["nbformat"] == 4
    cells = ["".join(c["source"]) for c in held["cells"] if c["cell_type"] == "code"]
    assert any("pedigree run specs/demo.yaml" in cell for cell in cells)
    for cell in cells:
        # Lines for the shell and for Jupyter become `pass` at the same depth.
        plain = re.sub(r"(?m)^(\s*)[!%].*$", r"\1pass", cell)
        compile(plain, "cell", "exec")


def test_the_program_that_is_sent_holds_what_launching_needs() -> None:
    packed = pack_program()
    with tarfile.open(fileobj=io.BytesIO(packed.data)) as tar:
        names = set(tar.getnames())
    assert {"cli/main.py", "specs/demo.yaml", "experiments/notebooks/launch.ipynb"} <= names
    assert "experiments/notebooks/requirements.txt" in names
    assert not any(name.startswith(("tests/", ".", "localaws/")) for name in names)
    assert packed.digest == pack_program().digest
