"""An HTTP API and a function URL for dogs, with Powertools for AWS Lambda."""

import os
from uuid import uuid4

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, LambdaFunctionUrlResolver
from aws_lambda_powertools.event_handler.exceptions import BadRequestError, NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.data_classes import LambdaFunctionUrlEvent, event_source
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="dogs")
tracer = Tracer(service="dogs")
metrics = Metrics(namespace="Dogs", service="dogs")
api = APIGatewayHttpResolver()
url = LambdaFunctionUrlResolver()
orders = DynamoDBPersistenceLayer(table_name=os.environ["TABLE"])
once = IdempotencyConfig(event_key_jmespath="id")


@api.get("/dogs/<name>")
@url.get("/dogs/<name>")
@tracer.capture_method
def dog(name: str) -> dict:
    if name == "cat":
        raise NotFoundError("no such dog")
    logger.append_keys(dog=name)
    logger.info("asked for a dog")
    metrics.add_metric(name="DogsAsked", unit=MetricUnit.Count, value=1)
    return {"name": name, "greeting": parameters.get_parameter("/dogs/greeting")}


@api.post("/orders")
def order() -> tuple[dict, int]:
    body = api.current_event.json_body
    if "id" not in body:
        raise BadRequestError("an order has an id")
    return place(wanted=body), 201


@idempotent_function(data_keyword_argument="wanted", config=once, persistence_store=orders)
def place(wanted: dict) -> dict:
    return {"id": wanted["id"], "number": str(uuid4())}


@logger.inject_lambda_context(
    correlation_id_path=correlation_paths.API_GATEWAY_HTTP, clear_state=True
)
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
def api_handler(event: dict, context: LambdaContext) -> dict:
    once.register_lambda_context(context)
    return api.resolve(event, context)


@logger.inject_lambda_context(log_event=True)
def url_handler(event: dict, context: LambdaContext) -> dict:
    return url.resolve(event, context)


@event_source(data_class=LambdaFunctionUrlEvent)
def raw_handler(event: LambdaFunctionUrlEvent, context: LambdaContext) -> dict:
    http = event.request_context.http
    return {
        "statusCode": 200,
        "headers": {"content-type": "text/plain", "x-seen-by": context.function_name},
        "body": f"{http.method} {event.path} {event.query_string_parameters} {event.decoded_body}",
    }
