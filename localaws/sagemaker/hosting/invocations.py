"""sagemaker-runtime: InvokeEndpoint, from the request to the instance and back."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug import Request, Response

from localaws.sagemaker.hosting.capture import DataCapture, Exchange
from localaws.sagemaker.hosting.endpoints import Endpoints
from localaws.sagemaker.hosting.fleets import FleetClosed, NoHealthyInstance
from localaws.sagemaker.hosting.instances import LOG_GROUP, Instance
from localaws.sagemaker.hosting.metrics import EndpointMetrics
from localaws.sagemaker.hosting.model_server import (
    MAX_BODY_BYTES,
    Broken,
    Reply,
    TimedOut,
    Unreachable,
)
from localaws.sagemaker.hosting.serverless import FleetFull
from localaws.sagemaker.hosting.traffic import Side, VariantFleet
from localaws.sagemaker.words import Doc, Params
from localaws.settings import Settings
from localaws.wire.protocol import AwsError, Caller, ModelService

MODEL_ERROR = 424
_PASSED = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_SUCCESS = range(200, 300)
_CLIENT_ERRORS = range(400, 500)
_SWAPS = 5
_TOO_MANY, _UNAVAILABLE, _TOO_LARGE = 429, 503, 500
# An instance that was waited for longer than this was started for the request.
_COLD_S = 0.02


class Invocations:
    """Handlers of sagemaker-runtime. `chance` picks among variants by their weights."""

    def __init__(
        self,
        endpoints: Endpoints,
        metrics: EndpointMetrics,
        capture: DataCapture,
        settings: Settings,
        chance: random.Random | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._metrics = metrics
        self._capture = capture
        self._settings = settings
        self._chance = chance or random.SystemRandom()

    def invoke_endpoint(self, params: Params, caller: Caller) -> Doc:
        """sagemaker-runtime InvokeEndpoint."""
        del caller
        started = time.perf_counter()
        name = params["EndpointName"]
        for member in ("TargetModel", "TargetContainerHostname", "InferenceComponentName"):
            if params.get(member):
                raise AwsError("ValidationError", f"{member} is not valid for endpoint {name}.")
        headers = {header: params[key] for key, header in _PASSED.items() if key in params}
        side, variant, told = self._ask(params, headers)
        total_s = time.perf_counter() - started
        reply = told.reply
        self._metrics.record(
            name,
            variant,
            side.config,
            instances=side.fleets[variant].size,
            status=reply.status if reply.body is not None else _TOO_LARGE,
            model_us=told.model_s * 1e6,
            overhead_us=(total_s - told.model_s) * 1e6,
        )
        if reply.status not in _SUCCESS or reply.body is None:
            raise self._model_error(name, reply)
        self._capture.note(side.capture, name, variant, _exchange(params, reply, reply.body))
        return {
            "Body": reply.body,
            "ContentType": reply.headers.get("content-type"),
            "CustomAttributes": reply.headers.get("x-amzn-sagemaker-custom-attributes"),
            "InvokedProductionVariant": variant,
        }

    def _ask(self, params: Params, headers: Mapping[str, str]) -> tuple[Side, str, Told]:
        """The side and the variant that were asked, and what came back."""
        name = params["EndpointName"]
        for _ in range(_SWAPS):
            side, variant = self._choose(params)
            try:
                told = _try_instances(side.fleets[variant], params["Body"], headers)
            except FleetClosed:
                continue  # An update replaced the fleet between two lines.
            except FleetFull as error:
                self._metrics.record_refusal(name, variant, side.config, _TOO_MANY)
                text = "Rate exceeded: the variant's MaxConcurrency is reached."
                raise AwsError("ThrottlingException", text, status=_TOO_MANY) from error
            except (NoHealthyInstance, Broken) as error:
                self._metrics.record_refusal(name, variant, side.config, _UNAVAILABLE)
                raise _unavailable() from error
            if told.setup_s:
                self._metrics.record_start(name, variant, side.config, told.setup_s * 1e6)
            return side, variant, told
        raise _unavailable()

    def _choose(self, params: Params) -> tuple[Side, str]:
        traffic = self._endpoints.serving(params["EndpointName"])
        if traffic is None:
            raise self._not_found(params["EndpointName"])
        target: str | None = params.get("TargetVariant")
        chosen = traffic.choose(target, self._chance)
        if chosen is not None:
            return chosen
        if target is None:
            raise AwsError("ValidationError", "No variant has a weight above 0.")
        raise AwsError(
            "ValidationError",
            f"Variant {target} of endpoint {params['EndpointName']} not found.",
        )

    def _not_found(self, name: str) -> AwsError:
        text = f"Endpoint {name} of account {self._settings.account_id} not found."
        return AwsError("ValidationError", text)

    def _model_error(self, name: str, reply: Reply) -> AwsError:
        region, account = self._settings.region, self._settings.account_id
        side = "client" if reply.status in _CLIENT_ERRORS else "server"
        text = _text(reply)
        said = f'with message "{text}"' if text else "and could not load the entire response body"
        # A time-out is told as status 0, and a body that is too large by the status it came with.
        message = (
            f"Received {side} error ({reply.status}) from primary {said}. See https://{region}."
            f"console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group="
            f"{LOG_GROUP}/{name} in account {account} for more information."
        )
        stream = f"arn:aws:logs:{region}:{account}:log-group:{LOG_GROUP}/{name}"
        fields = {
            "OriginalStatusCode": reply.status,
            "OriginalMessage": text,
            "LogStreamArn": stream,
        }
        return AwsError("ModelError", message, status=MODEL_ERROR, fields=fields)


@dataclass(frozen=True, kw_only=True)
class Told:
    """The container's answer, the seconds it took, and those until an instance was there."""

    reply: Reply
    model_s: float
    setup_s: float = 0.0


def _try_instances(fleet: VariantFleet, body: bytes, headers: Mapping[str, str]) -> Told:
    """Ask one instance; another only where the first surely never saw the request."""
    tried: list[Instance] = []
    while True:
        asked = time.perf_counter()
        try:
            with fleet.borrow(tried) as instance:
                tried.append(instance)
                server, started = instance.server, time.perf_counter()
                if server is None:
                    continue
                reply = server.invoke(body, headers)
                setup_s = started - asked if started - asked > _COLD_S else 0.0
                return Told(reply=reply, model_s=time.perf_counter() - started, setup_s=setup_s)
        except Unreachable:
            continue
        except TimedOut:
            reply = Reply(status=0, headers={}, body=_TIMED_OUT.encode())
            return Told(reply=reply, model_s=time.perf_counter() - started)


def _exchange(params: Params, reply: Reply, answer: bytes) -> Exchange:
    return Exchange(
        content_type=params.get("ContentType", ""),
        body=params["Body"],
        answer_type=reply.headers.get("content-type", ""),
        answer=answer,
        inference_id=params.get("InferenceId"),
        custom_attributes=params.get("CustomAttributes"),
    )


def _text(reply: Reply) -> str:
    try:
        return (reply.body or b"").decode()
    except UnicodeDecodeError:
        return ""


def _unavailable() -> AwsError:
    text = "The request has failed because no healthy instance could answer it. Try again."
    return AwsError("ServiceUnavailable", text, status=503)


class RuntimeService:
    """sagemaker-runtime; a body over the limit is refused before it is read."""

    def __init__(self, invocations: Invocations) -> None:
        self._service = ModelService("sagemaker-runtime", invocations)

    def respond(self, request: Request, caller: Caller) -> Response:
        """The HTTP answer."""
        if (request.content_length or 0) > MAX_BODY_BYTES:
            text = f"HTTP content length exceeded {MAX_BODY_BYTES} bytes."
            return Response(json.dumps({"message": text}), 413, content_type="application/json")
        return self._service.respond(request, caller)
