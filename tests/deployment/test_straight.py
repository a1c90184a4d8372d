"""InvokeEndpoint without the function: the same kind of answer, its own cost."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import pytest

from deployment.invoke import Answer, Way
from deployment.straight import ask_endpoint
from experiments.errors import CloudError, DataError
from experiments.records import Basis, Call
from tests.deployment.builders import BOOK, PHOTO, settings

BODY = {
    "predictions": [{"label": "beagle", "probability": 0.9}],
    "model_version": "first@1",
    "timing_ms": {"decode": 2.0, "queue": 1.0, "model": 97.0},
}
REFUSAL = {"error": {"code": "x", "message": "no photo", "fix": "send one"}}


class OneEndpoint:
    """A cloud with one endpoint, which answers with `said`, or refuses with an error."""

    region, basis, account_id = "us-east-1", Basis.SIMULATED, "123456789012"

    def __init__(self, said: bytes = b"", error: CloudError | None = None) -> None:
        self.said, self.error = said, error
        self.asked: list[dict[str, Any]] = []

    def ask(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        assert (service, operation) == ("sagemaker-runtime", "invoke_endpoint")
        self.asked.append(params)
        if self.error:
            raise self.error
        return {"Body": io.BytesIO(self.said), "ResponseMetadata": {"RequestId": "q-1"}}

    def perform(self, call: Call) -> dict[str, Any]:
        return self.ask(call.service, call.operation, **call.params)

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        raise NotImplementedError

    def client(self, service: str) -> Any:
        raise NotImplementedError


def asked(cloud: OneEndpoint, **how: Any) -> Answer:
    times = iter((1.0, 1.12))
    return ask_endpoint(
        cloud, settings(**how), PHOTO, "image/jpeg", book=BOOK, clock=lambda: next(times)
    )


def test_the_photo_goes_as_it_is_and_the_answer_is_read() -> None:
    cloud = OneEndpoint(json.dumps(BODY).encode())
    answer = asked(cloud)
    assert cloud.asked == [
        {"EndpointName": "dogs-prod", "Body": PHOTO, "ContentType": "image/jpeg",
         "Accept": "application/json"}
    ]  # fmt: skip
    assert (answer.status, answer.way, answer.request_id) == (200, Way.ENDPOINT, "q-1")
    assert (answer.predictions[0].label, answer.latency_ms) == ("beagle", 120.0)
    assert (answer.billed_ms, answer.cold_start) == (0, False)


def test_its_cost_is_the_bytes_both_ways_and_no_lambda() -> None:
    data = json.dumps(BODY).encode()
    [line] = asked(OneEndpoint(data)).cost.lines
    assert str(len(PHOTO) + len(data)) in line.item
    assert line.price.component == "endpoint_data_processed"


def test_a_serverless_endpoint_without_a_rate_says_so() -> None:
    cost = asked(OneEndpoint(json.dumps(BODY).encode()), serverless_memory_mb=2048).cost
    priced = {line.price.component for line in cost.lines}
    assert "serverless_gb_second" in priced or any("serverless" in t for t in cost.not_counted)
    assert cost.total_usd >= Decimal(0)


def test_what_the_model_refuses_is_an_answer_with_its_own_status_and_words() -> None:
    members = {"OriginalStatusCode": 415, "OriginalMessage": json.dumps(REFUSAL)}
    error = CloudError("refused", fix="x", code="ModelError", members=members)
    answer = asked(OneEndpoint(error=error))
    assert (answer.status, answer.error) == (415, "no photo; fix: send one")
    assert answer.predictions == ()


def test_words_that_are_no_json_are_kept_as_text() -> None:
    members = {"OriginalStatusCode": 500, "OriginalMessage": "it broke"}
    error = CloudError("refused", fix="x", code="ModelError", members=members)
    assert asked(OneEndpoint(error=error)).body == {"text": "it broke"}


def test_an_endpoint_that_is_gone_is_an_error() -> None:
    with pytest.raises(CloudError):
        asked(OneEndpoint(error=CloudError("gone", fix="promote", code="ValidationError")))


@pytest.mark.parametrize("photo", [b"", b"x" * (4 * 1024 * 1024 + 1)])
def test_a_photo_that_cannot_be_sent_is_refused_before(photo: bytes) -> None:
    cloud = OneEndpoint()
    with pytest.raises(DataError):
        ask_endpoint(cloud, settings(), photo, "image/jpeg", book=BOOK)
    assert cloud.asked == []
