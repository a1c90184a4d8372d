"""The one door to MLflow. Writing the same thing twice changes nothing."""

from experiments.tracking.stores import default_uri
from experiments.tracking.tracker import Tracker

__all__ = ["Tracker", "default_uri"]
