"""What a notebook instance may do: launch and follow runs, and stop itself."""

from __future__ import annotations

from experiments.access import EC2_ROLE, TRAINING_ROLE, Foundation, Policy, storage_statements

NOTEBOOK_ROLE = "pedigree-notebook"
NAME_PREFIX = "pedigree-"


def notebook_policy(foundation: Foundation) -> Policy:
    """Its own bucket, runs and log lines; the two roles of runs may be handed over and no other."""
    statements = [
        *storage_statements(foundation),
        *_storage(foundation),
        *_runs(foundation),
        *_instances(foundation),
        *_looks(foundation),
        _own_end(foundation),
        _hand_over(foundation),
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(sid: str, actions: list[str], resources: list[str]) -> Policy:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def _account(foundation: Foundation, service: str) -> str:
    return f"arn:aws:{service}:{foundation.region}:{foundation.account_id}"


def _storage(foundation: Foundation) -> list[Policy]:
    bucket = f"arn:aws:s3:::{foundation.bucket}"
    prefixes = ("datasets", "code", "weights", "wheels")
    return [
        _allow("PutInputs", ["s3:PutObject"], [f"{bucket}/{prefix}/*" for prefix in prefixes]),
        _allow("ReadBook", ["s3:GetObject"], [f"{bucket}/notebooks/*"]),
        _allow("LookAtBucket", ["s3:GetBucketPolicy"], [bucket]),
    ]


def _runs(foundation: Foundation) -> list[Policy]:
    jobs = f"{_account(foundation, 'sagemaker')}:training-job/*"
    verbs = ("CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "AddTags")
    return [_allow("Runs", [f"sagemaker:{verb}" for verb in verbs], [jobs])]


def _instances(foundation: Foundation) -> list[Policy]:
    ours = _account(foundation, "ec2")
    kinds = ("instance", "volume", "network-interface", "security-group", "subnet")
    verbs = ["ec2:TerminateInstances", "ec2:GetConsoleOutput"]
    own = _allow("ReadAndEndOwnInstances", verbs, [f"{ours}:instance/*"])
    return [
        _allow("Launch", ["ec2:RunInstances"], [f"{ours}:{kind}/*" for kind in kinds]),
        _allow("LaunchImage", ["ec2:RunInstances"], [f"arn:aws:ec2:{foundation.region}::image/*"]),
        _allow("Tag", ["ec2:CreateTags"], [f"{ours}:instance/*", f"{ours}:volume/*"]),
        {**own, "Condition": {"StringLike": {"aws:ResourceTag/pedigree:run": "*"}}},
    ]


def _looks(foundation: Foundation) -> list[Policy]:
    roles = [foundation.role_arn(TRAINING_ROLE), foundation.role_arn(EC2_ROLE)]
    profile = f"arn:aws:iam::{foundation.account_id}:instance-profile/{EC2_ROLE}"
    logs = f"{_account(foundation, 'logs')}:log-group:/aws/sagemaker/TrainingJobs*"
    image = f"arn:aws:ssm:{foundation.region}::parameter/aws/service/deeplearning/*"
    return [
        _allow("LookAtInstances", ["ec2:DescribeInstances", "ec2:DescribeSecurityGroups"], ["*"]),
        _allow("LookAtRoles", ["iam:GetRole", "iam:GetRolePolicy"], roles),
        _allow("LookAtProfile", ["iam:GetInstanceProfile"], [profile]),
        _allow("FollowLogs", ["logs:DescribeLogStreams", "logs:GetLogEvents"], [logs]),
        _allow("FindImage", ["ssm:GetParameter"], [image]),
    ]


def _own_end(foundation: Foundation) -> Policy:
    mine = f"{_account(foundation, 'sagemaker')}:notebook-instance/{NAME_PREFIX}*"
    return _allow("OwnEnd", ["sagemaker:StopNotebookInstance"], [mine])


def _hand_over(foundation: Foundation) -> Policy:
    roles = [foundation.role_arn(TRAINING_ROLE), foundation.role_arn(EC2_ROLE)]
    services = ["sagemaker.amazonaws.com", "ec2.amazonaws.com"]
    allow = _allow("HandOverRoles", ["iam:PassRole"], roles)
    return {**allow, "Condition": {"StringEquals": {"iam:PassedToService": services}}}
