"""Machine images that SSM names and RunInstances accepts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from moto.ec2.models import ec2_backends
from moto.ssm.models import Parameter, ssm_backends
from werkzeug import Request, Response

from localaws.ec2.query import own_request
from localaws.store import Store

# Names as AWS's Deep Learning AMI release notes list them.
_DEEP_LEARNING = re.compile(
    r"/aws/service/deeplearning/ami/(?P<arch>x86_64|arm64)/"
    r"(?P<name>(?:base-|multi-framework-)?(?:oss|proprietary)-nvidia-driver-gpu"
    r"(?:-(?:pytorch|tensorflow)-\d+\.\d+)?"
    r"-(?:amazon-linux-2|amazon-linux-2023|ubuntu-\d\d\.04))/latest/ami-id"
)
_OWNER = "898082745236"
_TARGETS = ("AmazonSSM.GetParameter", "AmazonSSM.GetParameters")

Forward = Callable[[Request], Response]


class Images:
    """Adds Deep Learning AMIs to moto's records when they are first asked for."""

    def __init__(self, *, store: Store, account_id: str, forward: Forward) -> None:
        self._table = store.table("ec2_images")
        self._account_id = account_id
        self._forward = forward
        for _, doc in self._table.items():
            self._add(doc["parameter"], doc["region"])

    def prepare(self, request: Request, region: str) -> None:
        """Before SSM answers: make the parameters that this request names."""
        if request.headers.get("X-Amz-Target") not in _TARGETS:
            return
        try:
            params = json.loads(request.get_data(cache=True))
        except ValueError:
            return
        if not isinstance(params, dict):
            return
        for name in [params.get("Name"), *(params.get("Names") or [])]:
            if isinstance(name, str) and _DEEP_LEARNING.fullmatch(name):
                self._table.insert(f"{region} {name}", {"region": region, "parameter": name})
                self._add(name, region)

    def exists(self, image_id: str, region: str) -> bool:
        """Whether an instance can be started from it."""
        return image_id in ec2_backends[self._account_id][region].amis

    def _add(self, parameter: str, region: str) -> None:
        image_id = image_id_of(parameter, region)
        if not self.exists(image_id, region):
            self._register(parameter, region, image_id)
        parameters = ssm_backends[self._account_id][region]._parameters
        if not parameters[parameter]:
            parameters[parameter].append(_ssm_parameter(parameter, image_id, self._account_id))

    def _register(self, parameter: str, region: str, image_id: str) -> None:
        """RegisterImage, and then the image under the id that its name gives."""
        found = _DEEP_LEARNING.fullmatch(parameter)
        if found is None:
            raise ValueError(f"{parameter} names no image")
        form = {
            "Action": "RegisterImage",
            "Name": found["name"],
            "Architecture": found["arch"],
            "RootDeviceName": "/dev/sda1",
            "VirtualizationType": "hvm",
        }
        response = self._forward(own_request(form, region))
        root = ElementTree.fromstring(response.get_data())  # noqa: S314  (moto's answer)
        amis: dict[str, Any] = ec2_backends[self._account_id][region].amis
        image = amis.pop(root.findtext("{*}imageId", ""))
        image.id, image.architecture = image_id, found["arch"]
        image.owner_id, image.owner_alias = _OWNER, "amazon"
        image.launch_permissions.append({"Group": "all"})
        amis[image_id] = image


def image_id_of(parameter: str, region: str) -> str:
    """The image's id: always the same for the same parameter in the same region."""
    return "ami-0" + hashlib.sha256(f"{region} {parameter}".encode()).hexdigest()[:16]


def _ssm_parameter(name: str, value: str, account_id: str) -> Parameter:
    return Parameter(  # type: ignore[abstract]  # moto makes them so itself
        account_id=account_id,
        name=name,
        value=value,
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=datetime.now(UTC).replace(tzinfo=None),
        version=1,
        data_type="text",
    )
