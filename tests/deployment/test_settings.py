"""What a release may be served with."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.errors import SpecError
from tests.deployment.builders import settings


def test_the_defaults_and_the_names_they_give() -> None:
    one = settings()
    assert (one.min_instances, one.max_instances, one.target_invocations_per_instance) == (1, 3, 25)
    assert (one.scale_in_cooldown_s, one.scale_out_cooldown_s) == (300, 30)
    assert (one.reserved_concurrency, one.provisioned_concurrency) == (5, 3)
    assert one.name == "dogs-prod" and one.release_name("r-1") == "dogs-prod-r-1"
    assert one.scaling_resource == "endpoint/dogs-prod/variant/primary"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"app": "Dogs"}, "cannot be part of a name"),
        ({"app": "d" * 25}, "cannot be part of a name"),
        ({"stage": "-prod"}, "cannot be part of a name"),
        ({"instance_type": "m5.large"}, "no hosting type"),
        ({"allowed_origins": ("https://dogs.example/",)}, "no origin"),
        ({"allowed_origins": ("dogs.example",)}, "no origin"),
        ({"min_instances": 0}, "cannot be"),
        ({"min_instances": 4}, "cannot be"),
        ({"target_invocations_per_instance": 0}, "below 1"),
        ({"scale_in_cooldown_s": -1}, "below 0"),
        ({"provisioned_concurrency": 6}, "does not fit"),
        ({"reserved_concurrency": 0, "provisioned_concurrency": 0}, "refuse every call"),
        ({"memory_mb": 64}, "not offered"),
        ({"timeout_s": 20}, "leaves the function no time"),
        ({"timeout_s": 901}, "leaves the function no time"),
    ],
)
def test_settings_that_cannot_be_name_their_fix(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        settings(**wrong)
    assert caught.value.fix


def test_every_name_fits_what_aws_takes() -> None:
    longest = settings(app="a" * 24, stage="b" * 12)
    assert len(longest.release_name("r-20261122-12345678")) <= 63
    assert max(len(longest.endpoint_role), len(longest.function_role)) <= 64
