"""Training jobs, models and endpoints that really run."""
