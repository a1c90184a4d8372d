"""moto's records behind localaws: clean errors, and what a restart finds again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.account.journal import Journal
from localaws.account.records import Records
from localaws.server import open_cloud
from localaws.store import Store
from tests.localaws.conftest import Client, StartCloud, no_services

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
    }
)


def refused(call: Any, **params: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    assert response["ResponseMetadata"]["RetryAttempts"] == 0
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


class Life:
    """Start, look, stop, start again, on the same folder."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    def __call__(self, look: Any) -> Any:
        with open_cloud(state_dir=self.state_dir, build=no_services) as cloud:
            return look(Client(cloud))

    def journal(self) -> list[str]:
        store = Store(self.state_dir / "state.sqlite3")
        names = [entry.operation for entry in Journal(store)]
        store.close()
        return names


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path / "state")


def test_roles_and_policies_survive_with_their_ids_and_dates(life: Life) -> None:
    def make(client: Client) -> Any:
        iam = client.client("iam")
        iam.create_role(RoleName="trainer", AssumeRolePolicyDocument=TRUST)
        iam.put_role_policy(RoleName="trainer", PolicyName="read", PolicyDocument=POLICY)
        made = iam.create_policy(PolicyName="shared", PolicyDocument=POLICY)["Policy"]
        iam.attach_role_policy(RoleName="trainer", PolicyArn=made["Arn"])
        iam.create_instance_profile(InstanceProfileName="node")
        iam.add_role_to_instance_profile(InstanceProfileName="node", RoleName="trainer")
        return look(client)

    def look(client: Client) -> Any:
        iam = client.client("iam")
        role = iam.get_role(RoleName="trainer")["Role"]
        role.pop("RoleLastUsed", None)
        profile = iam.get_instance_profile(InstanceProfileName="node")["InstanceProfile"]
        return {
            "role": {**role, "CreateDate": role["CreateDate"].replace(microsecond=0)},
            "inline": iam.get_role_policy(RoleName="trainer", PolicyName="read")["PolicyDocument"],
            "attached": iam.list_attached_role_policies(RoleName="trainer")["AttachedPolicies"],
            "profile": profile["InstanceProfileId"],
        }

    before = life(make)
    assert before["attached"] != []
    assert life(look) == before
    assert life(look) == before


def test_buckets_and_their_configuration_survive(life: Life) -> None:
    block = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }

    def make(client: Client) -> Any:
        s3 = client.client("s3")
        s3.create_bucket(Bucket="data-bucket")
        s3.put_public_access_block(Bucket="data-bucket", PublicAccessBlockConfiguration=block)
        s3.put_bucket_tagging(
            Bucket="data-bucket", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]}
        )
        s3.put_bucket_tagging(
            Bucket="data-bucket", Tagging={"TagSet": [{"Key": "a", "Value": "2"}]}
        )
        s3.put_bucket_policy(Bucket="data-bucket", Policy=POLICY)
        s3.delete_bucket_policy(Bucket="data-bucket")
        s3.put_object(Bucket="data-bucket", Key="k", Body=b"kept")
        s3.create_bucket(Bucket="short-lived")
        s3.put_bucket_tagging(Bucket="short-lived", Tagging={"TagSet": []})
        s3.delete_bucket(Bucket="short-lived")
        return look(client)

    def look(client: Client) -> Any:
        s3 = client.client("s3")
        where = {"Bucket": "data-bucket"}
        return {
            "buckets": [
                (b["Name"], b["CreationDate"].replace(microsecond=0))
                for b in s3.list_buckets()["Buckets"]
            ],
            "block": s3.get_public_access_block(**where)["PublicAccessBlockConfiguration"],
            "tags": s3.get_bucket_tagging(**where)["TagSet"],
            "policy": refused(s3.get_bucket_policy, **where),
            "object": s3.get_object(**where, Key="k")["Body"].read(),
        }

    before = life(make)
    assert before["block"] == block
    assert before["tags"] == [{"Key": "a", "Value": "2"}]
    assert before["policy"] == ("NoSuchBucketPolicy", 404)
    assert life(look) == before
    # One request for each thing that is still true; the other bucket left no trace.
    assert len(life.journal()) == 4


def test_what_was_deleted_stays_deleted_and_leaves_no_trace(life: Life) -> None:
    def make(client: Client) -> None:
        iam = client.client("iam")
        iam.create_role(RoleName="gone", AssumeRolePolicyDocument=TRUST)
        iam.put_role_policy(RoleName="gone", PolicyName="read", PolicyDocument=POLICY)
        iam.delete_role_policy(RoleName="gone", PolicyName="read")
        iam.delete_role(RoleName="gone")
        ssm = client.client("ssm")
        for name in ("kept", "dropped"):
            ssm.put_parameter(Name=name, Value="v", Type="String")
        ssm.delete_parameter(Name="dropped")

    def look(client: Client) -> Any:
        ssm = client.client("ssm")
        missing = refused(client.client("iam").get_role, RoleName="gone")
        names = [p["Name"] for p in ssm.describe_parameters()["Parameters"]]
        return missing, names, ssm.get_parameter(Name="kept")["Parameter"]["Value"]

    life(make)
    assert life(look) == (("NoSuchEntity", 404), ["kept"], "v")
    assert life.journal() == ["PutParameter"]


def test_alarms_survive_and_data_points_do_not(life: Life) -> None:
    def make(client: Client) -> None:
        cloudwatch = client.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName="slow",
            MetricName="Latency",
            Namespace="N",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
            Statistic="Average",
        )
        cloudwatch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": 1}])

    life(make)
    assert life.journal() == []
    found = life(lambda client: client.client("cloudwatch").describe_alarms())
    assert [alarm["AlarmName"] for alarm in found["MetricAlarms"]] == ["slow"]


STACK = json.dumps(
    {
        "Resources": {
            "Data": {"Type": "AWS::S3::Bucket"},
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {"AssumeRolePolicyDocument": json.loads(TRUST)},
            },
        }
    }
)


def test_a_stacks_resources_keep_their_names(life: Life) -> None:
    def look(client: Client) -> Any:
        stack = client.client("cloudformation")
        resources = stack.describe_stack_resources(StackName="pedigree")["StackResources"]
        buckets = [b["Name"] for b in client.client("s3").list_buckets()["Buckets"]]
        return sorted(r["PhysicalResourceId"] for r in resources), buckets

    def make(client: Client) -> Any:
        client.client("cloudformation").create_stack(StackName="pedigree", TemplateBody=STACK)
        return look(client)

    before = life(make)
    assert len(before[1]) == 1
    assert life(look) == before
    life(lambda client: client.client("cloudformation").delete_stack(StackName="pedigree"))
    assert life.journal() == []


def test_reads_leave_the_journal_alone(life: Life) -> None:
    def look(client: Client) -> None:
        client.client("iam").list_roles()
        client.client("sts").get_caller_identity()
        client.client("s3").list_buckets()
        client.client("ec2").describe_instances()
        refused(client.client("iam").delete_role, RoleName="never")

    life(look)
    assert life.journal() == []


def test_identity_is_the_documented_account(core: Client) -> None:
    assert core.client("sts").get_caller_identity()["Account"] == "123456789012"


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        (
            "iam",
            "simulate_principal_policy",
            {
                "PolicySourceArn": "arn:aws:iam::123456789012:role/r1234567890",
                "ActionNames": ["s3:GetObject"],
            },
        ),
        ("logs", "list_anomalies", {}),
        ("cloudwatch", "list_managed_insight_rules", {"ResourceARN": "arn:aws:x"}),
        ("ec2", "describe_capacity_blocks", {}),
        ("pricing", "describe_services", {}),
    ],
)
def test_what_moto_lacks_is_refused_once_and_in_time(
    core: Client, service: str, operation: str, params: dict[str, Any]
) -> None:
    client = core.client(service, retries={"mode": "standard", "total_max_attempts": 5})
    code, status = refused(getattr(client, operation), **params)
    assert (code, status) == ("NotImplemented", 501)


def test_motos_own_pages_are_out_of_reach(core: Client) -> None:
    core.client("s3").create_bucket(Bucket="kept-bucket")
    s3 = core.client("s3")
    assert refused(s3.put_bucket_tagging, Bucket="moto-api", Tagging={"TagSet": []}) == (
        "InvalidBucketName",
        400,
    )
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["kept-bucket"]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    store = Store(tmp_path / "state.sqlite3")
    made = Records(store=store, account_id="123456789012", region="us-east-1")
    yield made
    made.close()
    store.close()


def test_put_logs_makes_group_and_stream_and_takes_any_time(core: Client) -> None:
    records = core.cloud.parts.records
    now_ms = int(time.time() * 1000)
    ahead_ms = now_ms + 86_400_000
    records.put_logs("/aws/sagemaker/TrainingJobs", "job/algo-1", [(now_ms, "one"), (now_ms, "")])
    records.put_logs("/aws/sagemaker/TrainingJobs", "job/algo-1", [(ahead_ms, "tomorrow")])
    logs = core.client("logs")
    events = logs.get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName="job/algo-1", startFromHead=True
    )["events"]
    assert [(e["timestamp"], e["message"]) for e in events] == [
        (now_ms, "one"),
        (now_ms, ""),
        (ahead_ms, "tomorrow"),
    ]
    streams = logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="job/"
    )["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["job/algo-1"]


def test_calls_from_many_threads_are_all_kept(start_cloud: StartCloud, tmp_path: Path) -> None:
    core = start_cloud(build=no_services)
    iam = core.client("iam", max_pool_connections=8)

    def make(number: int) -> None:
        iam.create_role(RoleName=f"role-{number}", AssumeRolePolicyDocument=TRUST)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = Store(core.cloud.settings.state_dir / "state.sqlite3")
    subjects = {entry.subjects for entry in Journal(store)}
    store.close()
    assert subjects == {(f"RoleName=role-{number}",) for number in range(16)}
