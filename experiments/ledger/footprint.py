"""What a settled run keeps in S3 and asked of it, and what it logged: asked of AWS where AWS knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from urllib.parse import urlsplit

from experiments.aws import Cloud
from experiments.records import Footprint, LaunchPlan, Usage

_LOG_EVENT_BYTES = 26
"""CloudWatch Logs bills each event's bytes and 26 more (CloudWatch Logs, PutLogEvents)."""
_LOG_COPY_S = Decimal(10)
"""An instance's script copies its log to S3 so often."""
_OTHER_READS = 3
"""Code, weights and the packages."""


def footprint(
    cloud: Cloud, plan: LaunchPlan, usage: Usage | None, lines: Sequence[str]
) -> Footprint:
    """What a run left: its outputs' bytes until they expire, the requests it made, its log's bytes.

    Bytes are as S3 lists them; requests are counted by what the hosts read and wrote, one for each object
    and host, because S3 does not tell them by run. Raises CloudError if the cloud cannot be asked.
    """
    place = urlsplit(plan.output_uri)
    objects = cloud.pages(
        "s3",
        "list_objects_v2",
        "Contents",
        Bucket=place.netloc,
        Prefix=place.path.lstrip("/"),
    )
    ran_s = usage.billable_s if usage else Decimal(0)
    copies = int(ran_s / _LOG_COPY_S) if plan.launcher == "ec2" else 0
    photos = plan.params.get("data/images", "0")
    reads = (int(photos) if photos.isdigit() else 0) + _OTHER_READS
    logged = sum(len(line.encode()) + _LOG_EVENT_BYTES for line in lines)
    return Footprint(
        stored_bytes=sum(int(item.get("Size", 0)) for item in objects),
        stored_days=_days_kept(plan, usage),
        put_requests=len(objects) + copies,
        get_requests=reads * plan.instance_count,
        log_bytes=logged if plan.launcher == "sagemaker" else 0,
    )


def _days_kept(plan: LaunchPlan, usage: Usage | None) -> int:
    """Days from the run's end to the date on its tag; none if either is unknown."""
    known = (usage.ended_at or usage.started_at) if usage else None
    try:
        expires = date.fromisoformat(plan.tags.get("pedigree:expires", ""))
    except ValueError:
        return 0
    return max((expires - known.date()).days, 0) if known else 0
