"""What can go wrong in the model server. Every error says what would put it right."""

from __future__ import annotations


class ServingError(Exception):
    """The root: `message` says what is wrong, `fix` what to do."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(f"{message}; fix: {fix}")
        self.message = message
        self.fix = fix


class SettingError(ServingError):
    """An environment variable that cannot be used, or a port that is taken."""


class ArchiveError(ServingError):
    """A model folder that cannot be served."""

    def __init__(
        self,
        message: str,
        *,
        fix: str = "fetch the archive again; if it stays so, train and promote again",
    ) -> None:
        super().__init__(message, fix=fix)


class RequestError(ServingError):
    """A request that is refused: its HTTP status, and one word for programs in `code`."""

    def __init__(self, status: int, code: str, message: str, fix: str) -> None:
        super().__init__(message, fix=fix)
        self.status = status
        self.code = code


class HandlerError(ServingError):
    """The model's own code failed; `trace` is for the log, never for the client."""

    def __init__(self, message: str, *, trace: str) -> None:
        super().__init__(message, fix="look for the request id in the endpoint's log")
        self.trace = trace
