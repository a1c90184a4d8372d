"""What requests for CloudWatch, Logs, SSM, IAM, STS, CloudFormation and Auto Scaling need."""

from __future__ import annotations

from localaws.access.question import ANY, Asked, Question

_IAM = {
    "InstanceProfile": "instance-profile",
    "Role": "role",
    "User": "user",
    "Group": "group",
}
_TAGGED = {
    "CreateRole": "iam:TagRole",
    "CreateUser": "iam:TagUser",
    "CreatePolicy": "iam:TagPolicy",
    "CreateInstanceProfile": "iam:TagInstanceProfile",
}


def cloudwatch(question: Question) -> list[Asked]:
    """Alarms by name; metrics know no resource, but a namespace."""
    params, operation = question.params, question.operation
    if operation == "PutMetricData":
        space = {"cloudwatch:namespace": [str(params.get("Namespace", ""))]}
        return [question.of(ANY, more=space)]
    if "ResourceARN" in params:
        return [question.of(str(params["ResourceARN"]))]
    one = [params["AlarmName"]] if "AlarmName" in params else []
    names = one if operation.startswith("Describe") else [*one, *params.get("AlarmNames", [])]
    resources = [question.arn(f"alarm:{name}") for name in names] or [ANY]
    found = [question.of(resource) for resource in resources]
    return found + question.tagging("cloudwatch:TagResource", resources[0], params.get("Tags"))


def logs(question: Question) -> list[Asked]:
    """The log group with its streams."""
    group = question.params.get("logGroupName")
    if group is None:
        return [question.of(ANY)]
    stream = question.params.get("logStreamName", ANY)
    return [question.of(question.arn(f"log-group:{group}:log-stream:{stream}"))]


def ssm(question: Question) -> list[Asked]:
    """Each parameter; those that AWS publishes belong to no account."""
    one = [question.params["Name"]] if "Name" in question.params else []
    names = [str(name) for name in [*one, *question.params.get("Names", [])]]
    return [question.of(_parameter(question, name)) for name in names] or [question.of(ANY)]


def _parameter(question: Question, name: str) -> str:
    place = f"{question.caller.region}:" if name.startswith("/aws/") else None
    return question.arn(f"parameter/{name.lstrip('/')}", place=place)


def iam(question: Question) -> list[Asked]:
    """The entity that is made, changed or asked for; its tags, and the role that a profile gets."""
    params, operation = question.params, question.operation
    resource = _entity(question)
    found = [question.of(resource)]
    if operation in _TAGGED:
        found += question.tagging(_TAGGED[operation], resource, params.get("Tags"))
    if operation == "AddRoleToInstanceProfile":
        found.append(question.passing(question.role_arn(str(params.get("RoleName"))), "ec2"))
    return found


def _entity(question: Question) -> str:
    params, place = question.params, f":{question.caller.account_id}"
    for kind, word in _IAM.items():
        if f"{kind}Name" in params:
            return question.arn(f"{word}/{params[f'{kind}Name']}", place=place)
    if "PolicyName" in params and question.operation == "CreatePolicy":
        return question.arn(f"policy/{params['PolicyName']}", place=place)
    return str(params.get("PolicyArn", params.get("Arn", params.get("PolicySourceArn", ANY))))


def sts(question: Question) -> list[Asked]:
    """The role that is taken."""
    return [question.of(str(question.params.get("RoleArn", ANY)))]


def cloudformation(question: Question) -> list[Asked]:
    """The stack; what it makes is not held against who asked for it."""
    name = str(question.params.get("StackName", ANY))
    resource = name if name == ANY or name.startswith("arn:") else question.arn(f"stack/{name}/*")
    tags = question.params.get("Tags")
    return [
        question.of(resource),
        *question.tagging("cloudformation:TagResource", resource, tags),
    ]


def scaling(question: Question) -> list[Asked]:
    """A scalable target has an id that nobody knows before; reading knows no resource."""
    reads = question.operation.startswith("Describe")
    return [question.of(ANY if reads else question.arn("scalable-target/*"))]


def anything(question: Question) -> list[Asked]:
    """Held against `*`."""
    return [question.of(ANY)]
