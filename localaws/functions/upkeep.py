"""What goes on behind the control plane: functions become active, warm ones are kept warm."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from localaws.functions.code import CodeStore
from localaws.functions.config import is_settling, settled
from localaws.functions.limits import provisioned_configs
from localaws.functions.names import FunctionRef, ref_of_arn
from localaws.functions.pool import OnDemandPool
from localaws.functions.provisioned import ProvisionedPool
from localaws.functions.records import FunctionRecords, configs
from localaws.wire.protocol import AwsError

_WORKERS = 2
_log = logging.getLogger(__name__)


class Upkeep:
    """Brings what runs in line with what is recorded, in the background."""

    def __init__(
        self,
        *,
        records: FunctionRecords,
        code: CodeStore,
        on_demand: OnDemandPool,
        provisioned: ProvisionedPool,
    ) -> None:
        self._records = records
        self._code = code
        self._on_demand = on_demand
        self._provisioned = provisioned
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="lambda-upkeep")

    def resume(self) -> None:
        """After a start of the server: finish what was under way, warm what is to be warm."""
        for doc in self._records.everything():
            arn = doc["latest"]["FunctionArn"]
            if any(is_settling(config) for config in configs(doc)):
                self.settle(ref_of_arn(arn))
            if doc["provisioned"]:
                self._workers.submit(self.provision, arn)

    def settle(self, ref: FunctionRef) -> Future[None]:
        """Unpack the function's code and mark it active."""
        return self._workers.submit(self._settle, ref)

    def provision(self, function_arn: str) -> None:
        """Start and end provisioned environments as the records want; returns at once."""
        doc = self._records.find(function_arn)
        wanted = provisioned_configs(doc) if doc is not None else []
        self._provisioned.provision(function_arn, wanted)

    def forget(self, ref: FunctionRef, packages: set[str]) -> None:
        """Something was deleted: end its environments and remove code that nobody uses."""
        doc = self._records.find(ref.function_arn)
        self._on_demand.keep(ref.function_arn, configs(doc) if doc is not None else [])
        self.provision(ref.function_arn)
        for sha256 in packages:
            if not self._records.uses_code(sha256):
                self._code.forget(sha256)

    def close(self) -> None:
        """Let what runs finish; start nothing more."""
        self._workers.shutdown(cancel_futures=True)

    def _settle(self, ref: FunctionRef) -> None:
        try:
            doc = self._records.get(ref)
            for config in configs(doc):
                if is_settling(config):
                    self._code.folder(config["CodeSha256"])
            with self._records.change(ref) as doc:
                if is_settling(doc["latest"]):
                    doc["latest"] = settled(doc["latest"])
                for number, config in doc["versions"].items():
                    if is_settling(config):
                        doc["versions"][number] = settled(config)
            self._on_demand.keep(ref.function_arn, configs(doc))
        except AwsError as error:
            _log.info("%s did not become active: %s", ref.arn, error)
        except Exception:
            _log.exception("%s did not become active", ref.arn)
