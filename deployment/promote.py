"""From a chosen run to a proposal: the release, what it needs, what is there, and the plan between."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from deployment.artifact.archive import ServingArchive, examine, fetch_archive
from deployment.artifact.function_code import FunctionCode, pack_function
from deployment.artifact.image import image_to_serve
from deployment.gates import Gate, require
from deployment.gates.checklist import Demands, Examination, Examiner, LiveModel
from deployment.gates.golden import LabelledPhoto
from deployment.gates.trial import Trial, serve
from deployment.monthly import Requests, call_rates
from deployment.plan.release_plan import ASSUMED_MS, plan_release
from deployment.plan.steps import ReleasePlan
from deployment.release import (
    GoldenFile,
    Release,
    StoredFile,
    content_digest,
    new_release,
    release_id_for,
)
from deployment.rollout import Rollout
from deployment.settings import ServingSettings
from deployment.state.desired import (
    Wanted,
    desired,
    function_key,
    golden_key,
    model_key,
)
from deployment.state.observe import observe
from deployment.state.seen import Observed
from deployment.store import ReleaseRecord, ReleaseStore
from experiments.aws import Cloud
from experiments.errors import ReleaseError
from experiments.foundation import Foundation
from experiments.prices import PriceBook
from experiments.records import RunRecord


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A release, and the bytes of its files by key in the bucket."""

    release: Release
    bodies: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A plan and everything it was decided on. `back`: it returns to an earlier release."""

    release: Release
    wanted: Wanted
    observed: Observed
    plan: ReleasePlan
    back: bool = False

    @property
    def is_done(self) -> bool:
        """Nothing is missing and the release is the live one."""
        return not self.plan.steps and self.observed.live.release_id == self.release.release_id


def prepare(
    cloud: Cloud,
    record: RunRecord,
    settings: ServingSettings,
    *,
    now: datetime,
    code: FunctionCode | None = None,
    examiner: Examiner | None = None,
) -> Prepared:
    """Fetch a run's model, pass it through the gates, and make the release of it.

    Changes nothing in AWS. Content that was released before gives the release that is on record; one
    that is live is not examined again. Without `examiner` only the archive's integrity is; with one,
    its prices become the release's. Raises ReleaseError for a shut gate, CloudError, PriceError.
    """
    if not record.model_uri:
        raise ReleaseError(f"run {record.name} has no model", fix="promote a run that succeeded")
    handler = code or pack_function()
    archive, integrity = _examined(cloud, record.model_uri)
    image = image_to_serve(cloud, Foundation(account_id=cloud.account_id, region=cloud.region))
    content = content_digest(
        settings, model_digest=archive.content, function_digest=handler.digest, image=image
    )
    store = ReleaseStore(cloud=cloud, name=settings.name)
    release_id, on_record, live_id = _on_record(store, content, now)
    if on_record is not None and (release_id == live_id or examiner is None):
        return _prepared(on_record.release, handler, archive, ())
    more = _examination(examiner, store, live_id, record, settings, archive)
    gates, override = (integrity, *more.gates), examiner.demands.override if examiner else ""
    require(gates, override=override)
    release = new_release(
        release_id=release_id,
        settings=settings,
        record=record,
        model_digest=archive.content,
        model=_stored(model_key(settings, release_id), archive),
        function=_stored(function_key(settings, handler.digest), handler),
        image=image,
        gates=gates,
        now=on_record.release.created_at if on_record else now,
        golden=tuple(_golden(settings, release_id, photo) for photo in more.golden),
        rates=_rates(on_record, examiner, cloud.region),
        override="" if all(gate.passed for gate in gates) else override,
    )
    return _prepared(release, handler, archive, more.golden)


def _rates(
    on_record: ReleaseRecord | None, examiner: Examiner | None, region: str
) -> Mapping[str, str]:
    """A release keeps the prices that it was made with."""
    if on_record is not None:
        return on_record.release.rates
    return call_rates(region, examiner.book) if examiner else {}


def _on_record(
    store: ReleaseStore, content: str, now: datetime
) -> tuple[str, ReleaseRecord | None, str]:
    """The release's id, its record if there is one, and the id of what is live."""
    known = store.ids()
    release_id = release_id_for(content, known, now)
    found = store.find(release_id) if release_id in known else None
    return release_id, found, store.live().release_id


def _prepared(
    release: Release,
    handler: FunctionCode,
    archive: ServingArchive,
    photos: Sequence[LabelledPhoto],
) -> Prepared:
    bodies = {release.function.key: handler.data}
    if release.model.digest == archive.digest:
        bodies[release.model.key] = archive.data
    for kept, photo in zip(release.golden, photos, strict=False):
        bodies[kept.stored.key] = photo.data
    return Prepared(release=release, bodies=bodies)


def _examination(
    examiner: Examiner | None,
    store: ReleaseStore,
    live_id: str,
    record: RunRecord,
    settings: ServingSettings,
    archive: ServingArchive,
) -> Examination:
    if examiner is None:
        return Examination(gates=(), golden=())
    live = store.read(live_id).release if live_id else None
    return examiner.examine(
        record,
        settings,
        bucket=store.bucket,
        archive=archive.data,
        model_digest=archive.content,
        live=LiveModel(
            run_name=live.run_name, model_uri=live.source_uri, model_digest=live.model_digest
        )
        if live
        else None,
    )


def _golden(settings: ServingSettings, release_id: str, photo: LabelledPhoto) -> GoldenFile:
    digest = f"sha256:{hashlib.sha256(photo.data).hexdigest()}"
    key = golden_key(settings, release_id, digest)
    stored = StoredFile(key=key, digest=digest, size_bytes=len(photo.data))
    return GoldenFile(stored=stored, label=photo.label, content_type=photo.content_type)


def _examined(cloud: Cloud, uri: str) -> tuple[ServingArchive, Gate]:
    with tempfile.TemporaryDirectory(prefix="pedigree-") as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        found = examine(fetch_archive(cloud, uri, Path(scratch)), folder)
    require([found.gate])
    if found.archive is None:
        raise ReleaseError(f"{uri} could not be packed", fix="train the run anew")
    return found.archive, found.gate


def _stored(key: str, content: ServingArchive | FunctionCode) -> StoredFile:
    return StoredFile(key=key, digest=content.digest, size_bytes=len(content.data))


def propose(
    cloud: Cloud,
    prepared: Prepared,
    *,
    book: PriceBook,
    back: bool = False,
    rollout: Rollout | None = None,
    requests: Requests | None = None,
) -> Proposal:
    """Look at what is there and plan the rest. Changes nothing.

    Raises CloudError, ReleaseError for a world a person has to look at, and PriceError.
    """
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    wanted = desired(prepared.release, foundation, prepared.bodies, rollout)
    observed = observe(cloud, wanted)
    plan = plan_release(
        prepared.release,
        wanted,
        observed,
        book,
        basis=cloud.basis,
        back=back,
        requests=requests,
    )
    return Proposal(
        release=prepared.release, wanted=wanted, observed=observed, plan=plan, back=back
    )


def propose_run(
    cloud: Cloud,
    record: RunRecord,
    settings: ServingSettings,
    *,
    book: PriceBook,
    now: datetime,
    demands: Demands | None = None,
    rollout: Rollout | None = None,
    trial: Trial = serve,
) -> Proposal:
    """Pass a run's model through every gate, and say what making it live would do. Changes nothing.

    The month is priced at the traffic of `demands`. Raises ReleaseError for a shut gate or a world a
    person has to look at, CloudError, PriceError.
    """
    examiner = Examiner(cloud=cloud, book=book, trial=trial, demands=demands or Demands())
    prepared = prepare(cloud, record, settings, now=now, examiner=examiner)
    traffic = examiner.demands.traffic
    requests = Requests(per_month=traffic.per_month, billed_ms=ASSUMED_MS)
    return propose(cloud, prepared, book=book, rollout=rollout, requests=requests)
