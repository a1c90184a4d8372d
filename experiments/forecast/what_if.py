"""The same work on other machines: what each would take and cost, and which no other beats. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from experiments.cost import compute_price
from experiments.errors import PriceError
from experiments.forecast.estimate import usd_for
from experiments.forecast.foresee import of_hosts, predictor_of
from experiments.forecast.needs import Need, need_of, too_small
from experiments.forecast.predict import Predictor
from experiments.forecast.work import Work
from experiments.hardware import hardware
from experiments.ledger.settle import hosts_of
from experiments.prices import PriceBook, latest_book
from experiments.records import Duration, Hosts, LaunchPlan, Price, RunRecord

_COUNTS = (1, 2)
_MOST_PROCESSORS = 32
_BURSTABLE = ("t2.", "t3.", "t3a.", "t4g.")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to run the work. Without runs on record `duration` and the USD of it are None.

    `usd_per_hour` is for all hosts together; `too_small` says why the type will not do, if so.
    """

    hosts: Hosts
    usd_per_hour: Decimal
    price_as_of: str
    duration: Duration | None = None
    low_usd: Decimal | None = None
    expected_usd: Decimal | None = None
    high_usd: Decimal | None = None
    extrapolates: tuple[str, ...] = ()
    too_small: str = ""
    on_front: bool = False
    asked: bool = False

    @property
    def name(self) -> str:
        """As `2 x ml.m5.large` or `c5.xlarge spot`."""
        count = f"{self.hosts.count} x " if self.hosts.count > 1 else ""
        return f"{count}{self.hosts.instance_type}{' spot' if self.hosts.spot else ''}"


def candidates(
    asked: Sequence[Hosts], book: PriceBook, *, counts: Sequence[int] = _COUNTS
) -> list[Hosts]:
    """What was asked for, and every type with a price there that the program's images run on.

    SageMaker types in each count; EC2 types alone, on demand and, where the book has a quote, spot. Left
    out: arm64 (the images are x86-64), burstable types, over 32 processors, metal.
    """
    first = asked[0]
    found = list(asked)
    for kind in book.instance_types("sagemaker", "training", first.region):
        found += [
            replace(first, launcher="sagemaker", instance_type=kind, count=n, spot=False)
            for n in counts
        ]
    for component, spot in (("instance", False), ("spot", True)):
        found += [
            replace(first, launcher="ec2", instance_type=kind, count=1, spot=spot)
            for kind in book.instance_types("ec2", component, first.region)
            if fits(kind)
        ]
    return list(dict.fromkeys(found))


def fits(kind: str) -> bool:
    """Whether an EC2 type is one that training would be sent to; see `candidates`."""
    inside = hardware(kind)
    return bool(
        inside
        and "x86_64" in inside.arch
        and inside.vcpu <= _MOST_PROCESSORS
        and not kind.startswith(_BURSTABLE)
        and "metal" not in kind
    )


def options(
    work: Work,
    asked: Sequence[Hosts],
    hosts: Iterable[Hosts],
    *,
    book: PriceBook,
    predictor: Predictor | None,
    need: Need,
    limit_s: int,
) -> list[Option]:
    """Every option, cheapest first (by the hour where no time is predicted), the front marked.

    Hosts that the book has no price for are left out: `prices show` lists what there is.
    """
    found = []
    for place in hosts:
        try:
            found.append(_option(work, place, book, predictor, need, limit_s, place in asked))
        except PriceError:
            continue
    marked = front(found)
    return sorted(
        (replace(option, on_front=option.hosts in marked) for option in found),
        key=lambda o: (o.expected_usd is None, o.expected_usd or o.usd_per_hour, o.name),
    )


def _option(
    work: Work,
    place: Hosts,
    book: PriceBook,
    predictor: Predictor | None,
    need: Need,
    limit_s: int,
    asked: bool,
) -> Option:
    price = _hourly(place, book)
    plain = Option(
        hosts=place,
        usd_per_hour=price.usd * place.count,
        price_as_of=price.as_of,
        too_small=too_small(place, need),
        asked=asked,
    )
    if predictor is None:
        return plain
    moved = work.elsewhere(place.launcher, place.instance_type, place.count, spot=place.spot)
    seen = predictor.predict(moved, limit_s=limit_s)
    return replace(
        plain,
        duration=seen.duration,
        low_usd=usd_for(place, seen.duration.low_s, book),
        expected_usd=usd_for(place, seen.duration.expected_s, book),
        high_usd=usd_for(place, seen.duration.high_s, book),
        extrapolates=seen.extrapolates,
    )


def _hourly(place: Hosts, book: PriceBook) -> Price:
    if place.launcher == "ec2" and place.spot:
        return book.find("ec2", "spot", place.region, place.instance_type)
    return compute_price(book, place.launcher, place.instance_type, place.region)


def front(found: Iterable[Option]) -> set[Hosts]:
    """The options that no other one beats in both expected time and expected cost."""
    known = sorted(
        (o for o in found if o.duration and o.expected_usd is not None and not o.too_small),
        key=lambda o: (o.expected_usd, o.duration.expected_s if o.duration else 0.0),
    )
    marked: set[Hosts] = set()
    quickest = float("inf")
    for option in known:
        seconds = option.duration.expected_s if option.duration else float("inf")
        if seconds < quickest:
            marked.add(option.hosts)
            quickest = seconds
    return marked


def smallest_notebook(book: PriceBook, region: str, need: Need) -> tuple[str, Decimal] | None:
    """The cheapest notebook type with memory enough, and its USD per hour; None if there is none."""
    fit = []
    for kind in book.instance_types("sagemaker", "notebook", region):
        inside = hardware(kind)
        if inside is not None and inside.memory_gib >= need.gib:
            fit.append((book.find("sagemaker", "notebook", region, kind).usd, kind))
    return (min(fit)[1], min(fit)[0]) if fit else None


def answers(found: Sequence[Option]) -> Iterator[str]:
    """What people ask of such a table: one generation against the next, one instance against two."""
    by_hosts = {option.hosts: option for option in found}
    named = any(o.asked and o.hosts.instance_type.startswith(("c4.", "c5.")) for o in found)
    for option in found:
        other_type = option.hosts.instance_type.replace("c4.", "c5.")
        if other_type != option.hosts.instance_type and not option.hosts.spot:
            newer = by_hosts.get(replace(option.hosts, instance_type=other_type))
            if newer is not None and (option.asked or newer.asked or not named):
                yield versus(option, newer)
    for option in (o for o in found if o.asked and o.hosts.launcher == "sagemaker"):
        if option.hosts.count == 1:
            two = by_hosts.get(replace(option.hosts, count=2))
            if two is not None:
                yield versus(option, two)


def versus(one: Option, two: Option) -> str:
    """Two options beside each other, in a sentence; without runs on record by their prices alone."""
    if one.duration is None or two.duration is None or not one.expected_usd or not two.expected_usd:
        ratio = float(two.usd_per_hour / one.usd_per_hour - 1)
        return f"{two.name} costs {ratio:+.0%} an hour against {one.name}; no run tells their times"
    time = two.duration.expected_s / one.duration.expected_s - 1
    money = float(two.expected_usd / one.expected_usd - 1)
    guess = (
        " (not both have run: by their processors)" if one.extrapolates or two.extrapolates else ""
    )
    return f"{two.name} against {one.name}: time {time:+.0%}, cost {money:+.0%}{guess}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A what-if table and the answers beside it, for the command and the dashboard alike."""

    options: tuple[Option, ...]
    need: Need
    notebook: tuple[str, Decimal] | None
    answers: tuple[str, ...]


def table_for(
    plans: Sequence[LaunchPlan], history: Sequence[RunRecord], book: PriceBook | None = None
) -> Table:
    """The first plan's work on every machine with a price, those of all `plans` among them.

    `history` holds runs of one kind of money, newest first; `book` is the newest if none is given.
    """
    return table_of(
        plans[0].params,
        [hosts_of(plan) for plan in plans],
        history=history,
        book=book or latest_book(),
        limit_s=max(plan.max_runtime_s for plan in plans),
    )


def table_of(
    params: Mapping[str, str],
    asked: Sequence[Hosts],
    *,
    history: Sequence[RunRecord],
    book: PriceBook,
    limit_s: int,
) -> Table:
    """The work that `params` describe, as `asked` and on every machine with a price; see `table_for`."""
    work = of_hosts(asked[0], params)
    need = need_of(work, history)
    found = options(
        work,
        asked,
        candidates(asked, book),
        book=book,
        predictor=predictor_of(history),
        need=need,
        limit_s=limit_s,
    )
    return Table(
        options=tuple(found),
        need=need,
        notebook=smallest_notebook(book, asked[0].region, need),
        answers=tuple(answers(found)),
    )
