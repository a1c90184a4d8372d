"""What a request asks for, in IAM's words: actions and the resources that they concern.

Names are those of AWS's Service Authorization Reference. A call whose resource is not worked out here is
held against `*`, so only a statement for all resources allows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from werkzeug import Request
from werkzeug.exceptions import HTTPException

from localaws.access import of_compute, of_ec2, of_records, of_s3
from localaws.access.question import Asked, Question
from localaws.faults.naming import operation_of
from localaws.wire.cbor import MIME as CBOR
from localaws.wire.cbor import decode
from localaws.wire.protocol import Caller
from localaws.wire.query import query_params
from localaws.wire.request import Unreadable

MAX_BYTES = 100 << 20
_PREFIXES = {
    "sagemaker-runtime": "sagemaker",
    "sagemaker-metrics": "sagemaker",
    "monitoring": "cloudwatch",
}
_BODIES_UNREAD = ("s3", "sagemaker-runtime")
_BY_SERVICE: Mapping[str, Callable[[Question], list[Asked]]] = {
    "s3": of_s3.asked,
    "sagemaker": of_compute.sagemaker,
    "sagemaker-runtime": of_compute.runtime,
    "lambda": of_compute.function,
    "ec2": of_ec2.asked,
    "monitoring": of_records.cloudwatch,
    "logs": of_records.logs,
    "ssm": of_records.ssm,
    "iam": of_records.iam,
    "sts": of_records.sts,
    "cloudformation": of_records.cloudformation,
    "application-autoscaling": of_records.scaling,
}


def asked_of(request: Request, service: str, caller: Caller) -> list[Asked]:
    """Everything that must be allowed for the request to be answered."""
    question = Question(
        prefix=_PREFIXES.get(service, service),
        operation=operation_of(service, request),
        params=_params(request, service),
        request=request,
        caller=caller,
        context={
            "aws:requestedregion": [caller.region],
            "aws:principalaccount": [caller.account_id],
            "aws:securetransport": ["true"],  # loopback stands for TLS
        },
    )
    return _BY_SERVICE.get(service, of_records.anything)(question)


def _params(request: Request, service: str) -> Mapping[str, Any]:
    """The parameters, as far as they can be read; nothing for what is too long or no form."""
    if (request.content_length or 0) > MAX_BYTES or service in _BODIES_UNREAD:
        return {}
    try:
        if request.mimetype == "application/x-www-form-urlencoded":
            return query_params(request, service) or {}
        body = request.get_data(cache=True)
        found = decode(body) if request.mimetype == CBOR else json.loads(body or b"{}")
    except (ValueError, RecursionError, Unreadable, HTTPException):
        return {}  # Whoever answers says what is wrong with it.
    return found if isinstance(found, dict) else {}
