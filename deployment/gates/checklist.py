"""All gates of a candidate, in order: first what can be read, then what has to be run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from deployment.gates.gate import Gate
from deployment.gates.golden import LabelledPhoto, fetch, golden_gate, pick
from deployment.gates.latency import Latency, latency_gate, measure
from deployment.gates.predictions import Prediction, optional_predictions, right
from deployment.gates.price import Rates, Traffic, other_kind, price_gate
from deployment.gates.significance import MOST_PHOTOS, Mode, Question, Verdict, judge, pair
from deployment.gates.trial import Trial, vcpus
from deployment.settings import ServingSettings
from experiments.aws import Cloud
from experiments.errors import PedigreeError
from experiments.prices import PriceBook
from experiments.records import RunRecord

_UNMEASURED_MS = 100.0


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What a candidate has to show. `max_p99_ms` is the whole question to the model server."""

    question: Question = Question()  # noqa: RUF009  (frozen)
    traffic: Traffic = Traffic()  # noqa: RUF009  (frozen)
    max_p99_ms: float = 1000.0
    max_month_usd: Decimal | None = None
    max_per_1000_usd: Decimal | None = None
    override: str = ""


@dataclass(frozen=True, kw_only=True)
class LiveModel:
    """The model that is live: where its run's output is, and the digest of what is served."""

    run_name: str
    model_uri: str
    model_digest: str


@dataclass(frozen=True, kw_only=True)
class Examination:
    """The gates with their evidence, and the golden photos that were found."""

    gates: tuple[Gate, ...]
    golden: tuple[LabelledPhoto, ...]


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """What examining takes: the cloud to read from, prices, and a way to serve the artifact."""

    cloud: Cloud
    book: PriceBook
    trial: Trial
    demands: Demands = Demands()

    def examine(
        self,
        record: RunRecord,
        settings: ServingSettings,
        *,
        bucket: str,
        archive: bytes,
        model_digest: str,
        live: LiveModel | None,
    ) -> Examination:
        """Every gate but integrity. Changes nothing in AWS. Raises CloudError, PriceError."""
        uri = record.model_uri or ""
        predictions, fault = optional_predictions(self.cloud, uri)
        photos = fetch(self.cloud, bucket, record.dataset_digest, pick(predictions))
        compared = self._compared(predictions, fault, model_digest, live)
        measured, latency = self._run(archive, settings, photos)
        model_ms = latency.p50_ms if latency else _UNMEASURED_MS
        priced = self._priced(settings, model_ms, len(archive))
        return Examination(gates=(compared, *measured, priced), golden=photos)

    def _priced(self, settings: ServingSettings, model_ms: float, stored_bytes: int) -> Gate:
        traffic = self.demands.traffic
        rates = Rates(
            model_ms=model_ms,
            stored_bytes=stored_bytes,
            region=self.cloud.region,
            book=self.book,
        )
        price = rates.price(settings, traffic)
        other = other_kind(settings, traffic, price, rates)
        return price_gate(
            price,
            traffic,
            max_month_usd=self.demands.max_month_usd,
            max_per_1000_usd=self.demands.max_per_1000_usd,
            other=other,
        )

    def _compared(
        self,
        mine: Sequence[Prediction],
        fault: str,
        model_digest: str,
        live: LiveModel | None,
    ) -> Gate:
        question = self.demands.question
        if question.mode is Mode.OFF:
            return _significance(True, {"not asked": "switched off by who promotes"})
        if live is None:
            return _significance(True, {"nothing to compare": "no release is live"})
        if live.model_digest == model_digest:
            return _significance(True, {"nothing to compare": "the same model is live"})
        theirs, their_fault = optional_predictions(self.cloud, live.model_uri)
        if fault or their_fault:
            words = f"this run: {fault}" if fault else f"live run {live.run_name}: {their_fault}"
            return _significance(False, {"fault": words})
        return compare(tuple(mine), theirs, question, against=live.run_name)

    def _run(
        self, archive: bytes, settings: ServingSettings, photos: Sequence[LabelledPhoto]
    ) -> tuple[tuple[Gate, ...], Latency | None]:
        wanted = 1 if settings.is_serverless else vcpus(settings.instance_type)
        limit = self.demands.max_p99_ms
        try:
            with self.trial(archive, wanted) as served:
                golden = golden_gate(served, photos)
                latency = measure(served, photos) if photos else None
                cores = served.cores
        except PedigreeError as error:
            gate = Gate(name="latency", passed=False, evidence={"fault": error.message})
            return (gate,), None
        timed = latency_gate(
            latency,
            cores=cores,
            wanted_cores=wanted,
            target="a serverless endpoint" if settings.is_serverless else settings.instance_type,
            max_p99_ms=limit,
        )
        return (golden, timed), latency


def compare(
    mine: tuple[Prediction, ...],
    theirs: tuple[Prediction, ...],
    question: Question,
    *,
    against: str,
) -> Gate:
    """The significance gate over the photos that both runs were tested on. Pure."""
    paired = pair(right(mine), right(theirs))
    if paired.photos == 0:
        words = f"no test photo in common with {against}, which is live"
        return _significance(False, {"fault": words})
    verdict = judge(paired, question)
    evidence = {
        "asked": _asked(question, against, paired.photos),
        "photos": f"{paired.photos}: {paired.gained} gained, {paired.lost} lost",
        "difference": f"{100 * paired.difference:+.1f} points, {_interval(verdict, question)}",
        "p": f"{verdict.p:.4f}, at most {question.alpha}",
    }
    return _significance(verdict.passed, evidence)


def _asked(question: Question, against: str, photos: int) -> str:
    if question.mode is Mode.BETTER:
        return f"better than {against} (McNemar exact)"
    how = "exact unconditional" if photos <= MOST_PHOTOS else "Tango score"
    return f"not worse than {against} by {100 * question.margin:g} points ({how})"


def _interval(verdict: Verdict, question: Question) -> str:
    level = 100 * (1 - question.alpha)
    return f"{level:.0f}% bootstrap {100 * verdict.low:+.1f} to {100 * verdict.high:+.1f}"


def _significance(passed: bool, evidence: dict[str, str]) -> Gate:
    return Gate(name="significance", passed=passed, evidence=evidence)
