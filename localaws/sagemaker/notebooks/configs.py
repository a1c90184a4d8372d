"""Lifecycle configurations: the scripts that notebook instances run when they are made or started."""

from __future__ import annotations

import base64
import binascii

from localaws.clock import Timer
from localaws.sagemaker.listing import Columns, page
from localaws.sagemaker.tags import Tags
from localaws.sagemaker.words import Doc, Params, arn, invalid
from localaws.settings import Settings
from localaws.store import Store
from localaws.wire.protocol import Caller

_NAME = "NotebookInstanceLifecycleConfigName"
_ARN = "NotebookInstanceLifecycleConfigArn"
_WHAT = "Notebook Instance Lifecycle Config"
_COLUMNS = Columns(name=_NAME)
_HOOKS = ("OnCreate", "OnStart")


class LifecycleConfigs:
    """Create-, Describe-, List-, Update- and DeleteNotebookInstanceLifecycleConfig."""

    def __init__(self, store: Store, tags: Tags, clock: Timer, settings: Settings) -> None:
        self._table = store.table("notebook-lifecycle-configs")
        self._tags = tags
        self._clock = clock
        self._settings = settings

    def create_notebook_instance_lifecycle_config(self, params: Params, caller: Caller) -> Doc:
        """SageMaker CreateNotebookInstanceLifecycleConfig."""
        del caller
        _check_hooks(params)
        now, config_arn = self._clock.now(), self.arn_of(params[_NAME])
        doc = {key: value for key, value in params.items() if key != "Tags"}
        doc |= {_ARN: config_arn, "CreationTime": now, "LastModifiedTime": now}
        if not self._table.insert(params[_NAME], doc):
            raise invalid(
                f"Unable to create {_WHAT} {config_arn}. (Details: {_WHAT} already exists.)"
            )
        self._tags.set(config_arn, params.get("Tags", []))
        return {_ARN: config_arn}

    def describe_notebook_instance_lifecycle_config(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DescribeNotebookInstanceLifecycleConfig."""
        del caller
        return self._get(params[_NAME], "describe")

    def list_notebook_instance_lifecycle_configs(self, params: Params, caller: Caller) -> Doc:
        """SageMaker ListNotebookInstanceLifecycleConfigs."""
        del caller
        docs, token = page([doc for _, doc in self._table.items()], params, _COLUMNS)
        shown = [{k: v for k, v in doc.items() if k not in _HOOKS} for doc in docs]
        return {"NotebookInstanceLifecycleConfigs": shown, "NextToken": token}

    def update_notebook_instance_lifecycle_config(self, params: Params, caller: Caller) -> Doc:
        """SageMaker UpdateNotebookInstanceLifecycleConfig: hooks that are named take their new script."""
        del caller
        _check_hooks(params)
        doc = self._get(params[_NAME], "update")
        new = {hook: params[hook] for hook in _HOOKS if hook in params}
        self._table.put(params[_NAME], {**doc, **new, "LastModifiedTime": self._clock.now()})
        return {}

    def delete_notebook_instance_lifecycle_config(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DeleteNotebookInstanceLifecycleConfig."""
        del caller
        self._tags.forget(self._get(params[_NAME], "delete")[_ARN])
        self._table.delete(params[_NAME])
        return {}

    def arn_of(self, name: str) -> str:
        """The configuration's ARN, whether it exists or not."""
        return arn(self._settings, "notebook-instance-lifecycle-config", name.lower())

    def require(self, name: str) -> None:
        """Raises AWS's error when there is no such configuration."""
        self._get(name, "describe")

    def script(self, name: str, hook: str) -> bytes | None:
        """The script of a hook (OnCreate, OnStart); None when there is none."""
        doc = self._table.get(name) or {}
        contents = [each["Content"] for each in doc.get(hook, []) if "Content" in each]
        return base64.b64decode(contents[0]) if contents else None

    def _get(self, name: str, verb: str) -> Doc:
        doc = self._table.get(name)
        if doc is None:
            raise invalid(
                f"Unable to {verb} {_WHAT} '{self.arn_of(name)}'. "
                f"(Details: {_WHAT} does not exist.)"
            )
        return doc


def _check_hooks(params: Params) -> None:
    for hook in _HOOKS:
        for each in params.get(hook, []):
            try:
                base64.b64decode(each.get("Content", ""), validate=True)
            except (binascii.Error, ValueError) as error:
                raise invalid(f"{hook} Content must be base64 encoded.") from error
