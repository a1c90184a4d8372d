"""What can go wrong on a training host; every error carries its fix."""

from __future__ import annotations


class TrainingError(Exception):
    """The run cannot go on. `fix` says what the person who started it should do."""

    exit_code = 1

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}; fix: {self.fix}"


class ConfigError(TrainingError):
    """An argument, a hyperparameter or the host's configuration is wrong."""

    exit_code = 2


class DataError(TrainingError):
    """The photos cannot be trained on as they are."""

    exit_code = 2


class WeightsError(TrainingError):
    """The backbone's weights are missing, damaged or of another network."""

    exit_code = 2


class ClusterError(TrainingError):
    """The hosts of the run cannot work together."""


class DivergedError(TrainingError):
    """The loss or the weights stopped being finite numbers."""


class StoppedError(TrainingError):
    """The run was told to stop, and what it had done is in a checkpoint."""

    exit_code = 143
