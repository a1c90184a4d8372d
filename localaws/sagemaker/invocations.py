"""sagemaker-runtime: InvokeEndpoint, from the request to the instance and back."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping

from werkzeug import Request, Response

from localaws.sagemaker.endpoint_metrics import EndpointMetrics
from localaws.sagemaker.endpoints import Endpoints
from localaws.sagemaker.fleets import Fleet, FleetClosed, NoHealthyInstance
from localaws.sagemaker.hosting import Fleets
from localaws.sagemaker.instances import LOG_GROUP, Instance
from localaws.sagemaker.model_server import MAX_BODY_BYTES, Broken, Reply, TimedOut, Unreachable
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


class Invocations:
    """Handlers of sagemaker-runtime. `chance` picks among variants by their weights."""

    def __init__(
        self,
        endpoints: Endpoints,
        metrics: EndpointMetrics,
        settings: Settings,
        chance: random.Random | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._metrics = metrics
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
        variant, fleet, reply, model_s = self._ask(params, headers)
        total_s = time.perf_counter() - started
        self._metrics.record(
            name,
            variant,
            instances=fleet.size,
            status=reply.status or 500,
            model_us=model_s * 1e6,
            overhead_us=(total_s - model_s) * 1e6,
        )
        if reply.status not in _SUCCESS or reply.body is None:
            raise self._model_error(name, reply)
        return {
            "Body": reply.body,
            "ContentType": reply.headers.get("content-type"),
            "CustomAttributes": reply.headers.get("x-amzn-sagemaker-custom-attributes"),
            "InvokedProductionVariant": variant,
        }

    def _ask(self, params: Params, headers: Mapping[str, str]) -> tuple[str, Fleet, Reply, float]:
        """The variant, its fleet, the answer and the seconds that the model took."""
        for _ in range(_SWAPS):
            fleets = self._endpoints.serving(params["EndpointName"])
            if not fleets:
                raise self._not_found(params["EndpointName"])
            variant = self._choose(params, fleets)
            try:
                return (
                    variant,
                    fleets[variant],
                    *_try_instances(fleets[variant], params["Body"], headers),
                )
            except FleetClosed:
                continue  # An update replaced the fleet between two lines.
        raise _unavailable()

    def _choose(self, params: Params, fleets: Fleets) -> str:
        target: str | None = params.get("TargetVariant")
        if target is not None:
            if target not in fleets:
                raise AwsError(
                    "ValidationError",
                    f"Variant {target} of endpoint {params['EndpointName']} not found.",
                )
            return target
        if len(fleets) == 1:
            return next(iter(fleets))
        weights = self._endpoints.weights(params["EndpointName"])
        shares = [weights.get(name, 0.0) for name in fleets]
        if not sum(shares):
            raise AwsError("ValidationError", "No variant has a weight above 0.")
        return self._chance.choices(list(fleets), shares)[0]

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


def _try_instances(fleet: Fleet, body: bytes, headers: Mapping[str, str]) -> tuple[Reply, float]:
    """Ask one instance; another only where the first surely never saw the request."""
    tried: list[Instance] = []
    while True:
        try:
            with fleet.borrow(besides=tried) as instance:
                tried.append(instance)
                server, started = instance.server, time.perf_counter()
                if server is None:
                    continue
                reply = server.invoke(body, headers)
                return reply, time.perf_counter() - started
        except Unreachable:
            continue
        except (NoHealthyInstance, Broken) as error:
            raise _unavailable() from error
        except TimedOut:
            reply = Reply(status=0, headers={}, body=_TIMED_OUT.encode())
            return reply, time.perf_counter() - started


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
