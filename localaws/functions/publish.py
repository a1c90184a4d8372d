"""When a version is made, and what it holds."""

from __future__ import annotations

import uuid

from localaws.functions.config import Config, identity, is_settling
from localaws.functions.names import conflict
from localaws.functions.records import FunctionDoc


def publish(doc: FunctionDoc, description: str | None) -> Config:
    """Freeze $LATEST under the next number and answer that version.

    When code and configuration are those of the newest version, that version is the answer and
    nothing changes.
    """
    latest = doc["latest"]
    digest = identity(latest)
    newest = doc["versions"].get(doc["published"].get("version", ""))
    if newest is not None and doc["published"]["identity"] == digest:
        return newest
    number = str(doc["next_version"])
    version: Config = {**latest, "Version": number, "RevisionId": str(uuid.uuid4())}
    if description is not None:
        version["Description"] = description
    doc["versions"][number] = version
    doc["next_version"] += 1
    doc["published"] = {"version": number, "identity": digest}
    return version


def refuse_while_settling(config: Config) -> None:
    """ResourceConflictException while the function is being created or updated."""
    if not is_settling(config):
        return
    start = "The operation cannot be performed at this time. "
    if config["State"] == "Pending":
        text = f"{start}The function is currently in the following state: Pending"
    else:
        text = f"{start}An update is in progress for resource: {config['FunctionArn']}"
    raise conflict(text)
