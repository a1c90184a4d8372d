"""Who may do what: every call has its row, every row its call; no star beyond the written list."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from deployment.access.stack import apply_init, plan_init
from deployment.access.table import HANDED_OVER, ROWS, STARS, operator_policy
from deployment.access.template import template
from deployment.artifact.codebuild import build_and_push, builder_policy
from deployment.artifact.image import push
from deployment.policy import endpoint_policy, function_policy
from deployment.reconcile.teardown import apply_teardown, propose_teardown
from deployment.settings import ServingSettings
from deployment.sweep.inventory import Inventory
from deployment.sweep.sweep import look, remove
from experiments.errors import ReleaseError
from experiments.foundation import Foundation, ec2_policy, plan_foundation, training_policy
from experiments.records import Call
from tests.deployment.account import Account
from tests.deployment.builders import BOOK, handler, means, run, settings
from tests.deployment.faulty import Faulty, promote_through
from tests.deployment.test_sweep import ways
from tests.deployment.world import World
from tests.deployment.yard import NOW, Yard, seeded

PLACE = Foundation(account_id="123456789012", region="us-east-1")
Asked = set[tuple[str, str]]
# What each service does with the role that it takes, by who documents it; the policies hold exactly this.
SHELL = {  # Session Manager's channels, for `pedigree shell`
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}
ROLE_ACTIONS = {
    "FunctionRole": {
        "sagemaker:InvokeEndpoint",  # lambda/endpoint.py
        "logs:CreateLogGroup",  # Lambda's log of the function
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    },
    "EndpointRole": {
        "s3:GetObject",  # SageMaker fetches model.tar.gz
        "s3:PutObject",  # and keeps captured answers
        "ecr:GetAuthorizationToken",  # and pulls the image
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "logs:CreateLogGroup",  # and writes the container's log and metrics
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
        "cloudwatch:PutMetricData",
    },
    "TrainingRole": {
        "s3:GetObject",  # SageMaker fetches the channels; training/ writes output and checkpoints
        "s3:ListBucket",
        "s3:GetBucketLocation",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "logs:CreateLogGroup",  # and writes the log that the launcher mirrors
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "logs:DescribeLogStreams",
        "ecr:GetAuthorizationToken",  # and pulls AWS's image
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        *SHELL,
    },
    "InstanceRole": {
        "s3:GetObject",  # training/host_script, by the AWS CLI
        "s3:ListBucket",
        "s3:GetBucketLocation",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "ssm:UpdateInstanceInformation",  # Session Manager's agent
        *SHELL,
    },
}

DOCKERS = {  # `docker push` to ECR
    "ecr:BatchCheckLayerAvailability",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
}

# What an action is called where it is not called as its request is.
OTHER_NAMES = {
    ("lambda", "invoke"): "InvokeFunction",
    ("s3", "head_object"): "GetObject",
    ("s3", "list_objects_v2"): "ListBucket",
    ("s3", "list_multipart_uploads"): "ListBucketMultipartUploads",
    ("s3", "list_parts"): "ListMultipartUploadParts",
}
# What AWS asks for beside it when the request brings tags.
TAGGING = {
    "sagemaker": "AddTags",
    "iam": "TagRole",
    **dict.fromkeys(("lambda", "cloudwatch", "cloudformation", "ecr"), "TagResource"),
}
INCLUDED = {"codebuild"}  # it has no action for tags: who may create a project may tag it


class RecordingYard(Yard):
    """A yard that remembers what it was asked."""

    def __init__(self, yard: Yard) -> None:
        super().__init__(things=yard.things, objects=yard.objects)
        self.asked: Asked = set()

    def perform(self, call: Any) -> dict[str, Any]:
        self.asked.add((call.service, call.operation))
        return super().perform(call)

    def pages(self, service: str, operation: str, member: str, **params: Any) -> list[Any]:
        self.asked.add((service, operation))
        return super().pages(service, operation, member, **params)


def calls_of_serving(folder: Path) -> list[Call]:
    """Promotions with every kind of change, a way back, a failed first release, and a teardown."""
    worlds = []
    for broken in (False, True):
        world = World()
        cloud = Faulty(world)
        if broken:
            world.endpoints.broken_runs.add("first")
            with pytest.raises(ReleaseError):
                promote_through(cloud, run(world, "first"), handler(folder), world)
        else:
            promote_through(cloud, run(world, "first"), handler(folder), world)
            promote_through(cloud, run(world, "second"), handler(folder, "changed"), world)
            _other(cloud, world, "third", memory_mb=512)
            _other(cloud, world, "third", function_url=True)
            _other(cloud, world, "third", function_url=True, allowed_origins=("*",))
            apply_teardown(propose_teardown(cloud, "dogs-prod"), means(world, cloud=cloud))
        worlds.append(cloud)
    return [call for cloud in worlds for call in cloud.calls]


def _other(cloud: Faulty, world: World, name: str, **how: Any) -> None:
    from deployment.apply import apply_proposal
    from deployment.promote import prepare, propose

    ready = prepare(cloud, run(world, name), settings(**how), now=world.moment.now())
    apply_proposal(propose(cloud, ready, book=BOOK), means(world, cloud=cloud))


def calls_of_sweeping() -> Asked:
    yard = RecordingYard(seeded(500, 0))
    yard.objects.bodies["models/dogs-prod/r-20260101-00000000/model.tar.gz"] = b"x"
    inventory = Inventory(cloud=yard, book=BOOK)
    found = look(inventory, {"active"}, NOW)
    remove(inventory, {"active"}, found.digest, ways(yard))
    return yard.asked


def calls_of_looking() -> Account:
    from deployment.access.quotas import room
    from deployment.access.review import review

    account = Account()
    clock = account.moment.clock()
    apply_init(account, plan_init(account, settings()), clock=clock, say=lambda text: None)
    apply_init(
        account,
        plan_init(account, settings(capture_percent=1)),
        clock=clock,
        say=lambda text: None,
    )
    account.broken = True
    with pytest.raises(ReleaseError, match="Bucket: it exists already"):
        plan = plan_init(account, settings(app="cats"))
        apply_init(account, plan, clock=clock, say=lambda text: None)
    review(account, settings(), clock=clock)
    room(account, settings())
    push(account, now=NOW, say=lambda text: None, run=account.docker)
    for end in ("SUCCEEDED", "FAILED"):
        account.build_end = end
        with nullcontext() if end == "SUCCEEDED" else pytest.raises(ReleaseError):
            build_and_push(account, clock=clock, say=lambda text: None)
    return account


def test_every_call_has_its_row_and_every_row_its_call(tmp_path: Path) -> None:
    """And the policy has exactly their actions, by another table: one fewer or one more fails here."""
    serving, looking = calls_of_serving(tmp_path), calls_of_looking()
    made = {(call.service, call.operation) for call in serving}
    made |= calls_of_sweeping() | looking.asked
    rows = {(row.service, row.operation) for row in ROWS}
    assert made - rows == set(), "calls without a row: the operator may not make them"
    assert rows - made == set(), "rows that no call needs"
    tagged = {(c.service, c.operation) for c in serving if "Tags" in c.params} | looking.tagged
    needed = {_action(*call) for call in made}
    needed |= {f"{service}:{TAGGING[service]}" for service, _ in tagged if service not in INCLUDED}
    passing = {c.operation for c in serving if {"Role", "ExecutionRoleArn"} & c.params.keys()}
    assert passing | looking.passing == HANDED_OVER
    policy = operator_policy(PLACE)["Statement"]
    assert {action for part in policy for action in part["Action"]} == needed | {
        "iam:PassRole",  # what is handed over
        "iam:CreateServiceLinkedRole",  # an account's first RegisterScalableTarget
        *DOCKERS,
    }


def _action(service: str, operation: str) -> str:
    own = "".join(part.capitalize() for part in operation.split("_"))
    prefix = "servicequotas" if service == "service-quotas" else service
    return f"{prefix}:{OTHER_NAMES.get((service, operation), own)}"


def test_the_operators_policy_fits_and_passes_on_only_our_roles_to_three_services() -> None:
    policy = operator_policy(PLACE)
    assert len(json.dumps(policy, separators=(",", ":"))) < 6144  # a managed policy's limit
    passing = policy["Statement"][-2]
    assert passing["Resource"] == ["arn:aws:iam::123456789012:role/pedigree-*"]
    assert set(passing["Condition"]["StringEquals"]["iam:PassedToService"]) == {
        "sagemaker.amazonaws.com",
        "lambda.amazonaws.com",
        "codebuild.amazonaws.com",
    }


def roles(how: ServingSettings) -> dict[str, dict[str, Any]]:
    resources = template(PLACE, how)["Resources"]
    return {k: v["Properties"] for k, v in resources.items() if v["Type"] == "AWS::IAM::Role"}


def test_the_roles_may_do_exactly_what_their_services_do_with_them() -> None:
    found = roles(settings(capture_percent=1))
    assert set(found) == set(ROLE_ACTIONS)
    for logical, expected in ROLE_ACTIONS.items():
        policy = found[logical]["Policies"][0]["PolicyDocument"]
        assert {a for part in policy["Statement"] for a in part["Action"]} == expected
    capture = found["EndpointRole"]["Policies"][0]["PolicyDocument"]["Statement"][-1]
    assert capture["Resource"] == [f"arn:aws:s3:::{PLACE.bucket}/capture/dogs-prod/*"]
    assert "s3:PutObject" not in str(roles(settings())["EndpointRole"])


def test_no_star_stands_beyond_the_written_list() -> None:
    documents = [
        operator_policy(PLACE),
        builder_policy(PLACE),
        *(role["Policies"][0]["PolicyDocument"] for role in roles(settings()).values()),
    ]
    used = set()
    for document in documents:
        for part in document["Statement"]:
            assert not any("*" in action for action in part["Action"]), "actions are named"
            if part["Resource"] == ["*"]:
                used |= set(part["Action"])
    assert used == STARS


def test_services_are_held_to_this_account_where_they_say_so() -> None:
    for logical, role in roles(settings()).items():
        trust = role["AssumeRolePolicyDocument"]["Statement"][0]
        if logical in ("TrainingRole", "EndpointRole"):
            assert trust["Condition"] == {
                "StringEquals": {"aws:SourceAccount": "123456789012"},
                "ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:us-east-1:123456789012:*"},
            }
        assert trust["Principal"]["Service"].endswith(".amazonaws.com")


def test_after_init_a_run_and_a_promotion_make_no_role_of_their_own() -> None:
    found = roles(settings())
    assert found["EndpointRole"]["Policies"][0] == {
        "PolicyName": "pedigree",
        "PolicyDocument": endpoint_policy(settings(), PLACE),
    }
    assert found["FunctionRole"]["Policies"][0]["PolicyDocument"] == function_policy(
        settings(), PLACE
    )
    name = "pedigree-us-east-1"
    assert found["TrainingRole"]["Policies"][0]["PolicyName"] == name
    assert found["InstanceRole"]["Policies"][0]["PolicyName"] == name
    made = plan_foundation(PLACE, _standing())
    assert not [call for call in made if "role" in call.operation or call.service == "s3"]


def _standing() -> Any:
    from experiments.foundation import Standing

    policies = {"pedigree-training": training_policy(PLACE), "pedigree-ec2": ec2_policy(PLACE)}
    return Standing(
        bucket=True,
        bucket_closed=True,
        roles=policies,
        ec2_profile=True,
        profile_role=True,
        closed_group=False,
    )


def test_the_bucket_is_closed_encrypted_and_lets_go_of_what_is_old() -> None:
    resources = template(PLACE, settings())["Resources"]
    bucket = resources["Bucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert "AES256" in str(bucket["BucketEncryption"])
    assert {rule["Id"] for rule in bucket["LifecycleConfiguration"]["Rules"]} == {
        "unfinished-uploads",
        "old-runs",
        "old-answers",
    }
    deny = resources["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert resources["Bucket"]["DeletionPolicy"] == "Retain"


def test_a_second_init_changes_nothing() -> None:
    account = Account()
    clock = account.moment.clock()
    apply_init(account, plan_init(account, settings()), clock=clock, say=lambda text: None)
    again = plan_init(account, settings())
    assert again.call is None
    changed = plan_init(account, settings(capture_percent=1))
    assert changed.call is not None and changed.call.operation == "update_stack"


@pytest.mark.slow
def test_cfn_lint_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template(PLACE, settings(capture_percent=1))))
    linter = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([str(linter), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_cloudsplaining_finds_only_what_is_written_down(tmp_path: Path) -> None:
    """In a process of its own: it configures logging for the whole interpreter."""
    documents = {k: v["Policies"][0]["PolicyDocument"] for k, v in roles(settings()).items()}
    documents |= {"operator": operator_policy(PLACE), "builder": builder_policy(PLACE)}
    path = tmp_path / "policies.json"
    path.write_text(json.dumps(documents))
    code = (
        "import json, sys\n"
        "from cloudsplaining.scan.policy_document import PolicyDocument\n"
        "found = {}\n"
        "for name, text in json.load(open(sys.argv[1])).items():\n"
        "    p = PolicyDocument(text)\n"
        "    found[name] = {'escalation': p.allows_privilege_escalation,\n"
        "        'exfiltration': p.allows_data_exfiltration_actions,\n"
        "        'exposure': p.permissions_management_without_constraints,\n"
        "        'credentials': p.credentials_exposure,\n"
        "        'modification': p.infrastructure_modification}\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {
        name: {kind: what for kind, what in kinds.items() if what}
        for name, kinds in json.loads(done.stdout).items()
    }
    token = {"credentials": ["ecr:GetAuthorizationToken"]}  # no narrower resource exists
    assert found == {
        "TrainingRole": token,
        "EndpointRole": token,
        "InstanceRole": {"modification": ["ssm:UpdateInstanceInformation"]},  # the same
        "FunctionRole": {},
        "operator": token,
        "builder": token,
    }
