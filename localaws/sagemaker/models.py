"""SageMaker's models and endpoint configurations: records that endpoints are made from."""

from __future__ import annotations

from localaws.account import roles
from localaws.clock import Timer
from localaws.sagemaker.hosting.routing import strategy_of
from localaws.sagemaker.hosting.serverless import check_serverless
from localaws.sagemaker.listing import Columns, page
from localaws.sagemaker.tags import Tags
from localaws.sagemaker.words import (
    Doc,
    Params,
    already_exists,
    arn,
    could_not_find,
    invalid,
    split_s3_uri,
    unsupported,
)
from localaws.sagemaker.world import World
from localaws.settings import Settings
from localaws.store import Store
from localaws.wire.protocol import AwsError, Caller

SERVICE = "sagemaker.amazonaws.com"
_CONFIG = "endpoint configuration"
_MODEL_COLUMNS = Columns(name="ModelName")
_CONFIG_COLUMNS = Columns(name="EndpointConfigName")
_REFUSED_CONFIG = ("AsyncInferenceConfig", "ShadowProductionVariants", "ExplainerConfig")
_REFUSED_VARIANT = ("InstancePools", "ManagedInstanceScaling")
_INSTANCES = ("InstanceType", "InitialInstanceCount")


class Models:
    """CreateModel, DescribeModel, ListModels, DeleteModel."""

    def __init__(self, store: Store, tags: Tags, world: World) -> None:
        self._table = store.table("models")
        self._tags = tags
        self._world = world
        self._clock = world.clock
        self._settings = world.settings

    def create_model(self, params: Params, caller: Caller) -> Doc:
        """SageMaker CreateModel; the archive must exist and the role trust SageMaker."""
        del caller
        name = params["ModelName"]
        model_arn = arn(self._settings, "model", name)
        if self._table.get(name) is not None:
            raise already_exists("model", model_arn)
        container = _container(params)
        self._check_data(container, params.get("ExecutionRoleArn"))
        doc = {key: value for key, value in params.items() if key != "Tags"}
        doc.setdefault("EnableNetworkIsolation", False)
        doc.update(ModelArn=model_arn, CreationTime=self._clock.now())
        if not self._table.insert(name, doc):
            raise already_exists("model", model_arn)
        self._tags.set(model_arn, params.get("Tags", []))
        return {"ModelArn": model_arn}

    def describe_model(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DescribeModel."""
        del caller
        return self.get(params["ModelName"])

    def list_models(self, params: Params, caller: Caller) -> Doc:
        """SageMaker ListModels."""
        del caller
        docs, token = page([doc for _, doc in self._table.items()], params, _MODEL_COLUMNS)
        shown = ("ModelName", "ModelArn", "CreationTime")
        return {"Models": [{key: doc[key] for key in shown} for doc in docs], "NextToken": token}

    def delete_model(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DeleteModel: the record only; endpoints that run it go on."""
        del caller
        self._tags.forget(self.get(params["ModelName"])["ModelArn"])
        self._table.delete(params["ModelName"])
        return {}

    def get(self, name: str) -> Doc:
        """The model's document. Raises AWS's error when there is none."""
        doc = self._table.get(name)
        if doc is None:
            raise could_not_find("model", arn(self._settings, "model", name))
        return doc

    def _check_data(self, container: Doc, role: str | None) -> None:
        uri = container.get("ModelDataUrl")
        if role is None:
            raise invalid("ExecutionRoleArn is required: name a role that SageMaker may assume.")
        if not roles.trusts(role, SERVICE):
            raise invalid(
                f'Could not access model data at {uri}. Please ensure that the role "{role}" '
                'exists and that its trust relationship policy allows the action "sts:AssumeRole" '
                f'for the service principal "{SERVICE}".'
            )
        if uri is not None and not self._found(uri, role):
            raise invalid(f"Could not find model data at {uri}.")

    def _found(self, uri: str, role: str) -> bool:
        try:
            return self._world.objects_of(role).exists(*split_s3_uri(uri))
        except AwsError as error:
            raise invalid(
                f'Could not access model data at {uri}. Please ensure that the role "{role}" has '
                f'"s3:GetObject" permissions. Error message from S3: {error.message}'
            ) from error


def _container(params: Params) -> Doc:
    """The one container of the request, or of a model's document."""
    containers = params.get("Containers", [])
    if ("PrimaryContainer" in params) == bool(containers):
        raise invalid("You must provide either PrimaryContainer or Containers, and not both.")
    if len(containers) > 1:
        raise unsupported("inference pipelines", "use one PrimaryContainer")
    container: Doc = params["PrimaryContainer"] if not containers else containers[0]
    for member in ("ModelPackageName", "ModelDataSource", "AdditionalModelDataSources"):
        if container.get(member):
            raise unsupported(member, "use Image and ModelDataUrl")
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise unsupported("multi-model containers", "use Mode SingleModel")
    if "Image" not in container:
        raise invalid("You must provide the Image of the container.")
    return container


def container_of(model: Doc) -> Doc:
    """What an instance runs: the model's container and the role that it runs as."""
    return {**_container(model), "ExecutionRoleArn": model["ExecutionRoleArn"]}


class EndpointConfigs:
    """CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs, DeleteEndpointConfig."""

    def __init__(
        self, store: Store, tags: Tags, clock: Timer, models: Models, settings: Settings
    ) -> None:
        self._table = store.table("endpoint-configs")
        self._tags = tags
        self._clock = clock
        self._models = models
        self._settings = settings

    def create_endpoint_config(self, params: Params, caller: Caller) -> Doc:
        """SageMaker CreateEndpointConfig; its models must exist."""
        del caller
        name = params["EndpointConfigName"]
        config_arn = arn(self._settings, "endpoint-config", name)
        if self._table.get(name) is not None:
            raise already_exists(_CONFIG, config_arn)
        for member in _REFUSED_CONFIG:
            if params.get(member):
                raise unsupported(member, "use ProductionVariants with instances")
        variants = [self._variant(variant) for variant in params["ProductionVariants"]]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) < len(names):
            raise invalid("Each VariantName must be unique within the endpoint configuration.")
        if any("ServerlessConfig" in variant for variant in variants):
            _check_serverless_config(params)
        doc = {key: value for key, value in params.items() if key != "Tags"}
        doc.update(
            EndpointConfigArn=config_arn,
            ProductionVariants=variants,
            CreationTime=self._clock.now(),
        )
        if not self._table.insert(name, doc):
            raise already_exists(_CONFIG, config_arn)
        self._tags.set(config_arn, params.get("Tags", []))
        return {"EndpointConfigArn": config_arn}

    def describe_endpoint_config(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DescribeEndpointConfig."""
        del caller
        return self.get(params["EndpointConfigName"])

    def list_endpoint_configs(self, params: Params, caller: Caller) -> Doc:
        """SageMaker ListEndpointConfigs."""
        del caller
        docs, token = page([doc for _, doc in self._table.items()], params, _CONFIG_COLUMNS)
        shown = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        summaries = [{key: doc[key] for key in shown} for doc in docs]
        return {"EndpointConfigs": summaries, "NextToken": token}

    def delete_endpoint_config(self, params: Params, caller: Caller) -> Doc:
        """SageMaker DeleteEndpointConfig: AWS allows it while in use; updates then fail."""
        del caller
        name = params["EndpointConfigName"]
        self._tags.forget(self.get(name)["EndpointConfigArn"])
        self._table.delete(name)
        return {}

    def get(self, name: str) -> Doc:
        """The configuration's document. Raises AWS's error when there is none."""
        doc = self._table.get(name)
        if doc is None:
            raise could_not_find(_CONFIG, arn(self._settings, "endpoint-config", name))
        return doc

    def _variant(self, variant: Params) -> Doc:
        for member in _REFUSED_VARIANT:
            if variant.get(member):
                raise unsupported(member, "use InstanceType and InitialInstanceCount")
        strategy_of(variant)
        serverless = variant.get("ServerlessConfig")
        if serverless is not None:
            check_serverless(serverless)
            if any(member in variant for member in _INSTANCES):
                raise invalid(
                    "ServerlessConfig cannot be given together with InstanceType and "
                    "InitialInstanceCount."
                )
        for member in ("ModelName", *(_INSTANCES if serverless is None else ())):
            if member not in variant:
                raise invalid(f"{member} is required for variant {variant['VariantName']}.")
        self._models.get(variant["ModelName"])
        return {"InitialVariantWeight": 1.0, **variant}


def _check_serverless_config(params: Params) -> None:
    if len(params["ProductionVariants"]) > 1:
        raise invalid("A serverless endpoint has exactly one production variant.")
    if "DataCaptureConfig" in params:
        raise invalid("DataCaptureConfig is not supported for serverless endpoints.")
