"""The page on the default settings under little traffic: price, a burst, and what is better.

    python benchmarks/little_traffic.py

Writes docs/little-traffic.md; tests/simulator holds the page against what this gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cli.simulation_inputs import ASSUMED_MS, default_settings, read_service_time
from experiments.prices import latest_book
from simulator import Goal, Market, Question, Recommendation, Settings, Study, recommend, study
from simulator.report import headline, money_rows
from simulator.traffic import DAY_S, Mixture, bursts, daily, little

PAGE = Path(__file__).resolve().parents[1] / "docs" / "little-traffic.md"
GOAL = Goal(p99_ms=800, max_refused=0.001)
BURST_S = 120.0
RATES = (1, 3, 10, 30, 100)
SEEDS = 3
NOTHING = "+$0.00 a month, p99 +0 ms, refused 0% to 0%"
REGION = "us-east-1"


def market() -> Market:
    """The newest book's prices."""
    return Market(book=latest_book(), region=REGION)


def question(per_s: float | None = None) -> Question:
    """A day of little traffic; with `per_s`, its burst is of so many a second for two minutes."""
    traffic = little()
    if per_s is not None:
        burst = bursts(0.0, per_s, length_s=BURST_S, every_s=DAY_S)
        traffic = Mixture(parts=(daily(20 / 3600, 40 / 3600), burst))
    service = read_service_time(None, None, None, 0.2)
    return Question(settings=default_settings(), traffic=traffic, service=service)


def text() -> str:
    """The whole page."""
    return today() + "\n".join([*_instead(), *_ends()]) + "\n"


def today() -> str:
    """Its first part: what the settings cost and how they feel."""
    return "\n".join([*_opening(), *_price(), *_bursts()]) + "\n"


def _opening() -> Iterator[str]:
    settings = default_settings()
    yield f"""# The default settings under little traffic

This page is written by `make little-traffic`, from simulations; a test holds it against them. All figures in
USD are simulated, with the prices of {latest_book().date} in {REGION}. Nothing was measured on AWS:
[simulator.md](simulator.md) lists what is taken for granted.

`promote-model` serves a model with {settings.min_instances} to {
        settings.max_instances
    } instances of {settings.instance_type}, a target of {settings.target_per_minute:g} invocations
for each instance and minute, cooldowns of {settings.scale_in_cooldown_s:g} s (in) and {
        settings.scale_out_cooldown_s:g} s (out), and a function with {
        settings.reserved_concurrency
    } reserved and {settings.provisioned_concurrency}
provisioned environments of {
        settings.memory_mb
    } MB. These numbers were chosen for little traffic, without saying how much
that is. Here it means: 480 photos a day in a daily curve, and once a day somebody shares the address, and
3 photos a second come for three minutes. A photo takes {
        ASSUMED_MS:g} ms, as ResNet50 does in f32 on two vCPUs.
"""


def _price() -> Iterator[str]:
    found = study(question(), market(), seeds=SEEDS)
    band = found.bands["month_usd"]
    idle = found.bands["idle_share"].mid
    yield "## What a month costs\n"
    yield "| component | a month | USD a day | USD a month |\n|---|---|---|---|"
    for row in money_rows(found):
        yield f"| {' | '.join(row)} |"
    yield f"""
Over {SEEDS} seeds the month lies between ${band.low:.2f} and ${band.high:.2f}. Nearly all of it stands there
whether anybody comes or not: the instance, which is idle for {idle:.1%} of its time, and the warm
environments. The visitors' own share, everything that grows with their number, is {_by_visitors(found)}.

## What a visitor feels on such a day

| | |
|---|---|"""
    for name, value in headline(found)[2:]:
        yield f"| {name} | {value} |"
    yield ""


def _by_visitors(found: Study) -> str:
    standing = ("instances", "provisioned concurrency")
    usd = sum(float(one.usd) for one in found.month.lines if one.component not in standing)
    return f"${usd:.2f}"


def _bursts() -> Iterator[str]:
    yield f"""## What a visitor feels in a burst

The same day with a burst of {BURST_S / 60:g} minutes at noon. The figures are those of its minutes:

| photos a second | refused (429) | answered within, p50 | p99 | longest queue | instances at its end |
|---|---|---|---|---|---|"""
    for per_s in RATES:
        yield _burst_row(per_s)
    settings = default_settings()
    yield f"""
The second and third instance come too late: the alarm needs three minutes above the target, then the
instances need minutes to start, and by then a short burst is over. What they do is cost money afterwards: at
{settings.target_per_minute:g} invocations a minute, which is {
        settings.target_per_minute / 60:.2f} a second, they are \
asked for long before one instance is busy,
which takes about {
        60
        / (
            ASSUMED_MS / 1000
        ):.0f} a minute. What refuses visitors is the function's reserved number of {
        settings.reserved_concurrency
    }:
it lets in no more than the endpoint can answer soon, so that those who are let in do not wait.
"""


def _burst_row(per_s: float) -> str:
    asked = question(per_s)
    found = study(asked, market(), seeds=1).shown
    begin = (DAY_S - BURST_S) / 2
    inside = [s for s in found.slots if begin <= s.start_s + 1e-6 < begin + BURST_S]
    came, refused = sum(s.arrivals for s in inside), sum(s.refused for s in inside)
    p50 = max(s.p50_ms or 0.0 for s in inside)
    p99 = max(s.p99_ms or 0.0 for s in inside)
    queue = max(s.queue for s in inside)
    return (
        f"| {per_s} | {refused / came:.1%} | {p50:.0f} ms | {p99:.0f} ms | {queue} |"
        f" {inside[-1].instances} |"
    )


def _instead() -> Iterator[str]:
    yield "## What is recommended instead\n"
    for per_s, words in ((None, "The day above"), (10.0, "With a burst of 10 photos a second")):
        found = recommend(question(per_s), GOAL, market())
        yield f"### {words}: p99 within {GOAL.p99_ms:g} ms, at most 0.1% refused\n"
        yield from _advice(found)


def _advice(found: Recommendation) -> Iterator[str]:
    for line in found.words:
        yield f"{line}  "
    yield ""
    yield "| a month | p99 | instances | target | reserved | provisioned |\n|---|---|---|---|---|---|"
    for one in found.front:
        yield f"| ${one.month_usd:.2f} | {one.p99_ms or 0:.0f} ms | {_settings(one.settings)} |"
    yield "\nOne setting changed at a time, from the recommended:\n"
    telling = [one for one in found.sensitivities if not one.words.endswith(NOTHING)]
    yield from (f"- {one.words}" for one in telling)
    silent = sorted({one.setting for one in found.sensitivities} - {one.setting for one in telling})
    yield f"- {', '.join(silent)}: nothing changes\n"


def _settings(one: Settings) -> str:
    return (
        f"{one.min_instances} to {one.max_instances} x {one.instance_type} |"
        f" {one.target_per_minute:g} | {one.reserved_concurrency} | {one.provisioned_concurrency}"
    )


def _ends() -> Iterator[str]:
    asked = question()
    random = study(
        replace(asked, settings=replace(asked.settings, routing="random")), market(), seeds=1
    )
    yield f"""## What this page does not say

- A serverless endpoint would have no standing price, and a cold start of many seconds after each lull. The
  price book has no rate for it: `--serverless-memory-mb 4096 --price serverless_gb_second=USD` simulates it
  with the rate that you name.
- With random routing, which is SageMaker's own default, the p99 of the first seed's day is {
        random.bands["p99_ms"].mid:.0f} ms.
- The service time is that of one machine. `pedigree simulate --archive model.tar.gz` measures yours."""


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
