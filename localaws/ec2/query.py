"""EC2's query protocol, as far as we read and write it ourselves."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from werkzeug import Request, Response
from werkzeug.test import EnvironBuilder

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_VERSION = "2016-11-15"
_ANY = "{*}"  # moto writes the namespace without its last slash


def read_form(request: Request) -> dict[str, str]:
    """The parameters, from the body or the query string; the body stays readable."""
    body = request.get_data(cache=True).decode("utf-8", "replace")
    return {**request.args.to_dict(), **dict(parse_qsl(body, keep_blank_values=True))}


def own_request(form: Mapping[str, str], region: str) -> Request:
    """A request of our own to moto's EC2."""
    scope = f"AKIALOCALAWS/20000101/{region}/ec2/aws4_request"
    builder = EnvironBuilder(
        method="POST",
        headers=[("Authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host")],
        data=urlencode({"Version": _VERSION, **form}).encode(),
        content_type="application/x-www-form-urlencoded",
        base_url="http://127.0.0.1/",
    )
    return Request(builder.get_environ())


def numbered(form: Mapping[str, str], name: str) -> list[str]:
    """The values of `name.1`, `name.2`..., in order."""
    found = [(int(m[1]), v) for k, v in form.items() if (m := re.fullmatch(rf"{name}\.(\d+)", k))]
    return [value for _, value in sorted(found)]


def instance_ids(response: Response) -> list[str]:
    """The instances in an answer of RunInstances."""
    root = ElementTree.fromstring(response.get_data())  # noqa: S314  (moto's answer)
    items = root.findall(f"{_ANY}instancesSet/{_ANY}item/{_ANY}instanceId")
    return [item.text or "" for item in items]


def with_states(body: bytes, states: Mapping[str, tuple[str, int]]) -> bytes:
    """RunInstances' answer with these states: instance id -> name and code."""
    root = ElementTree.fromstring(body)  # noqa: S314  (moto's answer)
    ElementTree.register_namespace("", root.tag.partition("}")[0].removeprefix("{"))
    for item in root.findall(f"{_ANY}instancesSet/{_ANY}item"):
        state = item.find(f"{_ANY}instanceState")
        wanted = states.get(item.findtext(f"{_ANY}instanceId", ""))
        if state is None or wanted is None:
            continue
        for name, value in (("name", wanted[0]), ("code", str(wanted[1]))):
            field = state.find(_ANY + name)
            if field is not None:
                field.text = value
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root)


def changes_answer(
    operation: str, changes: Iterable[tuple[str, tuple[str, int], tuple[str, int]]]
) -> Response:
    """The answer of Terminate-, Stop- and StartInstances: (id, previous, current) states."""
    items = "".join(
        f"<item><instanceId>{escape(instance_id)}</instanceId>"
        f"<currentState><code>{now[1]}</code><name>{now[0]}</name></currentState>"
        f"<previousState><code>{was[1]}</code><name>{was[0]}</name></previousState></item>"
        for instance_id, was, now in changes
    )
    return answer(operation, f"<instancesSet>{items}</instancesSet>")


def answer(operation: str, inner: str) -> Response:
    """An answer with this inner XML."""
    body = (
        f'<?xml version="1.0" encoding="utf-8"?>\n<{operation}Response xmlns="{NAMESPACE}">'
        f"<requestId>{uuid.uuid4()}</requestId>{inner}</{operation}Response>"
    )
    return Response(body, content_type="text/xml")
