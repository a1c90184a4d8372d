"""SageMaker's HTTP contract: routes, admission, deadlines, shedding, draining and metrics."""
