"""How many instances an endpoint has at this moment."""

from __future__ import annotations

from deployment.settings import VARIANT, ServingSettings
from experiments.aws import Cloud


def count_instances(cloud: Cloud, settings: ServingSettings) -> int | None:
    """The number that SageMaker runs now; None where it says none. Raises CloudError."""
    answer = cloud.ask("sagemaker", "describe_endpoint", EndpointName=settings.name)
    variants = [v for v in answer.get("ProductionVariants", []) if v["VariantName"] == VARIANT]
    return variants[0].get("CurrentInstanceCount") if variants else None
