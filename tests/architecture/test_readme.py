"""What README.md tells people to type exists, with the options and codes it names."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

import click
import pytest

from cli.main import COMMANDS, pedigree
from experiments.errors import EXIT_CODES
from experiments.spec import parse_spec
from tests.architecture.source_tree import ROOT, modules

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.is_file() else ""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def typed() -> Iterator[list[str]]:
    """Every command line in a fenced block or between backticks, as words without comments."""
    blocks = [body for kind, body in _FENCE.findall(TEXT) if kind in ("", "sh", "bash", "console")]
    inline = re.findall(r"`([^`\n]+)`", _FENCE.sub("", TEXT))
    for line in [line for body in blocks for line in body.splitlines()] + inline:
        words = line.partition("#")[0].removeprefix("$ ").split()
        if words:
            words[0] = words[0].rpartition("/")[2]
            yield words


def commands(name: str) -> list[list[str]]:
    return [words[1:] for words in typed() if words[0] == name]


def makefile_targets() -> set[str]:
    path = ROOT / "Makefile"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return set(re.findall(r"^([a-z][\w-]*):(?!=)", text, re.MULTILINE))


def test_every_make_target_exists() -> None:
    asked = {words[0] for words in commands("make") if words and "=" not in words[0]}
    assert asked <= makefile_targets()


def problems(command: click.Command, words: list[str], said: str) -> Iterator[str]:
    """What is wrong with a line for this command: an unknown subcommand or option."""
    if isinstance(command, click.Group):
        names = [word for word in words if not word.startswith("-")]
        if names:
            inner = command.get_command(click.Context(command), names[0])
            if inner is None:
                yield f"{said}: there is no {names[0]}"
            else:
                yield from problems(inner, words[words.index(names[0]) + 1 :], said)
            return
    known = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}
    for word in words:
        option = word.partition("=")[0]
        if word.startswith("-") and option not in known | {"--help", "--version"}:
            yield f"{said}: there is no {option}"


def test_every_pedigree_line_is_a_command_with_its_options() -> None:
    wrong = []
    for words in commands("pedigree"):
        wrong += list(problems(pedigree, words, f"pedigree {' '.join(words)}"))
    for words in commands("promote-model"):
        promote = pedigree.get_command(click.Context(pedigree), "promote")
        assert promote is not None
        wrong += list(problems(promote, words, f"promote-model {' '.join(words)}"))
    assert not wrong, "\n".join(wrong)


def test_every_command_is_told_of() -> None:
    told = {words[0] for words in commands("pedigree") if words}
    assert not TEXT or set(COMMANDS) <= told, f"not in README.md: {sorted(set(COMMANDS) - told)}"


def test_every_installed_script_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"pedigree", "promote-model"} == set(project["project"]["scripts"])


def test_the_exit_codes_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", TEXT, re.MULTILINE)
    assert not rows or {int(code): why for code, why in rows} == EXIT_CODES


@pytest.mark.parametrize(
    "text", [body for kind, body in _FENCE.findall(TEXT) if kind in ("yaml", "yml")]
)
def test_an_experiment_that_is_shown_is_one_that_is_read(text: str) -> None:
    assert parse_spec(text, source="README.md").runs


def test_every_setting_that_is_named_is_read_somewhere() -> None:
    named = set(re.findall(r"`(PEDIGREE_[A-Z_]+)`", TEXT))
    rooms = ("cli", "experiments", "dashboard", "localaws", "serving", "tests")
    read = {
        word
        for module in modules(*rooms)
        for word in re.findall(
            r"PEDIGREE_[A-Z_]+", (ROOT / module.path).read_text(encoding="utf-8")
        )
        if module.path != "tests/architecture/test_readme.py"
    }
    assert named <= read


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert [link for link in links if not (ROOT / link).exists()] == []
