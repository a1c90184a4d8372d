"""The operations of CloudWatch that are ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localaws.clock import Timer
from localaws.metrics.alarm_requests import alarm_of, shown
from localaws.metrics.alarms import AlarmBook
from localaws.metrics.data import MetricData
from localaws.metrics.queries import (
    listed,
    metric_data,
    metric_of,
    metric_statistics,
    put,
    refuse,
)
from localaws.settings import Settings
from localaws.wire.protocol import AwsError, Caller

Doc = dict[str, Any]
Params = Mapping[str, Any]
ALARM_PAGE, METRIC_PAGE = 50, 500


class Operations:
    """Handlers for `ModelService`."""

    def __init__(
        self, data: MetricData, alarms: AlarmBook, clock: Timer, settings: Settings
    ) -> None:
        self._data = data
        self._alarms = alarms
        self._clock = clock
        self._settings = settings

    def put_metric_data(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch PutMetricData."""
        del caller
        for datum in params.get("MetricData", []):
            put(self._data, params["Namespace"], datum)
        return {}

    def get_metric_statistics(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch GetMetricStatistics."""
        del caller
        return metric_statistics(self._data, params)

    def get_metric_data(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch GetMetricData; everything is on one page."""
        del caller
        return metric_data(self._data, params)

    def list_metrics(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch ListMetrics."""
        del caller
        found, token = _cut(listed(self._data, params), params, METRIC_PAGE)
        return {"Metrics": found, "NextToken": token}

    def put_metric_alarm(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch PutMetricAlarm: new, or changed with its state kept."""
        del caller
        now = self._clock.now()
        with self._alarms.lock:
            old = self._alarms.get(params["AlarmName"])
            doc = alarm_of(params, old, now, self._settings)
            self._alarms.put(doc)
        return {}

    def describe_alarms(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch DescribeAlarms; there are metric alarms only."""
        del caller
        if "AlarmNames" in params and "AlarmNamePrefix" in params:
            text = "AlarmNames and AlarmNamePrefix cannot be given together."
            raise refuse(text, "InvalidParameterCombination")
        kinds = params.get("AlarmTypes") or ["MetricAlarm"]
        found = [
            doc
            for doc in self._alarms.everything()
            if "MetricAlarm" in kinds and _is_asked_for(doc, params)
        ]
        page, token = _cut(found, params, params.get("MaxRecords", ALARM_PAGE))
        return {
            "MetricAlarms": [shown(doc) for doc in page],
            "CompositeAlarms": [],
            "NextToken": token,
        }

    def describe_alarms_for_metric(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch DescribeAlarmsForMetric."""
        del caller
        wanted = metric_of(params)
        found = [
            shown(doc)
            for doc in self._alarms.everything()
            if "MetricName" in doc
            and metric_of(doc) == wanted
            and all(params.get(key) in (None, doc.get(key)) for key in ("Statistic", "Period"))
        ]
        return {"MetricAlarms": found}

    def describe_alarm_history(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch DescribeAlarmHistory: the last hundred events of each alarm."""
        del caller
        found = [
            one
            for one in self._alarms.history(params.get("AlarmName"))
            if params.get("HistoryItemType") in (None, one["HistoryItemType"])
            and params.get("StartDate", float("-inf")) <= one["Timestamp"]
            and one["Timestamp"] <= params.get("EndDate", float("inf"))
        ]
        if params.get("ScanBy", "TimestampDescending") == "TimestampDescending":
            found.reverse()
        page, token = _cut(found, params, params.get("MaxRecords", 100))
        return {"AlarmHistoryItems": page, "NextToken": token}

    def set_alarm_state(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch SetAlarmState: until the next evaluation finds another."""
        del caller
        with self._alarms.lock:
            if self._alarms.get(params["AlarmName"]) is None:
                raise AwsError("ResourceNotFound", f"Alarm {params['AlarmName']} does not exist.")
            self._alarms.turn(
                params["AlarmName"],
                params["StateValue"],
                params["StateReason"],
                params.get("StateReasonData", "{}"),
            )
        return {}

    def delete_alarms(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch DeleteAlarms: all of them, or none when one does not exist."""
        del caller
        with self._alarms.lock:
            missing = [name for name in params["AlarmNames"] if self._alarms.get(name) is None]
            if missing:
                text = f"Alarm {', '.join(missing)} does not exist."
                raise AwsError("ResourceNotFound", text)
            for name in params["AlarmNames"]:
                self._alarms.delete(name)
        return {}

    def enable_alarm_actions(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch EnableAlarmActions: a mark; actions have no effect here."""
        del caller
        return self._mark_actions(params["AlarmNames"], enabled=True)

    def disable_alarm_actions(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch DisableAlarmActions."""
        del caller
        return self._mark_actions(params["AlarmNames"], enabled=False)

    def list_tags_for_resource(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch ListTagsForResource, of an alarm."""
        del caller
        tags = self._tagged(params)["Tags"]
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}

    def tag_resource(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch TagResource, of an alarm."""
        del caller
        with self._alarms.lock:
            doc = self._tagged(params)
            doc["Tags"] = doc["Tags"] | {tag["Key"]: tag["Value"] for tag in params["Tags"]}
            self._alarms.put(doc)
        return {}

    def untag_resource(self, params: Params, caller: Caller) -> Doc:
        """CloudWatch UntagResource, of an alarm."""
        del caller
        with self._alarms.lock:
            doc = self._tagged(params)
            gone = set(params["TagKeys"])
            doc["Tags"] = {key: value for key, value in doc["Tags"].items() if key not in gone}
            self._alarms.put(doc)
        return {}

    def _mark_actions(self, names: list[str], *, enabled: bool) -> Doc:
        with self._alarms.lock:
            for name in names:
                doc = self._alarms.get(name)
                if doc is not None:
                    self._alarms.put({**doc, "ActionsEnabled": enabled})
        return {}

    def _tagged(self, params: Params) -> Doc:
        wanted = params["ResourceARN"]
        for doc in self._alarms.everything():
            if doc["AlarmArn"] == wanted:
                return doc
        raise AwsError("ResourceNotFoundException", f"Unknown resource {wanted}.")


def _is_asked_for(doc: Doc, params: Params) -> bool:
    names, prefix = params.get("AlarmNames"), params.get("AlarmNamePrefix", "")
    actions = [*doc["AlarmActions"], *doc["OKActions"], *doc["InsufficientDataActions"]]
    action = params.get("ActionPrefix", "")
    return (
        (not names or doc["AlarmName"] in names)
        and doc["AlarmName"].startswith(prefix)
        and params.get("StateValue") in (None, doc["StateValue"])
        and (not action or any(one.startswith(action) for one in actions))
    )


def _cut(items: list[Doc], params: Params, size: int) -> tuple[list[Doc], str | None]:
    token = params.get("NextToken") or "0"
    if not token.isdigit():
        raise AwsError("InvalidNextToken", f"The token {token} is not valid.")
    first = int(token)
    more = len(items) > first + size
    return items[first : first + size], str(first + size) if more else None
