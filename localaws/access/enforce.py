"""`--enforce-iam`: a call that the caller's policies do not allow is refused."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug import Request, Response

from localaws.access.asked import asked_of
from localaws.access.policies import Decision, evaluate
from localaws.access.principals import policies_of, principal_of
from localaws.access.question import Asked
from localaws.access.role_objects import denied
from localaws.wire.error_answers import error_answer
from localaws.wire.protocol import ERROR_KEY, OPERATION_KEY, AwsError, Caller
from localaws.wire.scope import credential_scope

_CODES = {
    "s3": "AccessDenied",
    "iam": "AccessDenied",
    "sts": "AccessDenied",
    "monitoring": "AccessDenied",
    "cloudformation": "AccessDenied",
    "ec2": "UnauthorizedOperation",
}
_JSON = ("sagemaker", "logs", "ssm", "application-autoscaling")
# What any principal may ask, whatever its policies say.
_FREE = ("sts:GetCallerIdentity", "sts:GetSessionToken")


class Enforcement:
    """Lets a call pass to `respond` if its caller's identity policies allow it.

    A key that IAM and STS did not give out is the account's root user's, who may do everything.
    """

    def __init__(self, account_id: str, region: str) -> None:
        self._account_id = account_id
        self._region = region

    def through(self, request: Request, service: str, respond: Callable[[], Response]) -> Response:
        """The answer, or AccessDenied in the service's own form."""
        scope = credential_scope(request)
        if scope is None:
            return respond()
        caller = Caller(
            account_id=self._account_id,
            region=scope.region or self._region,
            access_key_id=scope.access_key_id,
        )
        refused = self._refused(request, service, caller)
        if refused is None:
            return respond()
        request.environ[ERROR_KEY] = refused.code
        return error_answer(service, request, refused)

    def _refused(self, request: Request, service: str, caller: Caller) -> AwsError | None:
        principal = principal_of(caller.account_id, caller.access_key_id)
        if principal is None:
            return None
        policies = policies_of(caller.account_id, principal.source_arn) or []
        for asked in asked_of(request, service, caller):
            if asked.action in _FREE:
                continue
            decision = evaluate(
                policies, action=asked.action, resource=asked.resource, context=asked.context
            )
            if decision is not Decision.ALLOWED:
                request.environ.setdefault(OPERATION_KEY, asked.action.partition(":")[2])
                return _denied(principal.arn, asked, decision, service)
        return None


def _denied(who: str, asked: Asked, decision: Decision, service: str) -> AwsError:
    code = _CODES.get(service, "AccessDeniedException")
    status = 400 if service in _JSON else 403
    return denied(who, asked.action, asked.resource, decision, code=code, status=status)
