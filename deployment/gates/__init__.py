"""What a model has to pass before it may go live, with the evidence kept on the release."""

from deployment.gates.gate import Gate, require

__all__ = ["Gate", "require"]
