"""An AWS error in the words of the protocol that the client speaks."""

from __future__ import annotations

import json
import uuid
from xml.sax.saxutils import escape

from werkzeug import Request, Response

from localaws.wire.cbor import MIME, cbor_response
from localaws.wire.protocol import ERROR_KEY, AwsError
from localaws.wire.xml import error_xml


def error_answer(service: str, request: Request, error: AwsError) -> Response:
    """The error as `service`'s clients parse it; they do not repeat it unless `status` says so."""
    request.environ[ERROR_KEY] = error.code
    request_id = str(uuid.uuid4())
    if service == "s3":
        fields = {**error.fields, "RequestId": request_id, "HostId": "localaws"}
        body = error_xml(error.code, error.message, fields)
        response = Response(body, status=error.status, content_type="application/xml")
    elif request.mimetype == MIME:
        response = cbor_response({"__type": error.code, "message": error.message}, error.status)
    elif request.mimetype == "application/x-www-form-urlencoded":
        body = _query_error(service, error, request_id).encode()
        response = Response(body, status=error.status, content_type="text/xml")
    else:
        text = json.dumps({"__type": error.code, "message": error.message, **error.fields})
        kind = request.content_type or "application/json"
        response = Response(text, status=error.status, content_type=kind)
        response.headers["x-amzn-errortype"] = error.code
    response.headers["x-amz-request-id" if service == "s3" else "x-amzn-RequestId"] = request_id
    return response


def _query_error(service: str, error: AwsError, request_id: str) -> str:
    code, message = escape(error.code), escape(error.message)
    if service == "ec2":
        inner = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        return f"<Response>{inner}<RequestID>{request_id}</RequestID></Response>"
    inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return f"<ErrorResponse>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>"
