"""A plan as people read it: the diff's signs, and the bill before and after."""

from __future__ import annotations

from deployment.plan.told import diff_lines, month_lines
from tests.deployment.builders import promote, proposal, run, settings
from tests.deployment.world import World


def test_a_first_release_only_adds() -> None:
    world = World()
    plan = proposal(world, run(world, "first")).plan
    lines = diff_lines(plan)
    assert len(lines) == len(plan.steps)
    assert "+ sagemaker create_endpoint: no endpoint dogs-prod yet" in lines
    assert "+ s3 put_object: the model is not in the bucket" in lines
    assert not any(line.startswith("-") for line in lines)
    assert {line.before_usd for line in month_lines(plan.before, plan.after)} == {None}


def test_a_second_release_changes_the_endpoint_and_lets_go_of_what_was_warm() -> None:
    world = World()
    promote(world, run(world, "first"), settings(provisioned_concurrency=3))
    plan = proposal(world, run(world, "second"), settings(memory_mb=512)).plan
    lines = diff_lines(plan)
    assert any(
        line.startswith("! sagemaker update_endpoint: the endpoint serves") for line in lines
    )
    assert any(line.startswith("- lambda delete_provisioned_concurrency") for line in lines)


def test_the_bill_shows_fewest_and_most_instances_and_both_sums() -> None:
    world = World()
    promote(world, run(world, "first"))
    plan = proposal(world, run(world, "second"), settings(max_instances=5)).plan
    bill = {line.item: line for line in month_lines(plan.before, plan.after)}
    assert bill["1 x ml.m5.large"].before_usd == bill["1 x ml.m5.large"].after_usd
    assert bill["3 x ml.m5.large"].after_usd is None
    assert bill["5 x ml.m5.large"].before_usd is None
    assert plan.before is not None
    least, most = bill["all, at the fewest instances"], bill["all, at the most instances"]
    assert (least.before_usd, least.after_usd) == (
        plan.before.at_min.total_usd,
        plan.after.at_min.total_usd,
    )
    assert (most.before_usd, most.after_usd) == (
        plan.before.at_max.total_usd,
        plan.after.at_max.total_usd,
    )
