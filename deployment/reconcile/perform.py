"""Carry out single steps: send the request, fill in what earlier answers said, wait."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deployment.clock import Clock
from deployment.plan.steps import Step, Wait
from deployment.state.observe import not_in_lambda
from experiments.aws import Cloud, is_code
from experiments.errors import CloudError, ReleaseError
from experiments.records import Call

_FIRST_POLL_S = 0.2
_LONGEST_POLL_S = 10.0
# A settled answer that is not the wanted one is believed when it has stood for this long: AWS's
# reads may be a moment behind its writes.
_BELIEVED_S = 5.0
# A role can be taken up to a minute after it was made, and then its policy may still be on the way.
_ROLE_WAITS_S = (1, 2, 4, 8, 10, 10, 10, 15)
_ROLE_WORDS = re.compile(
    r"cannot be assumed|[Cc]ould not assume|[Cc]ould not access model data|is not authorized"
)
_ROLE_CODES = ("ValidationException", "InvalidParameterValueException")
_ROLE_TAKERS = (
    ("sagemaker", "create_model"),
    ("lambda", "create_function"),
    ("lambda", "update_function_configuration"),
)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a promotion is: step `number` of `total`, counted from 1."""

    number: int
    total: int
    text: str
    elapsed_s: float


Report = Callable[[Progress], None]


class StuckError(ReleaseError):
    """What was waited for ended in another state than it should have."""


class RolledBackError(StuckError):
    """AWS brought the endpoint back to the model before, for the reason in the message."""


class Performer:
    """Carries out the steps of one plan in order. `heartbeat` is called between requests."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        clock: Clock,
        report: Report,
        total: int,
        heartbeat: Callable[[], None],
    ) -> None:
        self.words: dict[str, str] = {}
        self._cloud = cloud
        self._clock = clock
        self._report = report
        self._total = total
        self._heartbeat = heartbeat
        self._number = 0
        self._started = clock.monotonic()

    def say(self, text: str) -> None:
        """Report something that is done beside the plan's steps."""
        elapsed = self._clock.monotonic() - self._started
        self._report(
            Progress(
                number=min(self._number, self._total),
                total=self._total,
                text=text,
                elapsed_s=elapsed,
            )
        )

    def perform(self, step: Step) -> None:
        """One step and its wait. Raises CloudError, or ReleaseError if the wait ends badly."""
        self._heartbeat()
        self._number += 1
        self.say(f"{step.title}: {step.why}")
        if step.call is not None:
            answer = self._send(self._filled(step.call, step.fill))
            for member, word in step.keep.items():
                self.words[word] = str(answer[member])
        if step.wait is not None:
            self._wait(replace(step.wait, call=self._filled(step.wait.call, step.fill)))

    def _filled(self, call: Call, fill: Mapping[str, str]) -> Call:
        known = {
            name: self.words[word]
            for name, word in fill.items()
            if word in self.words and name in call.params
        }
        return replace(call, params={**call.params, **known}) if known else call

    def _send(self, call: Call) -> dict[str, Any]:
        waits = _ROLE_WAITS_S if (call.service, call.operation) in _ROLE_TAKERS else ()
        for wait_s in waits:
            try:
                return self._cloud.perform(call)
            except CloudError as error:
                if not (is_code(error, *_ROLE_CODES) and _ROLE_WORDS.search(error.message)):
                    raise
            self.say(f"{call.service} cannot take the new role yet: once more in {wait_s} s")
            self._clock.sleep(wait_s)
            self._heartbeat()
        return self._cloud.perform(call)

    def _wait(self, wait: Wait) -> None:
        began = moved = self._clock.monotonic()
        pause = _FIRST_POLL_S
        while True:
            answer = self._look(wait)
            if _is_done(wait, answer):
                return
            now = self._clock.monotonic()
            moved = now if _is_moving(wait, answer) else moved
            if now - moved >= _BELIEVED_S:
                raise _stuck(wait, answer or {})
            if now - began > wait.limit_s:
                raise _too_long(wait)
            self._clock.sleep(pause)
            self._heartbeat()
            if pause >= 1:
                self.say(f"waiting until {wait.call.why}")
            pause = min(pause * 1.6, _LONGEST_POLL_S)

    def _look(self, wait: Wait) -> dict[str, Any] | None:
        """The answer, or None if the thing is not there (any more, or yet)."""
        try:
            return self._cloud.perform(wait.call)
        except CloudError as error:
            if not_in_lambda(error) or "Could not find" in error.message:
                return None
            raise


def _is_done(wait: Wait, answer: Mapping[str, Any] | None) -> bool:
    if answer is None:
        return wait.gone
    if wait.gone:
        return False
    return all(answer.get(name, values[0]) in values for name, values in wait.until.items())


def _is_moving(wait: Wait, answer: Mapping[str, Any] | None) -> bool:
    if answer is None:
        return False
    if wait.gone:
        return True
    return any(answer.get(name) in values for name, values in wait.moving.items())


def _stuck(wait: Wait, answer: Mapping[str, Any]) -> StuckError:
    state = ", ".join(f"{name} {answer.get(name)}" for name in wait.until) or "nothing there"
    reason = answer.get(wait.reason)
    why = f"it did not come about that {wait.call.why}: {state}{f' ({reason})' if reason else ''}"
    if wait.call.operation == "describe_endpoint" and answer.get("EndpointStatus") == "InService":
        return RolledBackError(
            why, fix="see the reason above and the endpoint's log; promote another run"
        )
    return StuckError(why, fix="see the reason above and the logs in CloudWatch")


def _too_long(wait: Wait) -> ReleaseError:
    return ReleaseError(
        f"after {wait.limit_s} s it is still not so that {wait.call.why}",
        fix="look at it in AWS's console; it may only need more time",
    )
