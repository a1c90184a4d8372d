"""The one error of this room."""


class DemoDataError(Exception):
    """The dataset cannot be drawn; `fix` says what to do about it."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(f"{message}. {fix}")
        self.message = message
        self.fix = fix
