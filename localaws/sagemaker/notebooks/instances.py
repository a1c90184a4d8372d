"""SageMaker's notebook instance operations, and how an instance goes from state to state."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from localaws.account import roles
from localaws.sagemaker.listing import Columns, page
from localaws.sagemaker.notebooks.configs import LifecycleConfigs
from localaws.sagemaker.notebooks.machine import SCRIPT_LIMIT_S, NotebookMachine
from localaws.sagemaker.notebooks.records import (
    CREATED,
    LIFECYCLE,
    NAME,
    STATUS,
    changed,
    check_request,
    described,
    new_document,
    summary,
)
from localaws.sagemaker.tags import Tags
from localaws.sagemaker.words import Doc, Params, arn, invalid
from localaws.sagemaker.world import World
from localaws.store import Store
from localaws.wire.protocol import AwsError, Caller

SERVICE = "sagemaker.amazonaws.com"
LOG_GROUP = "/aws/sagemaker/NotebookInstances"
_AT_REST = ("Stopped", "Failed")
_COLUMNS = Columns(name=NAME, status=STATUS)
_log = logging.getLogger(__name__)


class Notebooks:
    """Create-, Describe-, List-, Update-, Start-, Stop- and DeleteNotebookInstance."""

    def __init__(self, store: Store, tags: Tags, configs: LifecycleConfigs, world: World) -> None:
        self._table = store.table("notebook-instances")
        self._tags = tags
        self._configs = configs
        self._world = world
        self._lock = threading.RLock()
        self._machines: dict[str, NotebookMachine] = {}
        self._closed = False

    def start(self) -> None:
        """Start what was in service; finish what an earlier server had begun to stop or delete."""
        for name, doc in self._table.items():
            if doc[STATUS] in ("Pending", "InService"):
                self._move(name, "Pending")
                self._in_background(self._boot, name, self._new_machine(name))
            elif doc[STATUS] in ("Stopping", "Updating"):
                self._move(name, "Stopped")
            elif doc[STATUS] == "Deleting":
                self._erase(name)

    def close(self) -> None:
        """End all programs; what was in service is started again by the next `start`."""
        with self._lock:
            self._closed = True
            machines, self._machines = list(self._machines.values()), {}
        ends = [threading.Thread(target=machine.end) for machine in machines]
        for end in ends:
            end.start()
        for end in ends:
            end.join()

    def create_notebook_instance(self, params: Params, caller: Caller) -> Doc:
        """SageMaker CreateNotebookInstance; it starts in the background."""
        del caller
        check_request(params)
        name = params[NAME]
        instance_arn = arn(self._world.settings, "notebook-instance", name.lower())
        self._check_role(params["RoleArn"])
        if "LifecycleConfigName" in params:
            self._configs.require(params["LifecycleConfigName"])
        doc = new_document(params, instance_arn, self._world.clock.now())
        if not self._table.insert(name, doc):
            raise invalid(f"Cannot create a duplicate Notebook Instance ({instance_arn})")
        self._tags.set(instance_arn, params.get("Tags", []))
        self._in_background(self._boot, name, self._new_machine(name))
        return {"NotebookInstanceArn": instance_arn}

    def describe_notebook_instance(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DescribeNotebookInstance."""
        del caller
        return described(self._get(params[NAME]))

    def list_notebook_instances(self, params: Params, caller: Caller) -> Doc:
        """SageMaker ListNotebookInstances."""
        del caller
        part = params.get("NotebookInstanceLifecycleConfigNameContains", "").lower()
        found = [doc for _, doc in self._table.items() if part in doc.get(LIFECYCLE, "").lower()]
        docs, token = page(found, params, _COLUMNS)
        return {"NotebookInstances": [summary(doc) for doc in docs], "NextToken": token}

    def update_notebook_instance(self, params: Params, caller: Caller) -> Doc:
        """SageMaker UpdateNotebookInstance, of an instance that is stopped."""
        del caller
        check_request(params)
        name = params[NAME]
        if "RoleArn" in params:
            self._check_role(params["RoleArn"])
        if "LifecycleConfigName" in params:
            self._configs.require(params["LifecycleConfigName"])
        with self._lock:
            doc = changed(self._at(name, _AT_REST, "Updating"), params)
            self._table.put(name, {**doc, STATUS: "Updating"})
        self._in_background(self._move, name, "Stopped")
        return {}

    def start_notebook_instance(self, params: Params, caller: Caller) -> Doc:
        """SageMaker StartNotebookInstance: a fresh machine around the volume that was kept."""
        del caller
        name = params[NAME]
        with self._lock:
            self._at(name, _AT_REST, "Pending")
            self._move(name, "Pending")
        self._in_background(self._boot, name, self._new_machine(name))
        return {}

    def stop_notebook_instance(self, params: Params, caller: Caller) -> Doc:
        """SageMaker StopNotebookInstance; returns at once."""
        del caller
        name = params[NAME]
        with self._lock:
            self._at(name, ("InService",), "Stopping")
            self._move(name, "Stopping")
            machine = self._machines.pop(name, None)
        self._in_background(self._finish, name, machine)
        return {}

    def delete_notebook_instance(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DeleteNotebookInstance, with its volume; returns at once."""
        del caller
        name = params[NAME]
        with self._lock:
            self._at(name, _AT_REST, "Deleting")
            self._move(name, "Deleting")
        self._in_background(self._erase, name)
        return {}

    def _boot(self, name: str, machine: NotebookMachine) -> None:
        try:
            reason = self._run_hooks(name, machine)
        except Exception as fault:
            _log.exception("notebook instance %s", name)
            reason = f"InternalServerError: {type(fault).__name__}: {fault}"
        self._world.logs.flush()
        if reason is not None:
            machine.end()
        with self._lock:
            if self._closed or self._machines.get(name) is not machine:
                return
            if reason is None:
                self._move(name, "InService")
            else:
                del self._machines[name]
                self._move(name, "Failed", FailureReason=reason[:1024])

    def _run_hooks(self, name: str, machine: NotebookMachine) -> str | None:
        """Run the scripts that are due; AWS's reason when one fails, else None."""
        doc = self._get(name)
        machine.prepare({"ResourceArn": doc["NotebookInstanceArn"], "ResourceName": name})
        env = self._world.role_env(doc["RoleArn"])
        env["AWS_DEFAULT_REGION"] = self._world.settings.region
        for hook in ("OnStart",) if doc[CREATED] else ("OnCreate", "OnStart"):
            script = self._configs.script(doc.get(LIFECYCLE, ""), hook)
            if script is None:
                continue
            status = machine.run(script, env=env, on_line=self._ear(name, hook))
            if status != 0:
                return self._failure(doc, status)
            if hook == "OnCreate":
                self._set(name, **{CREATED: True})
        self._set(name, **{CREATED: True})
        return None

    def _ear(self, name: str, hook: str) -> Callable[[str], None]:
        return lambda line: self._world.logs.add(LOG_GROUP, f"{name}/LifecycleConfig{hook}", line)

    def _failure(self, doc: Doc, status: int | None) -> str:
        config = self._configs.arn_of(doc[LIFECYCLE])
        limit_min = f"{SCRIPT_LIMIT_S / 60:g}"
        end = f"took longer than {limit_min} minutes" if status is None else "failed"
        return (
            f"Notebook Instance Lifecycle Config '{config}' for Notebook Instance "
            f"'{doc['NotebookInstanceArn']}' {end}. Please check your CloudWatch logs for more "
            "details if your Notebook Instance has Internet access."
        )

    def _finish(self, name: str, machine: NotebookMachine | None) -> None:
        if machine is not None:
            machine.end()
        self._move(name, "Stopped")

    def _erase(self, name: str) -> None:
        self._machine(name).erase()
        self._tags.forget(self._get(name)["NotebookInstanceArn"])
        self._table.delete(name)

    def _new_machine(self, name: str) -> NotebookMachine:
        machine = self._machine(name)
        with self._lock:
            self._machines[name] = machine
        return machine

    def _machine(self, name: str) -> NotebookMachine:
        folder = Path(self._world.settings.state_dir) / "notebooks" / name
        speed = self._world.settings.speed
        return NotebookMachine(folder, self._world.processes, speed=speed)

    def _move(self, name: str, status: str, **members: Any) -> None:
        with self._lock:
            doc = self._get(name)
            doc.pop("FailureReason", None)
            moved = {STATUS: status, "LastModifiedTime": self._world.clock.now()}
            self._table.put(name, {**doc, **moved, **members})

    def _set(self, name: str, **members: Any) -> None:
        with self._lock:
            self._table.put(name, {**self._get(name), **members})

    def _get(self, name: str) -> Doc:
        doc = self._table.get(name)
        if doc is None:
            raise invalid("RecordNotFound")
        return doc

    def _at(self, name: str, wanted: Sequence[str], then: str) -> Doc:
        """The instance, if its state is one of `wanted`; else AWS's refusal."""
        doc = self._get(name)
        if doc[STATUS] not in wanted:
            raise _no_transition(doc, wanted, then)
        return doc

    def _check_role(self, role_arn: str) -> None:
        if not roles.trusts(role_arn, SERVICE):
            raise invalid(
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows "
                f"principal '{SERVICE}' to assume the role."
            )

    def _in_background(self, target: Callable[..., None], *args: Any) -> None:
        threading.Thread(target=target, args=args, name="notebook", daemon=True).start()


def _no_transition(doc: Doc, wanted: Sequence[str], then: str) -> AwsError:
    return invalid(
        f"Status ({doc[STATUS]}) not in ([{', '.join(wanted)}]). Unable to transition to ({then}) "
        f"for Notebook Instance ({doc['NotebookInstanceArn']})"
    )
