"""EC2 as the server sees it: which requests are ours, which moto's."""

from __future__ import annotations

import base64
import io
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from werkzeug import Request, Response

from localaws.account.records import Records
from localaws.clock import Timer
from localaws.ec2.fleet import SPOT_NOTICE_S, Fleet
from localaws.ec2.images import Images
from localaws.ec2.imds import Imds, Metadata
from localaws.ec2.launches import Launches, no_such_profile, refuse_launch, spot_cannot_stop
from localaws.ec2.ledger import Ledger
from localaws.ec2.metadata import metadata_of
from localaws.ec2.query import (
    answer,
    changes_answer,
    instance_ids,
    numbered,
    own_request,
    read_form,
    with_states,
)
from localaws.ec2.states import BY_API, CODES, find, state_of
from localaws.hosts.processes import Processes
from localaws.settings import Settings
from localaws.storage.objects import Objects
from localaws.store import Store
from localaws.wire.error_answers import error_answer
from localaws.wire.http_server import HttpServer
from localaws.wire.protocol import OPERATION_KEY, AwsError, Caller

Forward = Callable[[Request], Response]
_PREFIX = "/_imds/"
log = logging.getLogger(__name__)


class Ec2:
    """Sees requests for `ec2` and `ssm` before moto does; runs the instances.

    Instances find their metadata service on a loopback port of its own. `close` ends every
    instance.
    """

    intercepts = ("ec2", "ssm")

    def __init__(
        self,
        *,
        store: Store,
        clock: Timer,
        objects: Objects,
        records: Records,
        processes: Processes,
        settings: Settings,
    ) -> None:
        del objects
        self.services: Mapping[str, Any] = {}
        self._settings = settings
        self._records = records
        self._imds = Imds(self._metadata, time.time)
        self._imds_server = HttpServer(0, self._imds_app)
        account_id = settings.account_id
        self._images = Images(store=store, account_id=account_id, forward=records.respond)
        self._ledger = Ledger(store=store, clock=clock, account_id=account_id)
        self._fleet = Fleet(
            folder=Path(settings.state_dir) / "ec2",
            account_id=account_id,
            processes=processes,
            clock=clock,
            ledger=self._ledger,
            forward=records.respond,
            env_of=self._env,
        )
        self._ledger.restore(records)
        self._launches = Launches(store, self._states)
        self._operations = {
            "RunInstances": self._run,
            "TerminateInstances": self._terminate,
            "StopInstances": self._stop,
            "StartInstances": self._start,
            "RebootInstances": self._reboot,
            "GetConsoleOutput": self._console,
        }

    def start(self) -> None:
        """Answer instances' metadata requests."""
        self._imds_server.start()
        self._ledger.start()

    def close(self) -> None:
        """End every instance."""
        self._fleet.close()
        self._ledger.close()
        self._imds_server.close()

    def interrupt(self, wanted: Mapping[str, str]) -> bool:
        """Two minutes' notice for the spot instance `wanted["instance"]`, then its termination.

        False for what is no running spot instance, or has its notice.
        """
        # Programs compare the time in their metadata with this machine's.
        told = time.time() + SPOT_NOTICE_S / self._settings.speed
        return self._fleet.reclaim(wanted.get("instance", ""), told)

    def intercept(self, request: Request, caller: Caller, forward: Forward) -> Response:
        """The answer to one request for EC2 or SSM."""
        if request.headers.get("X-Amz-Target", "").startswith("AmazonSSM."):
            self._images.prepare(request, caller.region)
            return forward(request)
        form = read_form(request)
        operation = self._operations.get(form.get("Action", ""))
        if operation is None or form.get("DryRun", "").lower() == "true":
            return forward(request)
        request.environ[OPERATION_KEY] = form["Action"]
        try:
            return operation(request, form, caller.region, forward)
        except AwsError as error:
            return error_answer("ec2", request, error)
        except Exception as fault:
            log.exception("%s failed", form["Action"])
            text = f"localaws failed in {form['Action']}: {type(fault).__name__}: {fault}"
            # 501, because botocore repeats a call that was answered with 500.
            return error_answer("ec2", request, AwsError("InternalFailure", text, status=501))

    def imds(self, request: Request) -> Response:
        """The metadata service, for a path below `/_imds/<instance id>/`."""
        return self._imds.respond(request, request.path.removeprefix(_PREFIX))

    def _run(
        self, request: Request, form: Mapping[str, str], region: str, forward: Forward
    ) -> Response:
        refuse_launch(form, lambda image_id: self._images.exists(image_id, region))
        return self._launches.run(
            form, region, lambda: self._launch(request, form, region, forward)
        )

    def _launch(
        self, request: Request, form: Mapping[str, str], region: str, forward: Forward
    ) -> Response:
        response = forward(_for_all(request, form))
        if b"<Code>NoSuchEntity</Code>" in response.get_data():
            raise no_such_profile(form)
        if response.status_code != 200:
            return response
        ids = instance_ids(response)
        for instance_id in ids[1:]:
            self._associate_profile(instance_id, form, region)
        for instance_id in ids:
            self._fleet.launch(instance_id, region, form)
        pending = dict.fromkeys(ids, ("pending", CODES["pending"]))
        response.set_data(with_states(response.get_data(), pending))
        return response

    def _associate_profile(self, instance_id: str, form: Mapping[str, str], region: str) -> None:
        """moto gives the profile to the first instance of a launch only."""
        profile = {key: form[key] for key in form if key.startswith("IamInstanceProfile.")}
        if profile:
            action = {"Action": "AssociateIamInstanceProfile", "InstanceId": instance_id}
            self._records.respond(own_request({**action, **profile}, region))

    def _terminate(
        self, request: Request, form: Mapping[str, str], region: str, forward: Forward
    ) -> Response:
        ids = numbered(form, "InstanceId")
        if not self._all_here(ids, region) or self._protected(ids, region):
            return forward(request)
        return self._change("TerminateInstances", ids, region, "terminated")

    def _stop(
        self, request: Request, form: Mapping[str, str], region: str, forward: Forward
    ) -> Response:
        ids = numbered(form, "InstanceId")
        if not all(map(self._fleet.has, ids)) or not ids:
            return forward(request)
        for each in ids:
            up = self._fleet.running(each)
            if up is not None and up[0].lifecycle == "spot":
                raise spot_cannot_stop(each)
        return self._change("StopInstances", ids, region, "stopped")

    def _start(
        self, request: Request, form: Mapping[str, str], region: str, forward: Forward
    ) -> Response:
        ids = numbered(form, "InstanceId")
        if not all(map(self._fleet.has, ids)) or not ids:
            return forward(request)
        changes = [(each, *map(_coded, self._fleet.start(each))) for each in ids]
        return changes_answer("StartInstances", changes)  # type: ignore[arg-type]

    def _reboot(
        self, request: Request, form: Mapping[str, str], region: str, forward: Forward
    ) -> Response:
        del region
        response = forward(request)
        if response.status_code == 200:
            for instance_id in filter(self._fleet.has, numbered(form, "InstanceId")):
                self._fleet.reboot(instance_id)
        return response

    def _console(
        self, request: Request, form: Mapping[str, str], region: str, forward: Forward
    ) -> Response:
        instance_id = form.get("InstanceId", "")
        if find(self._settings.account_id, region, instance_id) is None:
            return forward(request)
        output = self._fleet.console(instance_id) or b""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return answer(
            "GetConsoleOutput",
            f"<instanceId>{instance_id}</instanceId><timestamp>{stamp}</timestamp>"
            f"<output>{base64.b64encode(output).decode()}</output>",
        )

    def _change(self, operation: str, ids: list[str], region: str, final: str) -> Response:
        changes = []
        for instance_id in ids:
            if self._fleet.has(instance_id):
                before, now = self._fleet.end(instance_id, BY_API, final=final)
            else:
                before = now = self._states([instance_id], region)[instance_id][0]
            changes.append((instance_id, _coded(before), _coded(now)))
        return changes_answer(operation, changes)

    def _all_here(self, ids: list[str], region: str) -> bool:
        """Whether moto need not be asked: each runs here, or was terminated before."""
        states = self._states(ids, region)
        return bool(ids) and all(
            self._fleet.has(each) or states.get(each, ("",))[0] == "terminated" for each in ids
        )

    def _protected(self, ids: list[str], region: str) -> bool:
        found = [find(self._settings.account_id, region, each) for each in ids]
        return any(instance.disable_api_termination is True for instance in found if instance)

    def _states(self, ids: Iterable[str], region: str) -> dict[str, tuple[str, int]]:
        found = {each: find(self._settings.account_id, region, each) for each in ids}
        return {each: _coded(state_of(i)) for each, i in found.items() if i is not None}

    def _metadata(self, instance_id: str) -> Metadata | None:
        found = self._fleet.running(instance_id)
        if found is None:
            return None
        instance, user_data = found
        notice = self._fleet.reclaimed_at(instance_id)
        return metadata_of(instance, user_data=user_data, sts=self._records, reclaimed_at=notice)

    def _env(self, instance_id: str, region: str) -> dict[str, str]:
        """Where the programs of an instance find AWS and who they are."""
        return {
            "AWS_ENDPOINT_URL": self._settings.url,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": (
                f"http://127.0.0.1:{self._imds_server.port}{_PREFIX}{instance_id}/"
            ),
            # On a busy machine the usual one second and one attempt are not enough.
            "AWS_METADATA_SERVICE_TIMEOUT": "10",
            "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "3",
        }

    def _imds_app(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        request = Request(environ)
        host = request.host.rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost") or not request.path.startswith(_PREFIX):
            return Response("", status=404)(environ, start_response)
        return self.imds(request)(environ, start_response)


def _coded(state: str) -> tuple[str, int]:
    return state, CODES[state]


def _for_all(request: Request, form: Mapping[str, str]) -> Request:
    """The request with MinCount raised to MaxCount: moto launches MinCount, and there is room."""
    if form.get("MinCount") == form.get("MaxCount"):
        return request
    body = own_request({**form, "MinCount": form.get("MaxCount", "1")}, "").get_data()
    environ = {
        **request.environ,
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
    }
    return Request(environ)
