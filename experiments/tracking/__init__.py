"""The one door to MLflow. Writing the same thing twice changes nothing."""

from experiments.tracking.tracker import Tracker, default_uri

__all__ = ["Tracker", "default_uri"]
