"""How Lambda names functions, versions and aliases."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from localaws.wire.protocol import AwsError, Caller

LATEST = "$LATEST"
_NAME_MAX_CHARS = 64
_FORM = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):function:"
    r"|(?P<partial>\d{12}):function:|function:)?"
    r"(?P<name>[a-zA-Z0-9_-]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)


@dataclass(frozen=True, kw_only=True)
class FunctionRef:
    """A function, and perhaps one of its versions or aliases (`qualifier`)."""

    account_id: str
    region: str
    name: str
    qualifier: str | None = None

    @property
    def function_arn(self) -> str:
        """The ARN without qualifier: the function's key in our records."""
        return f"arn:aws:lambda:{self.region}:{self.account_id}:function:{self.name}"

    @property
    def arn(self) -> str:
        """The ARN with the qualifier, when there is one."""
        return f"{self.function_arn}:{self.qualifier}" if self.qualifier else self.function_arn

    def unqualified(self) -> FunctionRef:
        """The function itself."""
        return replace(self, qualifier=None)


def parse_ref(text: str, qualifier: str | None, caller: Caller) -> FunctionRef:
    """A name, partial ARN or ARN as a client may send it, with the separate `Qualifier`."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise invalid(f"Invalid function name {text!r}: use a name or an ARN of a function")
    region = found["region"] or caller.region
    if region != caller.region:
        message = f"Functions from '{region}' are not reachable in this region ('{caller.region}')"
        raise AwsError("ResourceNotFoundException", message, fields={"Type": "User"})
    if qualifier and found["qualifier"] and found["qualifier"] != qualifier:
        raise invalid(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return FunctionRef(
        account_id=found["account"] or found["partial"] or caller.account_id,
        region=region,
        name=found["name"],
        qualifier=qualifier or found["qualifier"],
    )


def ref_of_arn(arn: str) -> FunctionRef:
    """The function, version or alias of an ARN of ours."""
    _, _, _, region, account_id, _, name, *rest = arn.split(":")
    return FunctionRef(
        account_id=account_id, region=region, name=name, qualifier=rest[0] if rest else None
    )


def parse_new_ref(text: str, caller: Caller) -> FunctionRef:
    """The name of a function to be created."""
    ref = parse_ref(text, None, caller)
    if len(ref.name) > _NAME_MAX_CHARS:
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{ref.name}' at 'functionName' failed to satisfy "
            f"constraint: Member must have length less than or equal to {_NAME_MAX_CHARS}",
        )
    return ref.unqualified()


def is_version(qualifier: str) -> bool:
    """Whether it names a version ($LATEST or a number), not an alias."""
    return qualifier == LATEST or qualifier.isdecimal()


def invalid(message: str) -> AwsError:
    """Lambda's refusal of a parameter."""
    return AwsError("InvalidParameterValueException", message, fields={"Type": "User"})


def conflict(message: str) -> AwsError:
    """Lambda's refusal because of the present state (409)."""
    return AwsError("ResourceConflictException", message, fields={"Type": "User"})


def not_found(message: str) -> AwsError:
    """Lambda's 404."""
    return AwsError("ResourceNotFoundException", message, fields={"Type": "User"})


def stale_revision() -> AwsError:
    """Somebody else changed the resource since its RevisionId was read (412)."""
    message = (
        "The Revision Id provided does not match the latest Revision Id. Call the "
        "GetFunction/GetAlias API to retrieve the latest Revision Id"
    )
    return AwsError("PreconditionFailedException", message, fields={"Type": "User"})
