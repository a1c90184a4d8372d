"""Promotions and rollbacks against a world with AWS's rules."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from deployment.apply import apply_proposal
from deployment.monthly import Requests
from deployment.promote import prepare, propose
from deployment.reconcile.perform import Progress
from deployment.release import ReleaseStatus
from deployment.store import ReleaseStore
from deployment.undo import propose_rollback
from experiments.contract import faults
from experiments.errors import BusyError, CloudError, PriceError, ReleaseError
from experiments.records import Basis, Call
from tests.deployment.builders import (
    BOOK,
    handler,
    means,
    promote,
    proposal,
    rollback,
    run,
    settings,
)
from tests.deployment.world import Killed, World

FIRST = [
    "iam create_role",
    "iam put_role_policy",
    "iam create_role",
    "iam put_role_policy",
    "s3 put_object",
    "s3 put_object",
    "sagemaker create_model",
    "sagemaker create_endpoint_config",
    "lambda create_function",
    "lambda publish_version",
    "lambda put_function_concurrency",
    "lambda put_provisioned_concurrency_config",
    "cloudwatch put_metric_alarm",
    "cloudwatch put_metric_alarm",
    "sagemaker create_endpoint",
    "application-autoscaling register_scalable_target",
    "application-autoscaling put_scaling_policy",
    "lambda create_alias",
]


def store(world: World) -> ReleaseStore:
    return ReleaseStore(cloud=world, name="dogs-prod")


def alias(world: World) -> str:
    return str(world.functions.functions["dogs-prod"].aliases["live"]["FunctionVersion"])


def provisioned(world: World) -> dict[str, int]:
    entries = world.functions.functions["dogs-prod"].provisioned
    return {name: entry["number"] for name, entry in entries.items()}


def test_a_first_release_goes_live() -> None:
    world = World()
    applied = promote(world, run(world, "first"))
    assert world.written() == FIRST
    assert world.endpoints.serves("dogs-prod") == "first"
    assert alias(world) == applied.function_version == "1"
    assert provisioned(world) == {"1": 3}
    assert store(world).live().history == (applied.release.release_id,)
    assert store(world).read(applied.release.release_id).status is ReleaseStatus.LIVE
    assert applied.answer is not None and applied.answer.predictions[0].label == "beagle"
    assert applied.previous_id == ""
    assert applied.tags["pedigree.endpoint"] == "dogs-prod"


def test_every_planned_request_is_one_that_aws_knows() -> None:
    world = World()
    plan = proposal(world, run(world, "first")).plan
    calls = [step.call for step in plan.steps] + [s.wait.call for s in plan.steps if s.wait]
    assert [faults(call) for call in calls if call] == [[] for call in calls if call]
    assert all(step.why for step in plan.steps)


def test_requests_go_to_the_instance_with_the_fewest_under_way_and_the_plan_says_why() -> None:
    world = World()
    plan = proposal(world, run(world, "first")).plan
    step = next(s for s in plan.steps if s.call and s.call.operation == "create_endpoint_config")
    assert "AWS would choose at random" in step.why
    promote(world, run(world, "first"))
    (config,) = world.endpoints.configs.values()
    variant = config["ProductionVariants"][0]
    assert variant["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    del variant["RoutingConfig"]  # as an earlier version made it: still that release's
    assert proposal(world, run(world, "first")).is_done


def test_answers_are_captured_only_where_that_was_asked_for() -> None:
    world = World()
    promote(world, run(world, "first"))
    promote(world, run(world, "first"), settings(capture_percent=20))
    without, captured = world.endpoints.configs.values()
    assert "DataCaptureConfig" not in without
    config = captured["DataCaptureConfig"]
    assert (config["EnableCapture"], config["InitialSamplingPercentage"]) == (True, 20)
    assert config["DestinationS3Uri"].endswith("/capture/dogs-prod")


def test_an_alias_that_somebody_moved_meanwhile_is_not_moved_again() -> None:
    world = World()
    promote(world, run(world, "first"))

    def meddle(call: Call) -> None:
        if call.operation == "update_alias":
            world.before = lambda call: None
            alias = world.functions.functions["dogs-prod"].aliases["live"]
            alias["RevisionId"] = "somebody-else"

    world.before = meddle
    with pytest.raises(CloudError, match="RevisionId provided does not match"):
        promote(world, run(world, "first"), settings(memory_mb=512))
    assert alias(world) == "1"


def test_a_second_run_of_a_finished_promotion_writes_nothing() -> None:
    world = World()
    first = run(world, "first")
    promote(world, first)
    before = len(world.writes)
    world.moment.sleep(86_400)
    again = proposal(world, first)
    assert again.plan.steps == () and again.is_done
    assert apply_proposal(again, means(world)).steps_done == 0
    assert len(world.writes) == before


def test_a_new_model_updates_the_endpoint_and_leaves_the_function_alone() -> None:
    world = World()
    one = promote(world, run(world, "first"))
    del world.writes[:]
    two = promote(world, run(world, "second"))
    assert world.written() == [
        "s3 put_object",
        "sagemaker create_model",
        "sagemaker create_endpoint_config",
        "sagemaker update_endpoint",
    ]
    assert world.endpoints.serves("dogs-prod") == "second"
    assert two.previous_id == one.release.release_id
    statuses = [record.status for record in store(world).records()]
    assert sorted(statuses) == [ReleaseStatus.LIVE, ReleaseStatus.SUPERSEDED]


def test_a_new_handler_takes_over_within_the_reserved_concurrency(tmp_path: Path) -> None:
    world = World()
    first = run(world, "first")
    promote(world, first)
    del world.writes[:]
    promote(world, first, code=handler(tmp_path, "changed"))
    numbers = [
        (call.params["Qualifier"], call.params.get("ProvisionedConcurrentExecutions", 0))
        for call in world.writes
        if "provisioned" in call.operation
    ]
    assert numbers == [("1", 2), ("2", 3), ("1", 0)]
    assert world.functions.most_provisioned == 5
    assert world.written().index("lambda update_alias") < world.written().index(
        "lambda delete_provisioned_concurrency_config"
    )
    assert alias(world) == "2" and provisioned(world) == {"2": 3}


def test_settings_change_in_place() -> None:
    world = World()
    first = run(world, "first")
    promote(world, first)
    how = settings(
        max_instances=2, memory_mb=512, reserved_concurrency=2, provisioned_concurrency=1
    )
    promote(world, first, how)
    target = world.scaling.targets["endpoint/dogs-prod/variant/primary"]
    function = world.functions.functions["dogs-prod"]
    assert target["MaxCapacity"] == 2
    assert function.versions[alias(world)]["MemorySize"] == 512
    assert function.reserved == 2 and provisioned(world) == {"2": 1}
    assert proposal(world, first, how).is_done


def test_the_instance_count_that_scaling_reached_survives() -> None:
    world = World()
    promote(world, run(world, "first"))
    world.endpoints.endpoints["dogs-prod"]["instances"] = 3
    promote(world, run(world, "second"))
    assert world.endpoints.endpoints["dogs-prod"]["instances"] == 3


def test_rollback_restores_model_and_handler(tmp_path: Path) -> None:
    world = World()
    one = promote(world, run(world, "first"))
    two = promote(world, run(world, "second"), code=handler(tmp_path, "changed"))
    assert (world.endpoints.serves("dogs-prod"), alias(world)) == ("second", "2")
    del world.writes[:]
    back = rollback(world)
    assert (world.endpoints.serves("dogs-prod"), alias(world)) == ("first", "1")
    assert provisioned(world) == {"1": 3}
    assert not [name for name in world.written() if "create" in name or "publish" in name]
    assert back.release == one.release and back.previous_id == two.release.release_id
    assert store(world).live().history == (one.release.release_id,)


def test_rollback_twice_goes_back_two_releases() -> None:
    world = World()
    names = [promote(world, run(world, n)).release.release_id for n in ("one", "two", "three")]
    assert rollback(world).release.release_id == names[1]
    assert rollback(world).release.release_id == names[0]
    with pytest.raises(ReleaseError, match="no release before"):
        rollback(world)
    assert rollback(world, to=names[2]).release.release_id == names[2]
    assert store(world).live().history == (names[0], names[2])


def test_rollback_to_what_never_was_live_is_refused() -> None:
    world = World()
    promote(world, run(world, "first"))
    world.endpoints.unstartable_runs.add("second")
    with pytest.raises(ReleaseError):
        promote(world, run(world, "second"))
    failed = next(r for r in store(world).records() if r.status is ReleaseStatus.ROLLED_BACK)
    with pytest.raises(ReleaseError, match="never live"):
        rollback(world, to=failed.release.release_id)
    with pytest.raises(ReleaseError, match="there is no release"):
        rollback(world, to="r-20260101-00000000")


def test_a_plan_for_a_changed_world_is_refused() -> None:
    world = World()
    promote(world, run(world, "first"))
    stale = proposal(world, run(world, "second"))
    promote(world, run(world, "third"))
    before = world.written()
    with pytest.raises(ReleaseError, match="has changed since this plan"):
        apply_proposal(stale, means(world))
    assert world.written() == before and world.endpoints.serves("dogs-prod") == "third"


def test_a_model_that_fails_its_trial_is_taken_back(tmp_path: Path) -> None:
    world = World()
    one = promote(world, run(world, "first"))
    world.endpoints.broken_runs.add("second")
    with pytest.raises(ReleaseError, match=f"{one.release.release_id} is live as before"):
        promote(world, run(world, "second"), code=handler(tmp_path, "changed"))
    assert (world.endpoints.serves("dogs-prod"), alias(world)) == ("first", "1")
    assert store(world).live().release_id == one.release.release_id
    assert provisioned(world) == {"1": 3}
    assert proposal(world, run(world, "first")).is_done


def test_a_wrong_label_is_a_failed_trial() -> None:
    world = World()
    promote(world, run(world, "first"))
    with pytest.raises(ReleaseError, match="it says 'beagle' and should say 'whippet'"):
        apply_proposal(proposal(world, run(world, "second")), means(world, label="whippet"))
    assert world.endpoints.serves("dogs-prod") == "first"


def test_a_first_model_that_fails_its_trial_never_gets_the_alias() -> None:
    world = World()
    world.endpoints.broken_runs.add("first")
    with pytest.raises(ReleaseError, match="nothing was live before") as caught:
        promote(world, run(world, "first"))
    assert "nothing is left that costs by the hour" in caught.value.message
    assert world.functions.functions["dogs-prod"].aliases == {}
    assert provisioned(world) == {} and world.endpoints.endpoints == {}
    assert store(world).live().history == ()


def test_an_endpoint_that_does_not_come_up_says_why_and_is_made_anew() -> None:
    world = World()
    world.endpoints.unstartable_runs.add("first")
    with pytest.raises(ReleaseError, match="ping health check") as caught:
        promote(world, run(world, "first"))
    assert "nothing is left that costs by the hour" in caught.value.message
    assert world.endpoints.endpoints == {} and provisioned(world) == {}
    promote(world, run(world, "second"))
    assert world.endpoints.serves("dogs-prod") == "second"


def test_an_update_that_aws_rolls_back_leaves_the_old_model_live() -> None:
    world = World()
    one = promote(world, run(world, "first"))
    world.endpoints.unstartable_runs.add("second")
    with pytest.raises(ReleaseError, match="ping health check"):
        promote(world, run(world, "second"))
    assert world.endpoints.serves("dogs-prod") == "first"
    assert store(world).live().release_id == one.release.release_id


def test_progress_is_reported_in_order() -> None:
    world = World()
    seen: list[Progress] = []
    plan = proposal(world, run(world, "first"))
    apply_proposal(plan, means(world, report=seen.append))
    numbers = [progress.number for progress in seen]
    assert numbers == sorted(numbers) and numbers[-1] == len(plan.plan.steps)
    assert any("once more in" in progress.text for progress in seen)
    assert any("the endpoint serves" in progress.text for progress in seen)


def test_two_commands_at_once_do_not_meet() -> None:
    world = World()
    promote(world, run(world, "first"))
    second, third = proposal(world, run(world, "second")), proposal(world, run(world, "third"))

    def meanwhile(call: Call) -> None:
        if call.operation == "update_endpoint":
            world.before = lambda call: None
            with pytest.raises(BusyError, match="is being changed to make release"):
                apply_proposal(third, means(world, holder="other"))

    world.before = meanwhile
    apply_proposal(second, means(world))
    assert world.endpoints.serves("dogs-prod") == "second"


def test_an_error_in_the_middle_is_on_record_and_the_same_command_goes_on() -> None:
    world = World()
    one = promote(world, run(world, "first"))

    def refuse(call: Call) -> None:
        if call.operation == "update_endpoint":
            raise CloudError("sagemaker says no", fix="wait", code="ThrottlingException")

    world.before = refuse
    with pytest.raises(CloudError, match="sagemaker says no") as caught:
        promote(world, run(world, "second"))
    assert "run the same command again" in caught.value.fix
    assert store(world).live().release_id == one.release.release_id
    assert world.endpoints.serves("dogs-prod") == "first"
    world.before = lambda call: None
    promote(world, run(world, "second"))
    assert world.endpoints.serves("dogs-prod") == "second"


def kill_at(world: World, count: int, *, after: bool) -> None:
    """End the command at its `count`-th write, before or after the effect; it never comes back."""
    left = [count]

    def strike(call: Call) -> None:
        del call
        left[0] -= 1
        if left[0] <= 0:
            raise Killed

    if after:
        world.after = strike
        world.before = lambda call: strike_dead(left)
    else:
        world.before = strike


def strike_dead(left: list[int]) -> None:
    if left[0] <= 0:
        raise Killed


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), min_size=1, max_size=5))
def test_any_order_of_releases_ends_in_the_last_one(
    order: list[tuple[str, bool]], tmp_path: Path
) -> None:
    world = World()
    code = handler(tmp_path, "changed")
    for name, changed in order:
        promote(world, run(world, name), code=code if changed else None)
        again = proposal(world, run(world, name), code=code if changed else None)
        assert again.plan.steps == () and again.is_done
    name, _ = order[-1]
    assert world.endpoints.serves("dogs-prod") == name
    assert sum(provisioned(world).values()) == 3 and alias(world) in provisioned(world)
    assert world.functions.most_provisioned <= 5
    assert len(world.functions.functions["dogs-prod"].versions) == len({c for _, c in order})


def test_the_plan_shows_the_price_before_and_after() -> None:
    world = World()
    first = run(world, "first")
    plan = proposal(world, first).plan
    assert plan.before is None
    # 730 h x 0.115, 3 x 0.25 GB x 2,628,000 s x 0.0000041667, two alarms at 0.10, and a few bytes
    assert f"{plan.after.at_min.total_usd:.2f}" == "92.36"
    assert f"{plan.after.at_max.total_usd:.2f}" == "260.26"
    assert plan.after.at_min.basis is Basis.SIMULATED
    promote(world, first)
    second = proposal(world, run(world, "second"), settings(provisioned_concurrency=0)).plan
    assert second.before is not None and f"{second.before.at_min.total_usd:.2f}" == "92.36"
    assert f"{second.after.at_min.total_usd:.2f}" == "84.15"
    assert any("1,000 predictions" in note for note in second.notes)


def test_no_missing_price_bars_the_way_back() -> None:
    world = World()
    promote(world, run(world, "first"))
    promote(world, run(world, "second"))
    rows = {key: row for key, row in BOOK.rows.items() if key[1] != "hosting"}
    book = replace(BOOK, rows=rows)
    with pytest.raises(PriceError, match=r"no price for sagemaker hosting of ml\.m5\.large"):
        ready = prepare(world, run(world, "third"), settings(), now=world.moment.now())
        propose(world, ready, book=book)
    back = propose_rollback(world, "dogs-prod", book=book)
    assert "no price for sagemaker hosting" in back.plan.after.at_min.not_counted[0]
    assert any("is not known in full" in note for note in back.plan.notes)
    apply_proposal(back, means(world))
    assert world.endpoints.serves("dogs-prod") == "first"


def test_a_month_counts_the_requests_where_the_traffic_is_known() -> None:
    world = World()
    ready = prepare(world, run(world, "first"), settings(), now=world.moment.now())
    traffic = Requests(per_month=Decimal(1_000_000), billed_ms=100)
    plan = propose(world, ready, book=BOOK, requests=traffic).plan
    lines = {line.item: line.usd for line in plan.after.at_min.lines}
    assert f"{lines['1,000,000 requests']:.2f}" == "0.20"
    assert f"{lines['100 ms of the function for each']:.2f}" == "0.24"  # 25,000 warm GB-seconds
    assert not any("requests" in words for words in plan.after.at_min.not_counted)


def test_on_aws_the_plan_is_an_estimate_and_names_the_image() -> None:
    world = World(basis=Basis.BILLED)
    plan = proposal(world, run(world, "first")).plan
    assert plan.after.at_min.basis is Basis.ESTIMATED
    assert any("has to be in ECR" in note for note in plan.notes)


def test_a_foreign_alias_weight_and_alias_concurrency_are_cleared() -> None:
    world = World()
    first = run(world, "first")
    promote(world, first)
    function = world.functions.functions["dogs-prod"]
    weights = {"AdditionalVersionWeights": {"1": 0.5}}
    function.aliases["live"] = {**function.aliases["live"], "RoutingConfig": weights}
    function.provisioned = {"live": function.provisioned["1"]}
    promote(world, first)
    assert provisioned(world) == {"1": 3}
    assert "RoutingConfig" not in function.aliases["live"]


def test_an_object_that_is_not_ours_stops_the_plan() -> None:
    world = World()
    first = run(world, "first")
    applied = promote(world, first)
    key = applied.release.model.key
    world.objects.bodies[key] = b"other"
    with pytest.raises(ReleaseError, match="is not what this release put there"):
        proposal(world, first)
    del world.objects.bodies[key]
    with pytest.raises(ReleaseError, match="not in the bucket any more"):
        propose_rollback(world, "dogs-prod", book=BOOK, to=applied.release.release_id)


def test_the_lease_of_a_dead_command_runs_out() -> None:
    world = World()
    first = run(world, "first")
    kill_at(world, 8, after=False)
    with pytest.raises(Killed):
        promote(world, first)
    world.before = lambda call: None
    with pytest.raises(BusyError, match="is being changed to make release"):
        apply_proposal(proposal(world, first), means(world, holder="other"))
    world.moment.sleep(121)
    apply_proposal(proposal(world, first), means(world, holder="other"))
    assert world.endpoints.serves("dogs-prod") == "first"
