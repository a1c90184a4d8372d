"""What `/_localaws/...` answers: health, the request log, the clock, faults, kills, interruptions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from werkzeug import Request, Response

from localaws.faults.book import BadFault, FaultBook, fault_of

MAX_BYTES = 65_536
_PREFIX = "/_localaws/"
_DONE = {"kill": "killed", "interrupt": "interrupted"}
Tell = Callable[[str, Mapping[str, str]], bool]
"""`tell("kill" or "interrupt", wanted)`: whether some service had such a process."""
Mount = Callable[[str, Request], Response]
"""Answers a request whose path below `/_localaws/` is given."""


class Pages:
    """GET below `/_localaws/` answers with JSON.

    `faults` also takes POST (a fault; its `id` comes back) and DELETE (all, or `?id=`), and `kill`
    takes POST: `{"endpoint": ..., "variant": ...}` or `{"training_job": ..., "host": ...}`; so does
    `interrupt`: `{"instance": ...}`, a spot instance of EC2, or `{"training_job": ..., "away_s": "60"}`.
    `mounts` answer whatever is asked of the paths that begin so.
    """

    def __init__(
        self,
        views: Mapping[str, Callable[[Request], Any]],
        faults: FaultBook,
        tell: Tell,
        mounts: Mapping[str, Mount],
    ) -> None:
        self._views = views
        self._mounts = mounts
        self._faults = faults
        self._tell = tell

    def respond(self, request: Request) -> Response | None:
        """The answer; None for a request that is not for these pages."""
        if not request.path.startswith(_PREFIX):
            return None
        name, method = request.path.removeprefix(_PREFIX), request.method
        for prefix, mount in self._mounts.items():
            if name.startswith(prefix):
                return mount(name, request)
        try:
            if name == "faults":
                return _json(self._fault_page(request))
            if name in _DONE and method == "POST":
                wanted = _fields(request)
                if not all(isinstance(value, str) for value in wanted.values()):
                    raise BadFault("the names of what to end are strings")
                return _json({_DONE[name]: self._tell(name, wanted)})
            if name in self._views and method in ("GET", "HEAD"):
                return _json(self._views[name](request))
        except BadFault as error:
            return _json({"error": str(error)}, status=400)
        return Response("no such page\n", status=404, content_type="text/plain")

    def _fault_page(self, request: Request) -> Any:
        if request.method == "POST":
            return {"id": self._faults.add(fault_of(_fields(request)))}
        if request.method == "DELETE":
            number = request.args.get("id")
            if number is not None and not number.isdigit():
                raise BadFault(f"the id {number!r} is no number")
            return {"cleared": self._faults.clear(int(number) if number else None)}
        return self._faults.everything()


def _fields(request: Request) -> dict[str, Any]:
    if (request.content_length or 0) > MAX_BYTES or request.content_length is None:
        raise BadFault(f"send a JSON object of at most {MAX_BYTES} bytes")
    try:
        found = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise BadFault("the body is not JSON") from error
    if not isinstance(found, dict):
        raise BadFault("the body is not a JSON object")
    return found


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status=status, content_type="application/json")
