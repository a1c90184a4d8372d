"""Every error a user can meet, drawn as one tree. Each names its fix and carries its exit code."""

from __future__ import annotations

from collections.abc import Mapping


class PedigreeError(Exception):
    """Root of all errors that Pedigree raises on purpose.

    `message` says what is wrong, `fix` what to do about it; `exit_code` is what the command returns.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}"


class SpecError(PedigreeError):
    """The experiment file asks for something that cannot be."""

    exit_code = 2


class DataError(PedigreeError):
    """The photographs cannot be used as they are."""

    exit_code = 2


class PriceError(PedigreeError):
    """A price is not in the book, and is not guessed."""

    exit_code = 2


class BusyError(PedigreeError):
    """Somebody else is doing this at the moment."""

    exit_code = 3


class CloudError(PedigreeError):
    """The cloud is not there, or answered a call with an error: `code`, and `members` beside it."""

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        fix: str,
        code: str = "",
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, fix=fix)
        self.code = code
        self.members = members or {}


class RunError(PedigreeError):
    """A training run was refused, failed or was stopped."""

    exit_code = 5


class ReleaseError(PedigreeError):
    """A promotion was refused by a gate, or the world changed under its plan."""

    exit_code = 6


class BudgetError(PedigreeError):
    """A launch would break a budget, or a budget is not one."""

    exit_code = 7


EXIT_CODES: dict[int, str] = {
    0: "all went well",
    1: "an error nobody foresaw; the message says where its trace was written",
    2: "the command, the experiment file, the data or a price is wrong; nothing was started",
    3: "another pedigree command or server holds what this one needs",
    4: "the cloud cannot be reached, or refused a call",
    5: "a training run failed, was refused or was stopped",
    6: "a promotion was refused by a gate or met a changed world; what is live stays live",
    7: "a budget would be broken; nothing was started",
    130: "interrupted by Ctrl-C; what was started has been stopped, or goes on if that was the answer",
}
