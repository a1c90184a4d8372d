"""A SageMaker notebook instance to launch runs from: planned, made, stopped when idle, priced."""
