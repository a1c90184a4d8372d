"""RunInstances: what is refused before moto records it, and its idempotency."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping

from werkzeug import Response

from localaws.ec2.query import instance_ids, with_states
from localaws.ec2.user_data import USER_DATA_MAX_BYTES
from localaws.store import Store
from localaws.wire.protocol import AwsError, load_model

_IMAGE_ID = re.compile(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?")
States = Callable[[Iterable[str], str], Mapping[str, tuple[str, int]]]
_BEHAVIOURS = ("stop", "terminate")


class Launches:
    """Remembers the answers by ClientToken, over restarts too.

    `states(ids, region)` tells the present state of each instance, for a repeated answer.
    """

    def __init__(self, store: Store, states: States) -> None:
        self._table = store.table("ec2_launches")
        self._states = states
        self._lock = threading.Lock()

    def run(self, form: Mapping[str, str], region: str, launch: Callable[[], Response]) -> Response:
        """The answer of `launch`, or of the earlier call with the same token.

        Raises IdempotentParameterMismatch when the token was used with other parameters.
        """
        token = form.get("ClientToken", "")
        with self._lock:
            known = self._table.get(f"{region} {token}") if token else None
            if known is not None:
                if known["fingerprint"] != _fingerprint(form):
                    raise AwsError(
                        "IdempotentParameterMismatch",
                        "Arguments on this idempotent request are inconsistent with arguments "
                        "used in previous request(s).",
                    )
                body = with_states(known["body"].encode(), self._states(known["ids"], region))
                return Response(body, content_type="text/xml")
            response = launch()
            if token and response.status_code == 200:
                answered = {
                    "fingerprint": _fingerprint(form),
                    "body": response.get_data(as_text=True),
                    "ids": instance_ids(response),
                }
                self._table.put(f"{region} {token}", answered)
            return response


def refuse_launch(form: Mapping[str, str], image_exists: Callable[[str], bool]) -> None:
    """EC2's errors for parameters that moto takes as they are."""
    image_id = form.get("ImageId")
    if image_id is not None:
        if not _IMAGE_ID.fullmatch(image_id):
            raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{image_id}"')
        if not image_exists(image_id):
            raise AwsError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    elif not any(key.startswith("LaunchTemplate.") for key in form):
        raise AwsError("MissingParameter", "The request must contain the parameter ImageId")
    kind = form.get("InstanceType")
    if kind is not None and kind not in load_model("ec2").shape_for("InstanceType").enum:
        raise AwsError("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
    behaviour = form.get("InstanceInitiatedShutdownBehavior", "stop")
    if behaviour not in _BEHAVIOURS:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({behaviour}) for parameter instanceInitiatedShutdownBehavior is invalid.",
        )
    _refuse_market(form)
    _refuse_user_data(form.get("UserData", ""))


def no_such_profile(form: Mapping[str, str]) -> AwsError:
    """EC2's error for an instance profile that IAM does not have."""
    kind = "Arn" if "IamInstanceProfile.Arn" in form else "Name"
    value = form.get(f"IamInstanceProfile.{kind}", "")
    return AwsError(
        "InvalidParameterValue",
        f"Value ({value}) for parameter iamInstanceProfile.{kind.lower()} is invalid. "
        f"Invalid IAM Instance Profile {'ARN' if kind == 'Arn' else 'name'}",
    )


def spot_cannot_stop(instance_id: str) -> AwsError:
    """EC2's error for StopInstances on a spot instance of a one-time request."""
    return AwsError(
        "UnsupportedOperation",
        f"You can't stop the Spot Instance '{instance_id}' because it is associated with a one-time "
        "Spot Instance request. You can only stop Spot Instances associated with persistent Spot "
        "Instance requests.",
    )


def _refuse_market(form: Mapping[str, str]) -> None:
    start = "InstanceMarketOptions."
    market = form.get(f"{start}MarketType")
    if market not in (None, "spot"):
        raise AwsError("UnsupportedOperation", f"localaws has no market {market}: use spot.")
    options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    for name, only in options.items():
        value = form.get(f"{start}SpotOptions.{name}", only)
        if value != only:
            text = f"localaws does not support {name} {value}: use {only}."
            raise AwsError("UnsupportedOperation", text)


def _refuse_user_data(encoded: str) -> None:
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except binascii.Error as error:
        raise AwsError(
            "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."
        ) from error
    if size > USER_DATA_MAX_BYTES:
        raise AwsError(
            "InvalidParameterValue", f"User data is limited to {USER_DATA_MAX_BYTES} bytes"
        )


def _fingerprint(form: Mapping[str, str]) -> str:
    kept = {key: value for key, value in form.items() if key != "ClientToken"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
