"""What `pedigree simulate`, `promote-model` and `plan` give the simulator: settings, traffic, time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cli.workspace import Workspace

if TYPE_CHECKING:
    from deployment.settings import ServingSettings
    from experiments.aws import Cloud
    from simulator.service import ServiceTime
    from simulator.settings import Settings
    from simulator.traffic import Traffic

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_FILES = 20_000
# ResNet50 in f32 by OpenVINO, 17 images a second on two cores (benchmarks/RESULTS.md names how).
ASSUMED_MS, ASSUMED_VCPUS = 59.0, 2


def settings_of(serving: ServingSettings) -> Settings:
    """A release's settings as the simulator takes them."""
    from simulator.settings import Settings

    return Settings(
        instance_type=serving.instance_type,
        min_instances=serving.min_instances,
        max_instances=serving.max_instances,
        target_per_minute=serving.target_invocations_per_instance,
        scale_in_cooldown_s=serving.scale_in_cooldown_s,
        scale_out_cooldown_s=serving.scale_out_cooldown_s,
        reserved_concurrency=serving.reserved_concurrency,
        provisioned_concurrency=serving.provisioned_concurrency,
        memory_mb=serving.memory_mb,
        timeout_s=serving.timeout_s,
        endpoint_read_timeout_s=serving.endpoint_read_timeout_s,
    )


def default_settings() -> Settings:
    """What `promote-model` would use."""
    from deployment.settings import ServingSettings

    return settings_of(ServingSettings(app="any"))


def read_traffic(profile: str | None, trace: str | None, cloud_name: str) -> Traffic:
    """A profile by its words, or recorded traffic; little traffic when neither is given."""
    from experiments.errors import SpecError
    from simulator.profile_text import parse_traffic

    if profile and trace:
        raise SpecError("--traffic and --trace are both given", fix="give one of them")
    if trace is not None:
        return read_trace(trace, cloud_name)
    return parse_traffic(profile or "little")


def read_trace(place: str, cloud_name: str) -> Traffic:
    """A file, a folder of captured requests, the same below an s3:// address, or what CloudWatch
    counted of `cloudwatch:ENDPOINT` in the last day. Raises DataError, CloudError."""
    from experiments.captured import captured_lines
    from experiments.errors import DataError
    from simulator.recorded import parse_captured, parse_recorded

    if place.startswith("cloudwatch:"):
        cloud = Workspace.here().open_cloud(cloud_name)
        return counted_invocations(cloud, place.partition(":")[2], datetime.now(tz=UTC))
    if place.startswith("s3://"):
        cloud = Workspace.here().open_cloud(cloud_name)
        return parse_captured(captured_lines(cloud, place), name=place)
    path = Path(place)
    if path.is_dir():
        files = sorted(path.rglob("*.jsonl"))
        if not files:
            raise DataError(f"{path} holds no .jsonl files", fix="give the folder of the capture")
        texts = [_text(file) for file in files[:MAX_FILES]]
        return parse_captured([line for text in texts for line in text.splitlines()], name=place)
    return parse_recorded(_text(path), name=path.name)


def counted_invocations(cloud: Cloud, endpoint: str, now: datetime) -> Traffic:
    """CloudWatch's counts by the minute of an endpoint of ours, over the day before `now`.

    Raises DataError where it counted none, CloudError.
    """
    from deployment.settings import VARIANT
    from simulator.recorded import parse_cloudwatch

    answer = cloud.ask(
        "cloudwatch",
        "get_metric_statistics",
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": VARIANT},
        ],
        StartTime=now - timedelta(days=1),
        EndTime=now,
        Period=60,
        Statistics=["Sum"],
    )
    points = [
        {"Timestamp": point["Timestamp"].isoformat(), "Sum": point["Sum"]}
        for point in answer["Datapoints"]
    ]
    return parse_cloudwatch(json.dumps({"Datapoints": points}), name=f"CloudWatch of {endpoint}")


def read_service_time(
    ms: float | None, file: Path | None, measured_on: str | None, spread: float
) -> ServiceTime:
    """The time of one photo, and the vCPUs it was measured with (None: as it is on any type)."""
    from experiments.errors import SpecError
    from simulator.service import constant_ms, parse_times
    from simulator.settings import vcpus

    if ms is not None and file is not None:
        raise SpecError("--service-ms and --service-file are both given", fix="give one of them")
    count = _vcpus(measured_on) if measured_on else None
    if file is not None:
        return parse_times(_text(file), name=file.name, vcpus=count)
    if ms is not None:
        where = f" on {measured_on}" if measured_on else ""
        return constant_ms(ms, spread=spread, vcpus=count, source=f"given{where}")
    return constant_ms(
        ASSUMED_MS,
        spread=spread,
        vcpus=vcpus("ml.m5.large"),
        source=f"assumed: ResNet50 in f32 on {ASSUMED_VCPUS} vCPUs; measure yours with --archive",
    )


def _vcpus(measured_on: str) -> float:
    """`2` for a machine with two, or an instance type."""
    from simulator.settings import vcpus

    return float(measured_on) if measured_on.isdecimal() else float(vcpus(measured_on))


def _text(path: Path) -> str:
    from experiments.errors import DataError

    if not path.is_file():
        raise DataError(f"there is no file {path}", fix="give the path of a file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DataError(f"{path} is over {MAX_FILE_BYTES} bytes", fix="give a smaller file")
    return path.read_text(encoding="utf-8", errors="replace")
