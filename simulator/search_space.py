"""Which settings are worth a try for a question, and one step away from some settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from experiments.errors import SpecError
from simulator.run import Question
from simulator.settings import Settings, vcpus
from simulator.study import Market
from simulator.traffic import DAY_S

_FULL = 0.7
_SAFETY = 0.5
_ROOMY = 50


def priced_kinds(question: Question, market: Market) -> list[str]:
    """Types with a hosting price whose vCPUs are known; the asked one first."""
    kinds = [question.settings.instance_type]
    if question.service.vcpus is None or question.settings.serverless is not None:
        return kinds  # measured on that type alone
    for kind in market.book.instance_types("sagemaker", "hosting", market.region):
        try:
            vcpus(kind)
        except SpecError:
            continue
        if kind not in kinds:
            kinds.append(kind)
    return kinds


def _peak_per_s(question: Question) -> float:
    length = min(question.length_s, DAY_S)
    minutes = range(int(length // 60))
    return max(question.traffic.expected(60.0 * m, 60.0 * (m + 1)) / 60 for m in minutes)


def endpoints(question: Question, kinds: Sequence[str]) -> Iterator[Settings]:
    """Numbers of instances from one to what the peak needs, and targets by AWS's load test rule.

    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-loadtest.html: the most that an
    instance does in a minute times a safety factor of 0.5; 0.7 is tried as well.
    """
    asked, peak = question.settings, _peak_per_s(question)
    roomy = _concurrency(question, peak)
    for kind in kinds if asked.serverless is None else ():
        photo_s = _on(question, kind).photo_time.mean_s
        a_minute = 60 * asked.workers / photo_s
        needed = max(1, math.ceil(peak * photo_s / asked.workers / _FULL))
        for least in sorted({1, 2, math.ceil(needed / 2), needed}):
            for most in sorted({least, max(least, needed), max(least, asked.max_instances)}):
                fixed = (asked.target_per_minute,)
                targets = fixed if most == least else (*fixed, _SAFETY * a_minute, _FULL * a_minute)
                for target in targets:
                    yield replace(
                        asked,
                        instance_type=kind,
                        min_instances=least,
                        max_instances=most,
                        target_per_minute=round(target, 1),
                        reserved_concurrency=roomy,
                    )


def _on(question: Question, kind: str) -> Question:
    return replace(question, settings=replace(question.settings, instance_type=kind))


def _concurrency(question: Question, peak: float) -> int:
    asked = question.settings.concurrency
    under_way = peak * (question.photo_time.mean_s + question.assumed.front_ms / 1000)
    return min(900, max(asked, _ROOMY, math.ceil(under_way + 6 * math.sqrt(under_way + 1))))


def functions(question: Question, settings: Settings) -> Iterator[Settings]:
    """The asked and a roomy reserved number, with none to as many warm environments as asked."""
    asked = question.settings
    for reserved in {asked.reserved_concurrency, settings.reserved_concurrency}:
        for warm in sorted({0, 1, 2, asked.provisioned_concurrency}):
            if reserved is None or warm <= reserved:
                yield replace(settings, reserved_concurrency=reserved, provisioned_concurrency=warm)


def moves(settings: Settings) -> Iterator[tuple[str, float | int]]:
    """Names of settings and a value one step away; it may be one that cannot be."""
    steps: list[tuple[str, float | int]] = []
    if settings.serverless is None:
        for step in (-1, 1):
            steps.append(("min_instances", settings.min_instances + step))
            steps.append(("max_instances", settings.max_instances + step))
        for factor in (0.5, 2.0):
            steps.append(("target_per_minute", settings.target_per_minute * factor))
            steps.append(("scale_out_cooldown_s", settings.scale_out_cooldown_s * factor))
            steps.append(("scale_in_cooldown_s", settings.scale_in_cooldown_s * factor))
    if settings.reserved_concurrency is not None:
        half = max(1, settings.reserved_concurrency // 2)
        steps += [("reserved_concurrency", half)]
        steps += [("reserved_concurrency", 2 * settings.reserved_concurrency)]
    for step in (-1, 1):
        steps.append(("provisioned_concurrency", settings.provisioned_concurrency + step))
    for factor in (0.5, 2.0):
        steps.append(("memory_mb", int(settings.memory_mb * factor)))
    yield from sorted(steps, key=lambda step: step[0])
