"""The document of a notebook instance: made, changed and shown. Pure."""

from __future__ import annotations

from localaws.sagemaker.words import Doc, Params, invalid, unsupported

NAME = "NotebookInstanceName"
STATUS = "NotebookInstanceStatus"
LIFECYCLE = "NotebookInstanceLifecycleConfigName"
CREATED = "OnCreateDone"  # Kept and not shown: OnCreate has run, so only OnStart is due.
_REFUSED = {
    "DefaultCodeRepository": "clone it in the OnStart script",
    "AdditionalCodeRepositories": "clone them in the OnStart script",
    "AcceleratorTypes": "leave it out",
}
_DEFAULTS = {
    "DirectInternetAccess": "Enabled",
    "VolumeSizeInGB": 5,
    "RootAccess": "Enabled",
    "PlatformIdentifier": "notebook-al2-v1",
    "InstanceMetadataServiceConfiguration": {"MinimumInstanceMetadataServiceVersion": "1"},
}
_SHOWN_AS = {"LifecycleConfigName": LIFECYCLE, "SecurityGroupIds": "SecurityGroups"}
_SUMMARY = (
    NAME,
    "NotebookInstanceArn",
    STATUS,
    "InstanceType",
    "CreationTime",
    "LastModifiedTime",
    LIFECYCLE,
)


def check_request(params: Params) -> None:
    """Refuse what localaws cannot do."""
    for member, instead in _REFUSED.items():
        if params.get(member):
            raise unsupported(member, instead)


def new_document(params: Params, instance_arn: str, now: float) -> Doc:
    """The document of a new instance, which is Pending."""
    asked = {_SHOWN_AS.get(key, key): value for key, value in params.items() if key != "Tags"}
    return {
        **_DEFAULTS,
        **asked,
        "NotebookInstanceArn": instance_arn,
        STATUS: "Pending",
        CREATED: False,
        "CreationTime": now,
        "LastModifiedTime": now,
    }


def changed(doc: Doc, params: Params) -> Doc:
    """The document after UpdateNotebookInstance. A volume only grows."""
    if params.get("VolumeSizeInGB", doc["VolumeSizeInGB"]) < doc["VolumeSizeInGB"]:
        raise invalid(f"The volume has {doc['VolumeSizeInGB']} GB and cannot be made smaller.")
    if params.get("DisassociateLifecycleConfig"):
        if "LifecycleConfigName" in params:
            raise invalid("LifecycleConfigName and DisassociateLifecycleConfig exclude each other.")
        doc = {key: value for key, value in doc.items() if key != LIFECYCLE}
    new = {_SHOWN_AS.get(k, k): v for k, v in params.items() if not k.startswith("Disassociate")}
    return {**doc, **new}


def described(doc: Doc) -> Doc:
    """What DescribeNotebookInstance shows."""
    return {key: value for key, value in doc.items() if key != CREATED}


def summary(doc: Doc) -> Doc:
    """What ListNotebookInstances shows."""
    return {key: doc[key] for key in _SUMMARY if key in doc}
