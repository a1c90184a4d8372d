"""Lambda's control plane: names, versions, aliases, concurrency, policies, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import stat
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from localaws.clock import ManualClock
from localaws.functions.config import Config, identity
from localaws.functions.limits import limit_of, provisioned_total, unreserved
from localaws.functions.names import parse_ref
from localaws.functions.pool import Lease, OnDemandPool, environment_key
from localaws.functions.publish import publish
from localaws.functions.records import FunctionDoc, choose_target, new_doc
from localaws.wire.protocol import AwsError, Caller
from tests.localaws.compute_world import lambda_only, make_function, role, settle, until, zipped
from tests.localaws.conftest import UNCHECKED, Client, StartCloud

CALLER = Caller(account_id="123456789012", region="us-east-1", access_key_id="a")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


@pytest.fixture
def lambdas(start_cloud: StartCloud) -> Client:
    return start_cloud(build=lambda_only)


def refused(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def config_doc(reserved: int | None = None, **provisioned: int) -> FunctionDoc:
    config = {"FunctionArn": ARN, "Version": "$LATEST", "CodeSha256": "x", "Handler": "h.h"}
    doc = new_doc(config, {})
    doc["reserved"] = reserved
    doc["provisioned"] = {name: {"requested": count} for name, count in provisioned.items()}
    return doc


# Names


@pytest.mark.parametrize(
    ("text", "qualifier"),
    [
        ("f", None),
        ("f:live", "live"),
        (ARN, None),
        (f"{ARN}:7", "7"),
        ("123456789012:function:f:$LATEST", "$LATEST"),
    ],
)
def test_a_function_is_named_in_every_form_that_aws_takes(text: str, qualifier: str | None) -> None:
    ref = parse_ref(text, None, CALLER)
    assert (ref.function_arn, ref.qualifier) == (ARN, qualifier)


def test_two_qualifiers_that_differ_are_refused() -> None:
    with pytest.raises(AwsError, match="derived qualifier"):
        parse_ref("f:live", "test", CALLER)


# Functions and their code


def test_create_describes_the_function_as_lambda_does(lambdas: Client) -> None:
    client, code = lambdas.client("lambda"), zipped()
    arn = role(lambdas, "r", "lambda.amazonaws.com")
    made = client.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="handler.handler",
        Role=arn,
        Code={"ZipFile": code},
        Tags={"team": "a"},
    )
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
    settled = settle(lambdas)
    assert settled["State"] == "Active"
    assert settled["RevisionId"] != made["RevisionId"]
    assert settled["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    assert (settled["CodeSize"], settled["Timeout"], settled["MemorySize"]) == (len(code), 3, 128)
    assert settled["FunctionArn"] == ARN
    assert client.get_function(FunctionName="f")["Tags"] == {"team": "a"}
    assert [f["FunctionName"] for f in client.list_functions()["Functions"]] == ["f"]


def test_create_refuses_what_lambda_refuses(lambdas: Client) -> None:
    create = lambdas.client("lambda").create_function
    params: dict[str, Any] = {
        "FunctionName": "f",
        "Runtime": "python3.11",
        "Handler": "handler.handler",
        "Role": role(lambdas, "r", "lambda.amazonaws.com"),
        "Code": {"ZipFile": zipped()},
    }
    other = role(lambdas, "other", "ec2.amazonaws.com")
    unassumable = "The role defined for the function cannot be assumed by Lambda."
    assert refused(create, **params | {"Role": other})[1] == unassumable
    assert refused(create, **params | {"Role": other + "-missing"})[1] == unassumable
    assert "Could not unzip" in refused(create, **params | {"Code": {"ZipFile": b"no zip"}})[1]
    assert "4KB" in refused(create, **params, Environment={"Variables": {"BIG": "x" * 4096}})[1]
    assert (
        "AWS_REGION" in refused(create, **params, Environment={"Variables": {"AWS_REGION": "x"}})[1]
    )
    assert refused(create, **params, Timeout=901)[0] == "ValidationException"
    missing = {"S3Bucket": "nothing-here", "S3Key": "k"}
    assert "NoSuchBucket" in refused(create, **params | {"Code": missing})[1]
    assert "Python" in refused(create, **params | {"Runtime": "nodejs22.x"})[1]
    create(**params)
    assert refused(create, **params) == ("ResourceConflictException", "Function already exist: f")


def entry(name: str, mode: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("z", "w") as z:
        for _ in range(260):
            z.write(bytes(1 << 20))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (entry("link", stat.S_IFLNK | 0o777), "link"),
        (entry("../out.py", stat.S_IFREG | 0o644), "leaves the package"),
        (entry("/abs.py", stat.S_IFREG | 0o644), "leaves the package"),
        (bomb(), "262144000"),
    ],
    ids=["link", "parent", "absolute", "bomb"],
)
def test_unsafe_packages_are_refused(lambdas: Client, data: bytes, part: str) -> None:
    make_function(lambdas)
    update = lambdas.client("lambda").update_function_code
    assert part in refused(update, FunctionName="f", ZipFile=data)[1]


def test_code_comes_from_s3_and_a_dry_run_changes_nothing(lambdas: Client) -> None:
    before = make_function(lambdas)
    s3, client = lambdas.client("s3"), lambdas.client("lambda")
    s3.create_bucket(Bucket="code")
    s3.put_object(Bucket="code", Key="f.zip", Body=zipped("def handler(e, c): return 2"))
    place = {"S3Bucket": "code", "S3Key": "f.zip"}
    dry = client.update_function_code(FunctionName="f", DryRun=True, **place)
    assert dry["CodeSha256"] != before["CodeSha256"]
    assert client.get_function_configuration(FunctionName="f") | {"ResponseMetadata": 0} == (
        before | {"ResponseMetadata": 0}
    )
    client.update_function_code(FunctionName="f", **place)
    assert settle(lambdas)["CodeSha256"] == dry["CodeSha256"]


def test_an_update_needs_the_present_revision(lambdas: Client) -> None:
    revision = make_function(lambdas)["RevisionId"]
    client = lambdas.client("lambda")
    client.update_function_configuration(FunctionName="f", Timeout=9, RevisionId=revision)
    settle(lambdas)
    code, message = refused(
        client.update_function_configuration, FunctionName="f", Timeout=5, RevisionId=revision
    )
    assert code == "PreconditionFailedException"
    assert "does not match the latest Revision Id" in message
    assert client.get_function_configuration(FunctionName="f")["Timeout"] == 9


# Versions


def test_a_version_is_made_only_when_something_changed(lambdas: Client) -> None:
    make_function(lambdas)
    client = lambdas.client("lambda")
    first = client.publish_version(FunctionName="f", Description="one")
    assert (first["Version"], first["FunctionArn"]) == ("1", f"{ARN}:1")
    assert client.publish_version(FunctionName="f")["Version"] == "1"
    client.update_function_configuration(FunctionName="f", MemorySize=300)
    settle(lambdas)
    assert client.publish_version(FunctionName="f")["Version"] == "2"
    versions = client.list_versions_by_function(FunctionName="f")["Versions"]
    assert [(v["Version"], v["MemorySize"]) for v in versions] == [
        ("$LATEST", 300),
        ("1", 256),
        ("2", 300),
    ]
    code, _ = refused(client.publish_version, FunctionName="f", CodeSha256="wrong")
    assert code == "InvalidParameterValueException"


def test_a_deleted_number_is_not_given_again(lambdas: Client) -> None:
    make_function(lambdas, Publish=True)
    client = lambdas.client("lambda")
    client.delete_function(FunctionName="f", Qualifier="1")
    assert client.publish_version(FunctionName="f")["Version"] == "2"
    assert refused(client.get_function, FunctionName="f", Qualifier="1") == (
        "ResourceNotFoundException",
        f"Function not found: {ARN}:1",
    )


def test_a_version_that_an_alias_names_is_not_deleted(lambdas: Client) -> None:
    make_function(lambdas, Publish=True)
    client = lambdas.client("lambda")
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    code, message = refused(client.delete_function, FunctionName="f", Qualifier="1")
    assert (code, message.rpartition(": ")[2]) == ("ResourceConflictException", "[live]")
    client.delete_function(FunctionName="f")
    assert refused(client.get_function, FunctionName="f")[0] == "ResourceNotFoundException"


@given(changes=st.lists(st.sampled_from(["a", "b", "publish"]), max_size=20))
def test_versions_count_up_and_equal_neighbours_never_differ_in_nothing(changes: list[str]) -> None:
    doc = config_doc()
    for change in changes:
        if change == "publish":
            publish(doc, None)
        else:
            doc["latest"] = {**doc["latest"], "Handler": change}
    numbers = sorted(map(int, doc["versions"]))
    assert numbers == list(range(1, len(numbers) + 1))
    identities = [identity(doc["versions"][str(number)]) for number in numbers]
    assert all(a != b for a, b in itertools.pairwise(identities))


# Aliases


def test_an_alias_moves_with_its_revision(lambdas: Client) -> None:
    make_function(lambdas, Publish=True)
    client = lambdas.client("lambda")
    made = client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    assert refused(client.create_alias, FunctionName="f", Name="live", FunctionVersion="1") == (
        "ResourceConflictException",
        f"Alias already exists: {ARN}:live",
    )
    client.update_function_configuration(FunctionName="f", Timeout=7)
    settle(lambdas)
    client.publish_version(FunctionName="f")
    moved = client.update_alias(
        FunctionName="f", Name="live", FunctionVersion="2", RevisionId=made["RevisionId"]
    )
    assert moved["FunctionVersion"] == "2"
    stale = {"FunctionName": "f", "Name": "live", "FunctionVersion": "1"}
    code, _ = refused(client.update_alias, **stale, RevisionId=made["RevisionId"])
    assert code == "PreconditionFailedException"
    aliases = client.list_aliases(FunctionName="f", FunctionVersion="2")["Aliases"]
    assert [alias["Name"] for alias in aliases] == ["live"]
    assert refused(client.get_alias, FunctionName="f", Name="none") == (
        "ResourceNotFoundException",
        f"Cannot find alias arn: {ARN}:none",
    )


def test_weights_need_two_published_versions(lambdas: Client) -> None:
    make_function(lambdas, Publish=True)
    client = lambdas.client("lambda")

    def create(version: str, weights: dict[str, float]) -> str:
        return refused(
            client.create_alias,
            FunctionName="f",
            Name="split",
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": weights},
        )[1]

    assert "already included" in create("1", {"1": 0.5})
    assert "$LATEST is not supported" in create("$LATEST", {"1": 0.5})
    assert "not found" in create("1", {"9": 0.5})


@given(weight=st.floats(0, 1), roll=st.floats(0, 1, exclude_max=True))
def test_a_weighted_alias_gives_the_share_to_the_second_version(weight: float, roll: float) -> None:
    doc = config_doc()
    for number in ("1", "2"):
        doc["versions"][number] = {**doc["latest"], "Version": number}
    routing = {"AdditionalVersionWeights": {"2": weight}}
    doc["aliases"]["split"] = {"FunctionVersion": "1", "RoutingConfig": routing}
    target = choose_target(doc, parse_ref("f:split", None, CALLER), roll)
    assert target.version == ("2" if roll < weight else "1")


# Concurrency


def test_a_hundred_stay_unreserved(lambdas: Client) -> None:
    make_function(lambdas)
    client = lambdas.client("lambda")
    put = client.put_function_concurrency
    code, message = refused(put, FunctionName="f", ReservedConcurrentExecutions=901)
    assert code == "InvalidParameterValueException"
    assert message == (
        "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100]."
    )
    put(FunctionName="f", ReservedConcurrentExecutions=900)
    limits = client.get_account_settings()["AccountLimit"]
    assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (1000, 100)
    got = client.get_function_concurrency(FunctionName="f")
    assert got["ReservedConcurrentExecutions"] == 900
    client.delete_function_concurrency(FunctionName="f")
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName="f")


def test_provisioned_concurrency_fits_into_the_reserved(lambdas: Client) -> None:
    make_function(lambdas, Publish=True)
    client = lambdas.client("lambda", **UNCHECKED)
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=2)
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    put = client.put_provisioned_concurrency_config

    def message(qualifier: str, count: int) -> str:
        params = {"FunctionName": "f", "Qualifier": qualifier}
        return refused(put, **params, ProvisionedConcurrentExecutions=count)[1]

    assert "unpublished" in message("$LATEST", 1)
    assert "should not be greater than the reserved" in message("live", 3)
    assert "greater than or equal to 1" in message("live", 0)
    got = client.get_provisioned_concurrency_config
    code, _ = refused(got, FunctionName="f", Qualifier="live")
    assert code == "ProvisionedConcurrencyConfigNotFoundException"
    put(FunctionName="f", Qualifier="live", ProvisionedConcurrentExecutions=1)
    assert "pointed by a Provisioned Concurrency alias" in message("1", 1)
    lower = {"FunctionName": "f", "ReservedConcurrentExecutions": 0}
    assert (
        "total provisioned concurrency [1]" in refused(client.put_function_concurrency, **lower)[1]
    )


@given(
    reserved=st.none() | st.integers(0, 50),
    provisioned=st.integers(0, 50),
    others=st.lists(st.integers(0, 100), max_size=5),
)
def test_limits_never_promise_more_than_the_account_has(
    reserved: int | None, provisioned: int, others: list[int]
) -> None:
    doc = config_doc(reserved, live=provisioned)
    docs = [doc, *(config_doc(other) for other in others)]
    limit = limit_of(ARN, doc, docs)
    if reserved is None:
        assert limit.most + provisioned_total(doc) + sum(others) == 1000
        assert limit.most == unreserved(docs)
    else:
        assert limit.most == max(0, reserved - provisioned)
        assert limit.name == ARN


# Environments


class FakeEnvironment:
    """What a pool needs of an environment, without a process."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.retired = self.closed = False
        self.idle_since = 0.0
        self.init_ms = 1.0

    @property
    def usable(self) -> bool:
        return not self.retired and not self.closed

    def close(self) -> None:
        self.closed = True


@given(steps=st.lists(st.sampled_from(["take", "give", "break"]), max_size=40))
def test_a_pool_keeps_its_limit_and_lends_each_environment_once(steps: list[str]) -> None:
    made: list[FakeEnvironment] = []

    def launch(config: Config, initialization: str) -> Any:
        made.append(FakeEnvironment(config))
        return made[-1]

    pool = OnDemandPool(launch, ManualClock())
    config = config_doc()["latest"]
    lent: list[Lease] = []
    for step in steps:
        if step == "take":
            lease = pool.take(config, environment_key(config), "bucket", 3)
            assert (lease is None) == (len(lent) == 3)
            if lease is not None:
                assert lease.environment.usable
                lent.append(lease)
        elif lent:
            lease = lent.pop(0)
            lease.environment.retired = step == "break"
            lease.give_back()
        assert pool.running("bucket") == len(lent)
        assert len({id(lease.environment) for lease in lent}) == len(lent)
        assert sum(environment.usable for environment in made) <= 3
    pool.close()
    assert not any(environment.usable for environment in made)


def test_the_most_recent_environment_is_lent_first_and_idle_ones_end() -> None:
    clock = ManualClock()
    pool = OnDemandPool(lambda config, _: FakeEnvironment(config), clock, idle_s=60)  # type: ignore[arg-type,return-value]
    config = config_doc()["latest"]
    leases = [
        lease
        for _ in range(2)
        if (lease := pool.take(config, environment_key(config), "b", 9)) is not None
    ]
    for lease in leases:
        lease.give_back()
        clock.advance(1)
    again = pool.take(config, environment_key(config), "b", 9)
    assert again is not None
    assert again.environment is leases[1].environment and not again.cold
    clock.advance(70)
    first: Any = leases[0].environment
    until(lambda: first.closed or None)
    pool.close()


# Policies, tags, restarts


def test_permissions_and_tags(lambdas: Client) -> None:
    make_function(lambdas)
    client = lambdas.client("lambda")
    grant = {
        "FunctionName": "f",
        "StatementId": "api",
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceAccount": "123456789012",
    }
    statement = json.loads(client.add_permission(**grant)["Statement"])
    assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"AWS:SourceAccount": "123456789012"}}
    assert refused(client.add_permission, **grant)[0] == "ResourceConflictException"
    policy = json.loads(client.get_policy(FunctionName="f")["Policy"])
    assert [s["Sid"] for s in policy["Statement"]] == ["api"]
    client.remove_permission(FunctionName="f", StatementId="api")
    assert refused(client.get_policy, FunctionName="f")[0] == "ResourceNotFoundException"
    client.tag_resource(Resource=ARN, Tags={"a": "1", "b": "2"})
    client.untag_resource(Resource=ARN, TagKeys=["a"])
    assert client.list_tags(Resource=ARN)["Tags"] == {"b": "2"}


def test_lists_come_in_pages(lambdas: Client) -> None:
    arn = role(lambdas, "r", "lambda.amazonaws.com")
    for number in range(5):
        make_function(lambdas, f"f{number}", Role=arn)
    pages = (
        lambdas.client("lambda")
        .get_paginator("list_functions")
        .paginate(PaginationConfig={"PageSize": 2})
    )
    names = [[f["FunctionName"] for f in page["Functions"]] for page in pages]
    assert names == [["f0", "f1"], ["f2", "f3"], ["f4"]]
