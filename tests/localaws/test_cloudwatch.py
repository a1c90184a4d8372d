"""CloudWatch through boto3 and through the query protocol, on a running localaws."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from localaws.wire.cbor import decode, encode
from localaws.wire.protocol import load_model
from localaws.wire.request import Unreadable
from tests.localaws.conftest import Client, StartCloud, fetch, no_services
from tests.localaws.sagemaker_world import until

DIMENSIONS = [{"Name": "EndpointName", "Value": "dogs"}]
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/monitoring/aws4_request, "
    "SignedHeaders=host, Signature=0",
    "Content_Type": "application/x-www-form-urlencoded",
}
ALARM: dict[str, Any] = {
    "AlarmName": "slow",
    "Namespace": "N",
    "MetricName": "Latency",
    "Dimensions": DIMENSIONS,
    "ExtendedStatistic": "p99",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 5.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "AlarmActions": ["arn:aws:sns:us-east-1:123456789012:duty"],
    "Tags": [{"Key": "stage", "Value": "prod"}],
}


def put(cloud: Client, *values: float) -> None:
    datum = {"MetricName": "Latency", "Dimensions": DIMENSIONS, "Values": list(values)}
    cloud.client("cloudwatch").put_metric_data(Namespace="N", MetricData=[datum])


def test_data_and_statistics(core: Client) -> None:
    cloudwatch = core.client("cloudwatch")
    put(core, *map(float, range(1, 101)))
    now = datetime.now(UTC)
    span = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=5)}
    found = cloudwatch.get_metric_statistics(
        Namespace="N",
        MetricName="Latency",
        Dimensions=DIMENSIONS,
        Period=3600,
        ExtendedStatistics=["p50", "p99"],
        **span,
    )["Datapoints"]
    assert [point["ExtendedStatistics"] for point in found] == [{"p50": 50.0, "p99": 99.0}]
    stat = {"Metric": {"Namespace": "N", "MetricName": "Latency", "Dimensions": DIMENSIONS}}
    queries = [
        {"Id": "m1", "MetricStat": {**stat, "Period": 3600, "Stat": "Sum"}, "ReturnData": False},
        {"Id": "e1", "Expression": "m1 / 2"},
    ]
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"]
    assert result["Values"] == [2525.0]
    assert [one["MetricName"] for one in cloudwatch.list_metrics(Namespace="N")["Metrics"]] == [
        "Latency"
    ]
    assert cloudwatch.list_metrics(Namespace="M")["Metrics"] == []


def test_the_life_of_an_alarm(start_cloud: StartCloud) -> None:
    cloud = start_cloud(build=no_services, speed=600.0)
    cloudwatch = cloud.client("cloudwatch")
    cloudwatch.put_metric_alarm(**ALARM)

    def alarm() -> dict[str, Any]:
        (found,) = cloudwatch.describe_alarms(AlarmNames=["slow"])["MetricAlarms"]
        return dict(found)

    arn = alarm()["AlarmArn"]
    assert arn == "arn:aws:cloudwatch:us-east-1:123456789012:alarm:slow"
    assert alarm()["StateValue"] == "INSUFFICIENT_DATA"
    tags = cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
    assert tags == [{"Key": "stage", "Value": "prod"}]

    def turns(state: str, value: float) -> bool:
        put(cloud, value)
        return bool(alarm()["StateValue"] == state)

    assert until(lambda: turns("ALARM", 9.0))
    assert "was greater than the threshold (5.0)" in alarm()["StateReason"]
    assert until(lambda: turns("OK", 1.0))
    kinds = cloudwatch.describe_alarm_history(AlarmName="slow", HistoryItemType="StateUpdate")
    assert kinds["AlarmHistoryItems"][0]["HistorySummary"] == "Alarm updated from ALARM to OK"
    assert cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"] == []
    cloudwatch.delete_alarms(AlarmNames=["slow"])
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_a_state_that_is_set_lasts_until_the_next_evaluation(core: Client) -> None:
    cloudwatch = core.client("cloudwatch")
    cloudwatch.put_metric_alarm(**ALARM)
    cloudwatch.set_alarm_state(AlarmName="slow", StateValue="ALARM", StateReason="a drill")
    (found,) = cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
    assert found["StateReason"] == "a drill"
    core.cloud.parts.watch.alarms.tick()
    assert cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"] == []


def test_what_is_refused(core: Client) -> None:
    cloudwatch = core.client("cloudwatch")
    refusals: tuple[tuple[Callable[[], Any], str], ...] = (
        (lambda: cloudwatch.delete_alarms(AlarmNames=["none"]), "ResourceNotFound"),
        (
            lambda: cloudwatch.set_alarm_state(
                AlarmName="none", StateValue="OK", StateReason="drill"
            ),
            "ResourceNotFound",
        ),
        (
            lambda: cloudwatch.put_metric_alarm(**{**ALARM, "Statistic": "Sum"}),
            "InvalidParameterCombination",
        ),
        (lambda: cloudwatch.put_metric_alarm(**{**ALARM, "Period": 61}), "InvalidParameterValue"),
        (
            lambda: cloudwatch.put_metric_alarm(**{**ALARM, "ComparisonOperator": "Above"}),
            "ValidationError",
        ),
    )
    for call, code in refusals:
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code


def test_dashboards_are_still_motos(core: Client) -> None:
    cloudwatch = core.client("cloudwatch")
    cloudwatch.put_dashboard(DashboardName="dogs", DashboardBody='{"widgets": []}')
    (entry,) = cloudwatch.list_dashboards()["DashboardEntries"]
    assert entry["DashboardName"] == "dogs"


def query(cloud: Client, action: str, **params: Any) -> tuple[int, str]:
    form = {"Action": action, "Version": "2010-08-01", **params}
    status, body = fetch(f"{cloud.url}/", "POST", urlencode(form), **SIGNED)
    return status, body.decode()


def test_clients_that_speak_the_query_protocol(core: Client) -> None:
    data = {"MetricData.member.1.MetricName": "m", "MetricData.member.1.Value": "2.5"}
    dimension = {
        "MetricData.member.1.Dimensions.member.1.Name": "a",
        "MetricData.member.1.Dimensions.member.1.Value": "1 & 2",
    }
    assert query(core, "PutMetricData", Namespace="N", **data, **dimension)[0] == 200
    status, body = query(core, "ListMetrics", Namespace="N")
    assert status == 200
    assert "<Dimensions><member><Name>a</Name><Value>1 &amp; 2</Value></member></Dimensions>" in (
        body
    )
    now = time.time()
    status, body = query(
        core,
        "GetMetricStatistics",
        Namespace="N",
        MetricName="m",
        Period="60",
        StartTime=datetime.fromtimestamp(now - 300, UTC).isoformat(),
        EndTime=datetime.fromtimestamp(now + 300, UTC).isoformat(),
        **{
            "Statistics.member.1": "Sum",
            "Dimensions.member.1.Name": "a",
            "Dimensions.member.1.Value": "1 & 2",
        },
    )
    assert "<Sum>2.5</Sum>" in body
    status, body = query(core, "DeleteAlarms", **{"AlarmNames.member.1": "none"})
    assert (status, "<Code>ResourceNotFound</Code>" in body) == (404, True)
    status, body = query(core, "GetMetricStatistics", Namespace="N")
    assert (status, "<Code>ValidationError</Code>" in body) == (400, True)


def test_clients_that_speak_smithys_rpc(core: Client) -> None:
    model = load_model("cloudwatch")
    serializer, parser = (make("smithy-rpc-v2-cbor") for make in (create_serializer, create_parser))

    def ask(name: str, **params: Any) -> Any:
        operation = model.operation_model(name)
        sent = serializer.serialize_to_request(params, operation)
        headers = {key.replace("-", "_"): value for key, value in sent["headers"].items()}
        headers["Authorization"] = SIGNED["Authorization"]
        status, body = fetch(core.url + sent["url_path"], "POST", sent["body"], **headers)
        answer = {"status_code": status, "headers": {}, "body": body}
        return parser.parse(answer, operation.output_shape)

    put(core, 1.0, 2.0)
    now = datetime.now(UTC)
    found = ask(
        "GetMetricStatistics",
        Namespace="N",
        MetricName="Latency",
        Dimensions=DIMENSIONS,
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=3600,
        Statistics=["Sum"],
    )
    assert [point["Sum"] for point in found["Datapoints"]] == [3.0]
    assert abs(found["Datapoints"][0]["Timestamp"] - now) < timedelta(hours=1)
    refused = ask("DeleteAlarms", AlarmNames=["none"])
    assert refused["Error"]["Code"] == "ResourceNotFound"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False)
    | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(value=JSON)
def test_cbor_gives_back_what_it_was_given(value: Any) -> None:
    assert decode(encode(value)) == value


@given(data=st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with contextlib.suppress(Unreadable):
        decode(data)


def test_cbor_of_other_writers() -> None:
    # {_ "a": [_ 1, (_ "x", "y")], "t": 1(1.5)} with a half-precision float
    found = decode(bytes.fromhex("bf6161 9f01 7f61786179ff ff 6174 c1f93e00 ff"))
    assert found == {"a": [1, "xy"], "t": 1.5}
    for broken in ("", "81", "9f", "ff", "0000", "a10102", "5affffffff", "81" * 70 + "00"):
        with pytest.raises(Unreadable):
            decode(bytes.fromhex(broken))
