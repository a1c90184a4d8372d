"""CloudWatch as the server sees it: metrics and alarms are ours, dashboards and the rest moto's."""

from __future__ import annotations

from collections.abc import Callable

from botocore import xform_name
from werkzeug import Request, Response

from localaws.clock import Timer
from localaws.metrics.alarms import AlarmBook
from localaws.metrics.data import MetricData
from localaws.metrics.operations import Operations
from localaws.settings import Settings
from localaws.store import Store
from localaws.wire.cbor import MIME, CborService
from localaws.wire.protocol import Caller, ModelService
from localaws.wire.query import QueryService
from localaws.wire.scope import operation_name


class CloudWatch:
    """Answers `monitoring`. `data` takes points from inside; `alarms` tells their states."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Timer,
        settings: Settings,
        forward: Callable[[Request], Response],
    ) -> None:
        self.data = MetricData(clock)
        self.alarms = AlarmBook(store, self.data, clock)
        self._operations = Operations(self.data, self.alarms, clock, settings)
        self._json = ModelService("cloudwatch", self._operations)
        self._cbor = CborService("cloudwatch", self._operations)
        self._query = QueryService("cloudwatch", self._operations)
        self._forward = forward

    def start(self) -> None:
        """Begin to evaluate alarms."""
        self.alarms.start()

    def close(self) -> None:
        """End the thread."""
        self.alarms.close()

    def respond(self, request: Request, caller: Caller) -> Response:
        """The HTTP answer, in the protocol that the client speaks."""
        operation = operation_name(request)
        if not hasattr(self._operations, xform_name(operation)):
            return self._forward(request)
        if request.mimetype == MIME:
            return self._cbor.respond(request, caller)
        if request.mimetype == "application/x-www-form-urlencoded":
            return self._query.respond(request, caller)
        return self._json.respond(request, caller)
