"""The ASGI app: routes, limits, overload and honest errors, without a network."""

import asyncio
import base64
import json
import threading

import pytest

from serving.http.admission import Bounds
from tests.serving.builders import FakeNetwork, Got, call, drawn, encoded, make_app, one

PHOTO = encoded(drawn())


def test_a_photo_in_parts_is_answered_and_logged() -> None:
    app, log = make_app()
    got = one(app, parts=[PHOTO[:100], PHOTO[100:]])
    assert got.status == 200
    assert got.body["predictions"][0]["label"] == "red"
    assert log[0]["status"] == 200 and log[0]["bytes_in"] == len(PHOTO)
    assert log[0]["request_id"] == got.headers["x-request-id"]


def test_ping_names_the_model() -> None:
    app, _ = make_app()
    assert one(app, "/ping", method="GET").body == {"status": "ok", "model_version": "run-7@abc"}


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/", "GET", 404, "not_found"),
        ("/ping", "POST", 405, "method"),
        ("/invocations", "GET", 405, "method"),
    ],
)
def test_wrong_paths_and_methods(path: str, method: str, status: int, code: str) -> None:
    app, log = make_app()
    got = one(app, path, method=method)
    assert (got.status, got.body["error"]["code"]) == (status, code)
    assert got.body["error"]["fix"] and log[0]["error"] == code


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused(declared: bool) -> None:
    app, _ = make_app(max_body_bytes=1000)
    headers = {"content-length": "1500"} if declared else {}
    got = one(app, parts=[b"x" * 600, b"x" * 600, b"x" * 300], headers=headers)
    assert (got.status, got.body["error"]["code"]) == (413, "too_many_bytes")


def test_a_body_that_never_ends_is_refused() -> None:
    app, _ = make_app(body_timeout_s=0.05)
    got = one(app, parts=[PHOTO[:50]], stalls=True)
    assert (got.status, got.body["error"]["code"]) == (408, "slow_body")


def test_an_endless_body_after_a_refusal_is_not_read_for_ever() -> None:
    app, log = make_app(max_body_bytes=100, max_discarded_bytes=5000, body_timeout_s=5.0)
    got = one(app, parts=[b"x" * 1000] * 50)
    assert got.status == 413
    assert log[0]["bytes_in"] == 5000


def test_ping_answers_while_a_photo_is_worked_on() -> None:
    let_go = threading.Event()
    app, _ = make_app(FakeNetwork(before=lambda: assert_set(let_go)))

    async def scene() -> tuple[Got, Got]:
        photo = asyncio.create_task(call(app, parts=[PHOTO]))
        ping = await call(app, "/ping", method="GET")
        assert not photo.done()
        let_go.set()
        return ping, await photo

    ping, photo = asyncio.run(scene())
    assert ping.status == 200 and photo.status == 200


def test_too_many_at_once_are_refused_with_a_time_to_come_back() -> None:
    let_go = threading.Event()
    app, _ = make_app(
        FakeNetwork(before=lambda: assert_set(let_go)), bounds=Bounds(most=2, window_s=0)
    )

    async def scene() -> tuple[Got, list[Got], Got]:
        taken = [asyncio.create_task(call(app, parts=[PHOTO])) for _ in range(2)]
        for _ in range(5):
            await asyncio.sleep(0)
        refused = await call(app, parts=[PHOTO])
        let_go.set()
        answered = await asyncio.gather(*taken)
        return refused, answered, await call(app, parts=[PHOTO])

    refused, answered, after = asyncio.run(scene())
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert [got.status for got in answered] == [200, 200]
    assert after.status == 200


def test_a_photo_that_takes_too_long_keeps_its_place_until_it_is_done() -> None:
    let_go = threading.Event()
    app, _ = make_app(
        FakeNetwork(before=lambda: assert_set(let_go)),
        bounds=Bounds(most=1, window_s=0),
        answer_timeout_s=0.05,
    )

    async def scene() -> tuple[Got, Got, Got]:
        slow = await call(app, parts=[PHOTO])
        full = await call(app, parts=[PHOTO])
        let_go.set()
        async with asyncio.timeout(20):
            while (after := await call(app, parts=[PHOTO])).status == 429:
                await asyncio.sleep(0.005)
        return slow, full, after

    slow, full, after = asyncio.run(scene())
    assert (slow.status, slow.body["error"]["code"]) == (503, "too_slow")
    assert full.status == 429
    assert after.status == 200


def test_a_fault_of_ours_is_a_500_that_tells_nothing() -> None:
    def break_down() -> None:
        raise RuntimeError("secret path /srv/model")

    app, log = make_app(FakeNetwork(before=break_down))
    got = one(app, parts=[PHOTO])
    assert (got.status, got.body["error"]["code"]) == (500, "internal")
    assert "secret" not in str(got.body)
    assert "secret" in log[0]["fault"]


def assert_set(event: threading.Event) -> None:
    assert event.wait(20)


@pytest.mark.parametrize(
    "name", ["x-request-id", "x-amzn-sagemaker-inference-id", "x-amzn-requestid"]
)
def test_a_request_keeps_the_id_it_came_with(name: str) -> None:
    app, log = make_app()
    got = one(app, parts=[PHOTO], headers={name: "trace-7"})
    assert got.headers["x-request-id"] == log[0]["request_id"] == "trace-7"
    hostile = one(app, parts=[PHOTO], headers={name: 'x"} {"y'})
    assert len(hostile.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    "text", ["request-id=trace-7;timeout-ms=900000", "a=b, request-id=trace-7"]
)
def test_the_id_among_the_custom_attributes_is_the_requests(text: str) -> None:
    """As the function in front sends it; SageMaker passes on no other header of its own choice."""
    app, log = make_app()
    got = one(app, parts=[PHOTO], headers={"x-amzn-sagemaker-custom-attributes": text})
    assert got.headers["x-request-id"] == log[0]["request_id"] == "trace-7"


def test_the_log_tells_times_and_sizes_and_nothing_of_the_photo() -> None:
    app, log = make_app()
    one(app, parts=[PHOTO])
    assert log[0]["timing_ms"].keys() == {"decode", "queue", "model"}
    assert (log[0]["photos"], log[0]["batch"]) == (1, 1)
    assert "red" not in str(log) and max(len(str(value)) for value in log[0].values()) < 100


@pytest.mark.parametrize(
    "headers",
    [
        {"x-pedigree-deadline-ms": "1000"},
        {"x-pedigree-timeout-ms": "0"},
        {"x-amzn-sagemaker-custom-attributes": "deadline-ms=1000"},
        {"x-amzn-sagemaker-custom-attributes": "a=b;timeout-ms=0"},
        {"x-pedigree-timeout-ms": "90000", "x-pedigree-deadline-ms": "1000"},
    ],
)
def test_a_deadline_that_has_passed_costs_no_work(headers: dict[str, str]) -> None:
    network = FakeNetwork()
    app, _ = make_app(network)
    got = one(app, parts=[PHOTO], headers=headers)
    assert (got.status, got.body["error"]["code"]) == (408, "deadline_passed")
    assert network.batches == []


def test_a_deadline_that_passes_in_the_queue_is_told_and_not_worked_on() -> None:
    let_go = threading.Event()
    network = FakeNetwork(before=lambda: assert_set(let_go))
    app, _ = make_app(network)

    async def scene() -> tuple[Got, Got, Got]:
        first = asyncio.create_task(call(app, parts=[PHOTO]))
        while not network.batches:
            await asyncio.sleep(0.001)
        late = await call(app, parts=[PHOTO], headers={"x-pedigree-timeout-ms": "30"})
        let_go.set()
        return await first, late, await call(app, parts=[PHOTO])

    first, late, after = asyncio.run(scene())
    assert (first.status, late.status, after.status) == (200, 408, 200)
    assert len(network.batches) == 2


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "1" * 16])
def test_a_deadline_that_is_no_number_is_refused(text: str) -> None:
    app, _ = make_app()
    got = one(
        app, parts=[PHOTO], headers={"x-amzn-sagemaker-custom-attributes": f"timeout-ms={text}"}
    )
    assert (got.status, got.body["error"]["code"]) == (400, "bad_option")


def test_metrics_count_what_happened() -> None:
    app, _ = make_app()
    one(app, parts=[PHOTO])
    one(app, parts=[b"GIF89a"])
    one(app, "/nowhere", method="GET")
    one(app, parts=[PHOTO], headers={"x-pedigree-timeout-ms": "0"})
    got = one(app, "/metrics", method="GET")
    assert got.headers["content-type"].startswith("text/plain")
    text = got.raw.decode()
    for line in (
        'pedigree_requests_total{code="200",path="/invocations"} 1.0',
        'pedigree_requests_total{code="415",path="/invocations"} 1.0',
        'pedigree_requests_total{code="404",path="other"} 1.0',
        'pedigree_shed_total{reason="deadline_passed"} 1.0',
        "pedigree_request_seconds_count 1.0",
        "pedigree_in_flight 0.0",
        'pedigree_model_info{version="run-7@abc"} 1.0',
    ):
        assert line in text, line


def test_a_draining_server_fails_its_ping_and_ends_connections() -> None:
    app, _ = make_app()
    app.begin_drain()
    assert one(app, "/ping", method="GET").status == 503
    got = one(app, parts=[PHOTO])
    assert (got.status, got.headers["connection"]) == (200, "close")


def test_photos_of_a_request_are_decoded_side_by_side() -> None:
    body = json.dumps({"images": [base64.b64encode(PHOTO).decode()] * 5}).encode()
    app, log = make_app(FakeNetwork(max_batch=4), workers=3)
    got = one(app, parts=[body], kind="application/json")
    assert got.status == 200 and len(got.body["results"]) == 5
    assert log[0]["photos"] == 5
