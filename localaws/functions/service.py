"""Lambda as a whole: the parts put together."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from localaws.account.log_lines import LogLines
from localaws.account.records import Records
from localaws.account.roles import assume
from localaws.clock import Timer
from localaws.functions.aliases import AliasOperations
from localaws.functions.code import CodeStore
from localaws.functions.concurrency import ConcurrencyOperations
from localaws.functions.config import Config
from localaws.functions.environment import Environment
from localaws.functions.events import EventQueue
from localaws.functions.invoke import InvokeOperations
from localaws.functions.invoker import Invoker
from localaws.functions.metrics import FunctionMetrics
from localaws.functions.names import ref_of_arn
from localaws.functions.policies import PolicyOperations
from localaws.functions.pool import IDLE_S, OnDemandPool
from localaws.functions.provisioned import ProvisionedPool
from localaws.functions.records import FunctionRecords, roll
from localaws.functions.upkeep import Upkeep
from localaws.functions.url_front import UrlFront
from localaws.functions.urls import PREFIX, UrlOperations
from localaws.functions.versions import VersionOperations
from localaws.hosts.processes import Processes
from localaws.metrics.data import MetricData
from localaws.settings import Settings
from localaws.storage.objects import Objects
from localaws.store import Store
from localaws.wire.protocol import ModelService

_CREDENTIALS_S = 12 * 3600


class Functions:
    """AWS Lambda: the control plane, and functions that run in processes.

    `services` is what the server dispatches to, `pages` what it answers below `/_localaws/`.
    `start` warms what is to be warm; `close` ends
    every environment. `idle_s` is how long an environment outlives its last event, on `clock`.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Timer,
        objects: Objects,
        records: Records,
        processes: Processes,
        settings: Settings,
        metrics: MetricData,
        idle_s: float = IDLE_S,
    ) -> None:
        self._settings = settings
        self._processes = processes
        self._records = records
        self._clock = clock
        self._code = CodeStore(Path(settings.state_dir) / "lambda" / "code", objects)
        self._lines = LogLines(records, clock)
        self._metrics = FunctionMetrics(metrics)
        functions = FunctionRecords(store)
        self._on_demand = OnDemandPool(self._launch, clock, idle_s)
        self._provisioned = ProvisionedPool(self._launch)
        self._upkeep = Upkeep(
            records=functions,
            code=self._code,
            on_demand=self._on_demand,
            provisioned=self._provisioned,
        )
        self._events = EventQueue(store=store, clock=clock, run=self._run_event)
        self._invoke = self._invoke_operations(functions)
        self.services = {"lambda": ModelService("lambda", self._operations(functions))}
        self.pages = {PREFIX: UrlFront(functions, clock, self._invoke.run_now).respond}

    def _invoke_operations(self, functions: FunctionRecords) -> InvokeOperations:
        invoker = Invoker(
            records=functions,
            on_demand=self._on_demand,
            provisioned=self._provisioned,
            clock=self._clock,
            note=self._metrics.note,
        )
        return InvokeOperations(records=functions, invoker=invoker, events=self._events, roll=roll)

    def _operations(self, functions: FunctionRecords) -> SimpleNamespace:
        provision = self._upkeep.provision
        return _together(
            VersionOperations(
                records=functions, code=self._code, upkeep=self._upkeep, clock=self._clock
            ),
            AliasOperations(functions, provision),
            ConcurrencyOperations(
                records=functions,
                pool=self._provisioned,
                provision=provision,
                clock=self._clock,
            ),
            PolicyOperations(functions),
            UrlOperations(functions, self._clock, f"{self._settings.url}/_localaws/"),
            self._invoke,
        )

    def start(self) -> None:
        """Finish what was under way and warm what is to be warm, in the background."""
        self._events.start()
        self._upkeep.resume()

    def close(self) -> None:
        """End every environment; events that wait stay for the next start."""
        self._events.close()
        self._upkeep.close()
        self._on_demand.close()
        self._provisioned.close()
        self._lines.close()

    def _run_event(
        self, arn: str, request_id: str, payload: bytes, client_context: str | None
    ) -> bool:
        return self._invoke.run_event(arn, request_id, payload, client_context)

    def _launch(self, config: Config, initialization: str) -> Environment:
        """Start an execution environment; it becomes ready by itself."""
        group = config["LoggingConfig"]["LogGroup"]
        region = ref_of_arn(config["FunctionArn"]).region
        environment = Environment(
            config=config,
            initialization=initialization,
            write_line=lambda line: self._lines.add(group, environment.log_stream, line),
            now=self._clock.now(),
        )
        session = config["FunctionName"]
        env = {
            "AWS_ENDPOINT_URL": self._settings.url,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            **assume(self._records, config["Role"], session, _CREDENTIALS_S).environment(),
        }
        try:
            environment.start(self._processes, self._code.folder(config["CodeSha256"]), env)
        except BaseException:
            environment.close()
            raise
        return environment


def _together(*parts: object) -> SimpleNamespace:
    """The public methods of all parts, as one object."""
    found: dict[str, Any] = {}
    for part in parts:
        for name in dir(type(part)):
            if not name.startswith("_") and callable(getattr(part, name)):
                found[name] = getattr(part, name)
    return SimpleNamespace(**found)
