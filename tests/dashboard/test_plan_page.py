"""The Plan page as a person meets it, and the pure tables behind it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from dashboard.plan.charts import cost_against_time
from dashboard.plan.view import USES, chart_points, options_table, price_table, regions
from experiments.budgets import write_month_budget
from experiments.prices import latest_book
from experiments.sketch import Sketch, outlook
from experiments.spec import load_spec, parse_spec
from tests.dashboard.conftest import PLAN, OpenApp
from tests.dashboard.reading import assert_whole, words
from tests.experiments.test_sketch import record

DEMO = load_spec(Path(__file__).parents[2] / "specs" / "demo.yaml")


@pytest.mark.slow
def test_a_file_as_it_is_names_its_own_command(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, PLAN)
    assert_whole(app)
    assert [block.value for block in app.code] == ["pedigree run specs/demo.yaml"]
    told = {metric.label: metric.delta for metric in app.metric}
    assert set(told) == {"Expected time", "Expected cost", "At most", "Budget left"}
    assert "simulated" in told["Expected cost"]
    assert len(app.get("vega_lite_chart")) == 1
    options, prices = (table.value for table in app.dataframe)
    assert {"sagemaker ml.m5.xlarge", "ec2 c5.xlarge"} <= set(options["where"])
    assert (prices["grade"] != "").all()


@pytest.mark.slow
def test_changed_settings_become_a_file_to_save(open_app: OpenApp, seeded_home: Path) -> None:
    app = open_app(seeded_home, PLAN, epochs="7", cloud="aws")
    assert_whole(app)
    text, command = (block.value for block in app.code)
    assert command == "pedigree run my-plan.yaml --cloud aws"
    spec = parse_spec(text)
    assert spec.settings_for(spec.runs[0])["epochs"] == 7
    assert "No run on record tells" in app.info[0].value  # simulated runs never predict AWS
    assert not app.get("vega_lite_chart")


@pytest.mark.slow
def test_another_launcher_offers_its_own_types(open_app: OpenApp, tmp_path: Path) -> None:
    app = open_app(tmp_path, PLAN)
    assert_whole(app)
    app.selectbox(key="place").set_value("ec2").run()
    assert_whole(app)
    assert app.selectbox(key="type").value == "m5.xlarge"
    assert not any(kind.startswith("ml.") for kind in app.selectbox(key="type").options)
    app.selectbox(key="of_run").set_value("two-instances").run()
    assert_whole(app)
    assert app.selectbox(key="place").value == "sagemaker"
    assert app.number_input(key="hosts").value == 2


@pytest.mark.slow
def test_a_limit_that_would_break_is_said_before_the_launch(
    open_app: OpenApp, tmp_path: Path
) -> None:
    write_month_budget(tmp_path / ".pedigree" / "budget.json", Decimal("0.01"))
    app = open_app(tmp_path, PLAN)
    assert not app.exception
    assert "would be refused" in app.error[0].value


@pytest.mark.slow
def test_a_damaged_file_is_a_card(open_app: OpenApp, tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "broken.yaml").write_text("runs: [1, 2", encoding="utf-8")
    app = open_app(tmp_path, PLAN, spec="broken.yaml")
    assert not app.exception
    assert "is not YAML" in app.error[0].value
    assert "Prices" in words(app)


def test_every_use_has_its_prices_with_date_and_source() -> None:
    book = latest_book()
    region = regions(book)[0]
    assert region == "us-east-1"
    for use in USES:
        frame = price_table(book, use, region)
        assert len(frame), use
        assert frame["usd"].is_monotonic_increasing
        assert frame["read"].str.fullmatch(r"\d{4}-\d\d(-\d\d)?").all()
        assert (frame["source"] != "").all()


def test_the_chart_marks_the_front_and_what_was_asked_for() -> None:
    sketch = Sketch(spec=DEMO, run=DEMO.runs[0], photos=720)
    found = outlook(sketch, [record(n) for n in range(6)], latest_book()).table.options
    data = chart_points(found)
    assert data["front"].any()
    assert set(data.loc[data["asked"], "name"]) == {"ml.m5.xlarge", "2 x ml.m5.large", "c5.xlarge"}
    best = data[data["front"]].sort_values("time")
    assert best["cost"].is_monotonic_decreasing
    line, dots, rings, names = cost_against_time(data).to_dict()["layer"]
    assert line["mark"]["interpolate"] == "step-after"
    assert line["transform"] == [{"filter": "datum.front"}]
    assert dots["encoding"]["shape"]["field"] == dots["encoding"]["color"]["field"] == "kind"
    assert rings["transform"] == [{"filter": "datum.asked"}]
    assert names["encoding"]["text"]["field"] == "name"


def test_options_without_runs_have_prices_and_no_times() -> None:
    found = outlook(Sketch(spec=DEMO, run=DEMO.runs[0], photos=720), [], latest_book())
    frame = options_table(found.table.options)
    assert frame["hour_usd"].notna().all()
    assert frame["expected_s"].isna().all()
    assert chart_points(found.table.options).empty
