"""Metric math: CloudWatch's expressions over time series, as far as they are plain arithmetic.

Numbers, names of other queries, `+ - * / ^`, comparisons (1 or 0), AND, OR, parentheses, lists
`[m1, m2]`, METRICS(), and the functions of `_FUNCTIONS`. Between two series only the times that
both have count.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Series = dict[float, float]
Value = Any  # float, Series, or a list of Series

_WORD = re.compile(
    r"\s*(?:(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)|([A-Za-z_]\w*)|(\"[^\"]*\")"
    r"|(>=|<=|==|!=|&&|\|\||[-+*/^()\[\],<>]))"
)
_MAX_DEPTH = 50
_OPERATORS: tuple[dict[str, Callable[[float, float], float]], ...] = (
    {"||": lambda a, b: float(bool(a or b)), "OR": lambda a, b: float(bool(a or b))},
    {"&&": lambda a, b: float(bool(a and b)), "AND": lambda a, b: float(bool(a and b))},
    {
        ">": lambda a, b: float(a > b),
        "<": lambda a, b: float(a < b),
        ">=": lambda a, b: float(a >= b),
        "<=": lambda a, b: float(a <= b),
        "==": lambda a, b: float(a == b),
        "!=": lambda a, b: float(a != b),
    },
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
)


class BadExpression(Exception):
    """The expression cannot be read, or names something that there is not."""


def evaluate(expression: str, names: Mapping[str, Value], *, period_s: int) -> Value:
    """The value of `expression`; `names` holds the series of the other queries by id."""
    parser = _Parser(expression, names, period_s)
    value = parser.whole()
    if isinstance(value, float) and not math.isfinite(value):
        raise BadExpression(f"{expression!r} has no finite value")
    return value


def names_in(expression: str) -> set[str]:
    """The lower-case names that `expression` uses: ids of other queries."""
    return {name for _, name, _, _ in _WORD.findall(expression) if name[:1].islower()}


class _Parser:
    def __init__(self, text: str, names: Mapping[str, Value], period_s: int) -> None:
        self._words = _split(text)
        self._names = names
        self._period_s = period_s
        self._at = 0
        self._depth = 0

    def whole(self) -> Value:
        value = self._level(0)
        if self._peek():
            raise BadExpression(f"{self._peek()!r} is not expected")
        return value

    def _peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    def _take(self, wanted: str = "") -> str:
        word = self._peek()
        if not word or (wanted and word != wanted):
            raise BadExpression(f"{wanted or 'a value'} is missing")
        self._at += 1
        return word

    def _level(self, level: int) -> Value:
        if level == len(_OPERATORS):
            return self._power()
        left = self._level(level + 1)
        while (sign := self._peek()) in _OPERATORS[level]:
            self._take()
            left = combined(_OPERATORS[level][sign], left, self._level(level + 1))
        return left

    def _power(self) -> Value:
        if self._peek() == "-":
            self._take()
            return combined(operator.mul, -1.0, self._power())
        base = self._atom()
        if self._peek() == "^":
            self._take()
            return combined(math.pow, base, self._power())
        return base

    def _atom(self) -> Value:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BadExpression("the expression is nested too deeply")
        try:
            word = self._take()
            if word == "(":
                value = self._level(0)
                self._take(")")
                return value
            if word == "[":
                return self._rest_of_list("]")
            if word[0].isdigit() or word[0] == ".":
                return float(word)
            return self._named(word)
        finally:
            self._depth -= 1

    def _rest_of_list(self, end: str) -> list[Value]:
        items: list[Value] = []
        while self._peek() != end:
            items.append(self._level(0))
            if self._peek() != end:
                self._take(",")
        self._take(end)
        return items

    def _named(self, word: str) -> Value:
        if self._peek() != "(":
            if word not in self._names:
                raise BadExpression(f"there is no query with the id {word!r}")
            return self._names[word]
        self._take("(")
        if word == "METRICS":
            self._rest_of_list(")")
            return [value for value in self._names.values() if isinstance(value, dict)]
        if word == "PERIOD":
            self._rest_of_list(")")
            return float(self._period_s)
        if word == "FILL":
            return self._fill()
        function = _FUNCTIONS.get(word)
        if function is None:
            raise BadExpression(f"the function {word} is not known here")
        try:
            return function(*self._rest_of_list(")"))
        except TypeError as error:
            raise BadExpression(f"{word} does not take these arguments") from error

    def _fill(self) -> Value:
        """FILL(series, number | REPEAT): times come from the other series of the request."""
        series = self._level(0)
        self._take(",")
        repeat = self._peek() == "REPEAT"
        filler = self._take() if repeat else self._level(0)
        self._take(")")
        others = [value for value in self._names.values() if isinstance(value, dict)]
        times = sorted({at for other in others for at in other} | set(series))
        last, filled = None, {}
        for at in times:
            last = series.get(at, last if repeat else filler)
            if last is not None:
                filled[at] = last
        return filled


def _split(text: str) -> list[str]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise BadExpression(f"{text[at:]!r} cannot be read")
        found.append(next(group for group in match.groups() if group))
        at = match.end()
    return found


def combined(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """`function` value by value; between two series at the times that both have."""
    if isinstance(left, list):
        return [combined(function, item, right) for item in left]
    if isinstance(right, list):
        return [combined(function, left, item) for item in right]
    if isinstance(left, dict) and isinstance(right, dict):
        pairs = {at: (left[at], right[at]) for at in left if at in right}
    elif isinstance(left, dict):
        pairs = {at: (value, right) for at, value in left.items()}
    elif isinstance(right, dict):
        pairs = {at: (left, value) for at, value in right.items()}
    else:
        return _safely(function, left, right)
    computed = {at: _safely(function, *pair) for at, pair in pairs.items()}
    return {at: value for at, value in computed.items() if math.isfinite(value)}


def _safely(function: Callable[[float, float], float], left: float, right: float) -> float:
    try:
        return function(left, right)
    except (ZeroDivisionError, OverflowError, ValueError):
        return math.nan


def _over(reduce: Callable[[Sequence[float]], float]) -> Callable[[Value], Value]:
    """Of one series a number; of several, the series of what they have at each time."""

    def applied(value: Value) -> Value:
        if isinstance(value, dict):
            return reduce(list(value.values())) if value else math.nan
        if not isinstance(value, list):
            raise TypeError
        times = sorted({at for series in value for at in series})
        return {at: reduce([series[at] for series in value if at in series]) for at in times}

    return applied


def _each(function: Callable[[float], float]) -> Callable[[Value], Value]:
    def applied(value: Value) -> Value:
        if isinstance(value, list):
            return [applied(item) for item in value]
        if isinstance(value, dict):
            return {at: function(number) for at, number in value.items()}
        return function(value)

    return applied


def _choice(condition: Value, yes: Value, no: Value) -> Value:
    if not isinstance(condition, dict):
        return yes if condition else no
    chosen = {}
    for at, holds in condition.items():
        pick = yes if holds else no
        value = pick.get(at) if isinstance(pick, dict) else pick
        if value is not None:
            chosen[at] = value
    return chosen


def _running(series: Series) -> Series:
    total, sums = 0.0, {}
    for at in sorted(series):
        total += series[at]
        sums[at] = total
    return sums


def _difference(series: Series) -> Series:
    times = sorted(series)
    return {b: series[b] - series[a] for a, b in itertools.pairwise(times)}


def _rate(series: Series) -> Series:
    times = sorted(series)
    pairs = itertools.pairwise(times)
    return {b: (series[b] - series[a]) / (b - a) for a, b in pairs}


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "SUM": _over(math.fsum),
    "AVG": _over(statistics.fmean),
    "MIN": _over(min),
    "MAX": _over(max),
    "STDDEV": _over(statistics.pstdev),
    "ABS": _each(abs),
    "CEIL": _each(math.ceil),
    "FLOOR": _each(math.floor),
    "IF": _choice,
    "RUNNING_SUM": _running,
    "DIFF": _difference,
    "RATE": _rate,
}
