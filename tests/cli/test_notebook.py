"""`pedigree notebook`: one name means one instance, whichever command is given it."""

from __future__ import annotations

import click
import pytest

from cli.main import pedigree


@pytest.mark.parametrize("command", ["plan", "create", "stop", "delete", "status"])
@pytest.mark.parametrize("given", ["mine", "pedigree-mine"])
def test_each_command_means_the_same_instance_by_a_name(command: str, given: str) -> None:
    group = pedigree.get_command(click.Context(pedigree), "notebook")
    assert isinstance(group, click.Group)
    context = group.commands[command].make_context(command, ["--name", given])
    assert context.params["name"] == "pedigree-mine"
