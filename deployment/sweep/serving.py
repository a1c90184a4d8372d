"""What serves: endpoints with their configurations and models, functions with what is kept warm, alarms."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from deployment.state.observe import not_in_sagemaker
from deployment.sweep.reader import DAYS, Reader, Tags, moment, pairs, removal
from deployment.sweep.resource import OWNER, Kind, Resource
from experiments.cost import SECONDS_PER_HOUR
from experiments.errors import CloudError

_NAMED = (
    (Kind.CONFIG, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    (Kind.MODEL, "list_models", "Models", "ModelName"),
)


class Serving(Reader):
    """Reads what serves."""

    def endpoints(self) -> Iterator[Resource]:
        """Endpoints, at the price of the instances that run now."""
        for found in self.cloud.pages("sagemaker", "list_endpoints", "Endpoints"):
            name = found["EndpointName"]
            tags = self.sagemaker_tags(found["EndpointArn"])
            if tags is None:
                continue
            yield Resource(
                kind=Kind.ENDPOINT,
                name=name,
                tags=tags,
                created_at=found["CreationTime"],
                usd_per_day=self._hosting(name) if OWNER in tags else None,
                remove=(removal("sagemaker", "delete_endpoint", EndpointName=name),),
            )

    def _hosting(self, name: str) -> Decimal | None:
        """What the instances cost, or None if it went away or its configuration did."""
        try:
            seen = self.cloud.ask("sagemaker", "describe_endpoint", EndpointName=name)
            config = self.cloud.ask(
                "sagemaker",
                "describe_endpoint_config",
                EndpointConfigName=seen["EndpointConfigName"],
            )
        except CloudError as error:
            if not_in_sagemaker(error):
                return None
            raise
        kinds = {v["VariantName"]: v.get("InstanceType", "") for v in config["ProductionVariants"]}
        prices = [
            self.daily(
                "sagemaker",
                "hosting",
                kinds.get(v["VariantName"], ""),
                v.get("CurrentInstanceCount", 0),
            )
            for v in seen.get("ProductionVariants", [])
        ]
        return None if None in prices else sum((p for p in prices if p is not None), Decimal(0))

    def configs_and_models(self) -> Iterator[Resource]:
        """Endpoint configurations and models, which cost nothing themselves."""
        for kind, listing, member, name in _NAMED:
            operation = listing.replace("list", "delete").removesuffix("s")
            for found in self.cloud.pages("sagemaker", listing, member):
                tags = self.sagemaker_tags(found[name.replace("Name", "Arn")])
                if tags is not None:
                    yield Resource(
                        kind=kind,
                        name=found[name],
                        tags=tags,
                        created_at=found["CreationTime"],
                        usd_per_day=Decimal(0),
                        remove=(removal("sagemaker", operation, **{name: found[name]}),),
                    )

    def functions(self) -> Iterator[Resource]:
        """Functions, and each version or alias of them that is kept warm."""
        for found in self.cloud.pages("lambda", "list_functions", "Functions"):
            name = found["FunctionName"]
            answer = self.cloud.ask("lambda", "list_tags", Resource=found["FunctionArn"])
            tags = dict(answer.get("Tags") or {})
            made = moment(found.get("LastModified"))
            yield Resource(
                kind=Kind.FUNCTION,
                name=name,
                tags=tags,
                created_at=made,
                usd_per_day=Decimal(0),
                remove=(removal("lambda", "delete_function", FunctionName=name),),
            )
            if OWNER in tags:
                yield from self._warm(name, tags, int(found.get("MemorySize", 128)))

    def _warm(self, name: str, tags: Tags, memory_mb: int) -> Iterator[Resource]:
        listed = self.cloud.pages(
            "lambda",
            "list_provisioned_concurrency_configs",
            "ProvisionedConcurrencyConfigs",
            FunctionName=name,
        )
        for entry in listed:
            version = str(entry["FunctionArn"]).rsplit(":", 1)[-1]
            number = entry["RequestedProvisionedConcurrentExecutions"]
            seconds = Decimal(24) * SECONDS_PER_HOUR * number * memory_mb / 1024
            params = {"FunctionName": name, "Qualifier": version}
            yield Resource(
                kind=Kind.PROVISIONED,
                name=f"{name}:{version}",
                tags=tags,
                created_at=moment(entry.get("LastModified")),
                usd_per_day=self.price(seconds, "lambda", "provisioned_concurrency_gb_second"),
                remove=(removal("lambda", "delete_provisioned_concurrency_config", **params),),
                version=version,
            )

    def alarms(self) -> Iterator[Resource]:
        """CloudWatch's alarms."""
        for found in self.cloud.pages("cloudwatch", "describe_alarms", "MetricAlarms"):
            answer = self.cloud.ask(
                "cloudwatch", "list_tags_for_resource", ResourceARN=found["AlarmArn"]
            )
            yield Resource(
                kind=Kind.ALARM,
                name=found["AlarmName"],
                tags=pairs(answer.get("Tags", [])),
                created_at=found.get("AlarmConfigurationUpdatedTimestamp"),
                usd_per_day=self.price(1 / DAYS, "cloudwatch", "alarm_month"),
                remove=(removal("cloudwatch", "delete_alarms", AlarmNames=[found["AlarmName"]]),),
            )
