"""Identity policies evaluated as IAM documents it ("Policy evaluation logic"). Pure.

An explicit Deny wins over any Allow; what no statement allows is denied implicitly.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

Policy = Mapping[str, Any]
Context = Mapping[str, Sequence[str]]
"""Condition keys, in lower case, with the values that the request has for each."""


class Decision(StrEnum):
    """As SimulatePrincipalPolicy calls them."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicitDeny"
    IMPLICIT_DENY = "implicitDeny"


def evaluate(
    policies: Iterable[Policy], *, action: str, resource: str, context: Context
) -> Decision:
    """What the policies together say of one action on one resource (`*`: none in particular)."""
    found = Decision.IMPLICIT_DENY
    for policy in policies:
        for statement in _many(policy.get("Statement", [])):
            if not applies(statement, action=action, resource=resource, context=context):
                continue
            if statement["Effect"] == "Deny":
                return Decision.EXPLICIT_DENY
            found = Decision.ALLOWED
    return found


def applies(statement: Policy, *, action: str, resource: str, context: Context) -> bool:
    """Whether a statement speaks of this action on this resource in this context."""
    if not _named(statement, "Action", action.lower(), lower=True):
        return False
    if not _named(statement, "Resource", resource, lower=False, context=context):
        return False
    return all(
        _holds(operator, key, _many(wanted), context)
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _named(
    statement: Policy, element: str, value: str, *, lower: bool, context: Context | None = None
) -> bool:
    """Whether `Action` or `Resource` matches, or its `Not` form does not."""
    for name, wanted in ((element, True), (f"Not{element}", False)):
        if name in statement:
            patterns = [str(text) for text in _many(statement[name])]
            patterns = [_substituted(text, context or {}) for text in patterns]
            return wanted == any(like(value, p.lower() if lower else p) for p in patterns)
    return element == "Resource"


def like(value: str, pattern: str) -> bool:
    """IAM's wildcards: `*` for any text, `?` for one character; everything else is itself."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


_VARIABLE = re.compile(r"\$\{([^}]+)\}")


def _substituted(pattern: str, context: Context) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1].partition(",")[0].strip()
        if name in ("*", "?", "$"):
            return f"[{name}]" if name != "$" else name
        return (context.get(name.lower()) or [found[0]])[0]

    return _VARIABLE.sub(value, pattern)


def _holds(operator: str, key: str, wanted: Sequence[Any], context: Context) -> bool:
    """One condition. `IfExists`, `ForAnyValue:` and `ForAllValues:` are as IAM has them."""
    values = context.get(key.lower())
    name = operator
    quantifier, _, rest = operator.partition(":")
    if rest:
        name = rest
    if name == "Null":
        return (values is None) == (str(wanted[0]).lower() == "true")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    test = _OPERATORS.get(name)
    if test is None:
        raise ValueError(f"the condition operator {operator} is not evaluated here")
    compare, negated = test
    if values is None:
        return if_exists or negated or quantifier == "ForAllValues"
    asked = [str(text).lower() if isinstance(text, bool) else str(text) for text in wanted]
    each = [any(compare(value, text) for text in asked) != negated for value in values]
    return any(each) if quantifier == "ForAnyValue" else all(each)


def _equal(value: str, wanted: str) -> bool:
    return value == wanted


def _equal_anyhow(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _number(compare: str) -> Any:
    def test(value: str, wanted: str) -> bool:
        one, other = float(value), float(wanted)
        return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other,
                "=": one == other}[compare]  # fmt: skip

    return test


_OPERATORS: dict[str, tuple[Any, bool]] = {
    "StringEquals": (_equal, False),
    "StringNotEquals": (_equal, True),
    "StringEqualsIgnoreCase": (_equal_anyhow, False),
    "StringNotEqualsIgnoreCase": (_equal_anyhow, True),
    "StringLike": (like, False),
    "StringNotLike": (like, True),
    "ArnEquals": (like, False),
    "ArnLike": (like, False),
    "ArnNotEquals": (like, True),
    "ArnNotLike": (like, True),
    "Bool": (_equal_anyhow, False),
    "NumericEquals": (_number("="), False),
    "NumericNotEquals": (_number("="), True),
    "NumericLessThan": (_number("<"), False),
    "NumericLessThanEquals": (_number("<="), False),
    "NumericGreaterThan": (_number(">"), False),
    "NumericGreaterThanEquals": (_number(">="), False),
}


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
