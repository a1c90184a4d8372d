"""AWS Lambda on this machine."""

from localaws.functions.service import Functions

__all__ = ["Functions"]
