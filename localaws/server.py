"""The whole cloud in one process: what it is made of, how it starts and how it ends."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from localaws import __version__
from localaws.account.records import Records
from localaws.claims import StateTaken, bound, state_lock, write_atomically
from localaws.clock import Clock, Timer
from localaws.faults.book import FaultBook
from localaws.faults.gate import Gate
from localaws.hosts.egress import serve_proxy
from localaws.hosts.images import Image
from localaws.hosts.network import Door
from localaws.metrics.service import CloudWatch
from localaws.pages import Mount, Pages
from localaws.settings import ACCOUNT_ID, REGION, Settings
from localaws.storage.objects import Objects
from localaws.storage.s3 import S3
from localaws.store import Store
from localaws.wire.dispatch import OWN_SERVICES, Dispatcher, Gatekeeper, Responder
from localaws.wire.http_server import HttpServer
from localaws.wire.request_log import RequestLog

if TYPE_CHECKING:
    from localaws.hosts.processes import Processes

log = logging.getLogger("localaws")

MOTO_SERVICES = ("cloudformation", "ec2", "iam", "logs", "ssm", "sts")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What every service is built from."""

    store: Store
    clock: Timer
    objects: Objects
    records: Records
    settings: Settings
    watch: CloudWatch
    door: Door


class Service(Protocol):
    """A group of services with real things behind them, such as processes.

    `start` resumes them after a restart; `close` ends them, in the reverse order of building. One
    that also has `intercept` sees the requests for the services that `intercepts` names before moto.
    """

    @property
    def services(self) -> Mapping[str, Responder]:
        """What the server dispatches to, by botocore's service name."""

    def start(self) -> None:
        """Resume what was running."""

    def close(self) -> None:
        """End every thread and process."""


BuildServices = Callable[[Parts], Sequence[Service]]


class Cloud:
    """A running localaws. Make one with `open_cloud`."""

    def __init__(self, settings: Settings, server: HttpServer, build: BuildServices) -> None:
        self.settings = settings
        self._server = server
        self._closing = contextlib.ExitStack()
        clock = Clock(settings.speed)
        store = Store(settings.state_dir / "state.sqlite3")
        self._closing.callback(store.close)
        records = Records(store=store, account_id=settings.account_id, region=settings.region)
        self._closing.callback(records.close)
        objects = Objects(
            settings.state_dir / "s3", clock=clock, bucket_exists=records.bucket_exists
        )
        self._closing.callback(objects.close)
        watch = CloudWatch(store=store, clock=clock, settings=settings, forward=records.respond)
        self._closing.callback(watch.close)
        self.parts = Parts(
            store=store,
            clock=clock,
            objects=objects,
            records=records,
            settings=settings,
            watch=watch,
            door=Door(port=settings.port, accept=server.also_accept, egress=serve_proxy),
        )
        self.request_log = RequestLog()
        self.faults = FaultBook()
        try:
            self._services = tuple(build(self.parts))
            server.app = self._dispatcher()
        except BaseException:
            self._closing.close()
            raise

    @property
    def url(self) -> str:
        """Where every service answers."""
        return self.settings.url

    def start(self) -> None:
        """Answer requests, resume the services, then say so in `address.json`."""
        for service in self._services:
            self._closing.callback(_close_service, service)
        self.parts.watch.start()
        # Programs that are resumed may call back at once.
        self._server.start()
        for service in self._services:
            service.start()
        address = {
            "url": self.url,
            "pid": os.getpid(),
            "port": self.settings.port,
            "started_at": round(time.time(), 3),
            "speed": self.settings.speed,
            "enforce_iam": self.settings.enforce_iam,
        }
        write_atomically(self._address_path, json.dumps(address))

    def close(self) -> None:
        """Take no more requests, end every service, close every file. Never raises."""
        self._address_path.unlink(missing_ok=True)
        self._server.close()
        self._closing.close()

    @property
    def _address_path(self) -> Path:
        return self.settings.state_dir / "address.json"

    def _pages(self, services: Iterable[str]) -> Pages:
        clock, log, speed = self.parts.clock, self.request_log, self.settings.speed
        return Pages(
            {
                "health": lambda _: _health(services),
                "requests": lambda request: log.entries(request.args.get("since", 0.0, float)),
                "clock": lambda _: {"now": clock.now(), "speed": speed},
            },
            self.faults,
            lambda what, wanted: _tell(self._services, what, wanted),
            _mounts(self._services),
        )

    def _gate(self) -> Gatekeeper:
        faults = Gate(self.faults).through
        if not self.settings.enforce_iam:
            return faults
        from localaws.access.enforce import Enforcement

        allowed = Enforcement(self.settings.account_id, self.settings.region).through
        return lambda request, service, respond: faults(
            request, service, lambda: allowed(request, service, respond)
        )

    def _dispatcher(self) -> Dispatcher:
        parts = self.parts
        services: dict[str, Responder] = {
            "s3": S3(parts.objects, parts.clock, parts.records.respond),
            "monitoring": parts.watch,
        }
        interceptors: dict[str, Any] = {}
        for service in self._services:
            services |= service.services
            for name in getattr(service, "intercepts", ()):
                interceptors[name] = service
        return Dispatcher(
            services=services,
            interceptors=interceptors,
            forward=parts.records.respond,
            pages=self._pages(services).respond,
            gate=self._gate(),
            request_log=self.request_log,
            account_id=self.settings.account_id,
            region=self.settings.region,
        )


def _mounts(services: Iterable[Service]) -> dict[str, Mount]:
    """What the services answer below `/_localaws/`."""
    return {k: v for one in services for k, v in getattr(one, "pages", {}).items()}


def _tell(services: Iterable[Service], what: str, wanted: Mapping[str, str]) -> bool:
    return any(getattr(one, what)(wanted) for one in services if hasattr(one, what))


def _health(services: Iterable[str]) -> dict[str, Any]:
    own = dict.fromkeys(services, "localaws")
    missing = dict.fromkeys(OWN_SERVICES - set(own), "not implemented")
    names = own | missing | dict.fromkeys(MOTO_SERVICES, "moto")
    return {"status": "ok", "version": __version__, "services": dict(sorted(names.items()))}


def _close_service(service: Service) -> None:
    try:
        service.close()
    except Exception:
        log.exception("%s did not close", type(service).__name__)


def standard_services(parts: Parts) -> Sequence[Service]:
    """SageMaker, Lambda, EC2 and Application Auto Scaling on real processes."""
    from localaws.access.simulate import Simulator
    from localaws.ec2 import Ec2
    from localaws.functions import Functions
    from localaws.hosts.processes import Processes
    from localaws.sagemaker.service import SageMaker
    from localaws.scaling.service import Autoscaling

    processes = Processes(parts.settings.state_dir, parts.door)
    shared: dict[str, Any] = {
        "store": parts.store,
        "clock": parts.clock,
        "objects": parts.objects,
        "records": parts.records,
        "processes": processes,
        "settings": parts.settings,
    }
    watch = parts.watch
    sagemaker = SageMaker(**shared, watch=watch)
    autoscaling = Autoscaling(
        store=parts.store,
        clock=parts.clock,
        sagemaker=sagemaker,
        settings=parts.settings,
        alarms=watch.alarms,
    )
    others = (sagemaker, Functions(**shared, metrics=watch.data), Ec2(**shared), autoscaling)
    return (SharedProcesses(processes), Simulator(), *others)


class SharedProcesses:
    """Ends the processes; built first, so that it is closed after the services that use them."""

    services: Mapping[str, Responder] = {}

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def start(self) -> None:
        """Nothing to resume."""

    def close(self) -> None:
        """End every process group."""
        self._processes.close()


@contextlib.contextmanager
def open_cloud(
    *,
    state_dir: Path,
    port: int = 0,
    serve_command: Sequence[str] = (),
    speed: float = 1.0,
    enforce_iam: bool = False,
    images: Sequence[Image] = (),
    build: BuildServices = standard_services,
) -> Iterator[Cloud]:
    """A started cloud, closed on exit. `port` 0 takes a free one.

    Raises `StateTaken` or `PortTaken`. One cloud per process at a time: moto's state is global.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        text = f"the state folder {state_dir} cannot be made ({error.strerror}); change --state-dir"
        raise StateTaken(text) from error
    with state_lock(state_dir.resolve()) as folder, bound(port) as server:
        settings = Settings(
            state_dir=folder,
            port=server.port,
            url=f"http://127.0.0.1:{server.port}",
            serve_command=tuple(serve_command),
            account_id=ACCOUNT_ID,
            region=REGION,
            speed=speed,
            enforce_iam=enforce_iam,
            images=tuple(images),
        )
        cloud = Cloud(settings, server, build)
        try:
            cloud.start()
            yield cloud
        finally:
            cloud.close()
