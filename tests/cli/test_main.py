from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from cli.main import COMMANDS, invoke, pedigree
from experiments import errors
from experiments.errors import EXIT_CODES, CloudError, PedigreeError
from experiments.source import ROOT

HELP_S = 0.3


def family(root: type[PedigreeError]) -> Iterator[type[PedigreeError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


ERRORS = sorted(
    {kind for kind in family(PedigreeError) if kind.__module__ == errors.__name__},
    key=lambda kind: kind.__name__,
)


def command(act: Callable[[], int | None]) -> click.Command:
    """A command that does one thing, and knows --json."""

    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    def acting(as_json: bool) -> int | None:
        return act()

    return acting


def raising(error: BaseException) -> click.Command:
    def act() -> None:
        raise error

    return command(act)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_becomes_its_exit_code_and_names_its_fix(
    kind: type[PedigreeError], capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(raising(kind("it broke", fix="mend it")), [], name="pedigree")
    said = capsys.readouterr()
    assert code == kind.exit_code
    assert code in EXIT_CODES
    assert said.out == ""
    assert said.err == "error: it broke\n  fix: mend it\n"


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_a_program_reads_every_error_as_json(
    kind: type[PedigreeError], capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(raising(kind("it broke", fix="mend it")), ["--json"], name="pedigree")
    said = capsys.readouterr()
    assert said.out == ""
    assert json.loads(said.err) == {"error": "it broke", "fix": "mend it", "exit_code": code}


def test_the_codes_in_use_are_all_documented() -> None:
    assert {kind.exit_code for kind in ERRORS} | {0, 130} == set(EXIT_CODES)


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (5, 5)])
def test_a_command_s_answer_is_the_exit_code(answer: int | None, code: int) -> None:
    assert invoke(command(lambda: answer), [], name="pedigree") == code


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_and_a_no_are_an_interrupt(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(raising(error), [], name="pedigree") == 130
    assert "interrupted" in capsys.readouterr().err


def test_an_error_nobody_foresaw_keeps_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PEDIGREE_HOME", str(tmp_path))
    assert invoke(raising(ZeroDivisionError("oh")), [], name="pedigree") == 1
    said = capsys.readouterr().err
    (path,) = re.findall(r"its trace is in (\S+);", said)
    assert "ZeroDivisionError: oh" in said
    assert "Traceback" not in said
    assert Path(path).is_relative_to(tmp_path)
    assert "in act" in Path(path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--bogus"], "--bogus"),
        (["nonsense"], "nonsense"),
        (["runs", "--bogus"], "--bogus"),
        (["compare", "only-one"], "SECOND"),
    ],
)
def test_what_was_typed_wrong_is_told(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(pedigree, words, name="pedigree") == 2
    assert named in capsys.readouterr().err
    assert invoke(pedigree, [*words, "--json"], name="pedigree") == 2
    said = json.loads(capsys.readouterr().err)
    assert said["exit_code"] == 2
    assert said["error"]
    assert "--help" in said["fix"]


def test_the_help_documents_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(pedigree, ["--help"], name="pedigree") == 0
    said = capsys.readouterr().out
    for code, why in EXIT_CODES.items():
        assert re.search(rf"^ +{code}  {re.escape(why[:40])}", said, re.MULTILINE), code
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", said, re.MULTILINE), name


def test_every_command_can_be_loaded() -> None:
    missing = [where for where in COMMANDS.values() if find_spec(where.partition(":")[0]) is None]
    assert missing == []
    for name in COMMANDS:
        assert pedigree.get_command(click.Context(pedigree), name) is not None, name


def help_lines() -> list[list[str]]:
    """The words of every help text whose module is there, subcommands included."""
    lines: list[list[str]] = [[]]
    for name, where in COMMANDS.items():
        if find_spec(where.partition(":")[0]) is None:
            continue
        lines.append([name])
        found = pedigree.get_command(click.Context(pedigree), name)
        if isinstance(found, click.Group):
            lines += [[name, inner] for inner in found.commands]
    return lines


PROGRAM = "from cli.main import main; main()"


def ran(words: list[str], program: str = PROGRAM) -> tuple[float, str]:
    """Run the program as a process of its own: the seconds it took and what it printed."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--help"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return time.monotonic() - started, done.stdout


@pytest.mark.parametrize("words", help_lines(), ids=lambda words: " ".join(words) or "pedigree")
def test_help_is_instant(words: list[str]) -> None:
    took = []
    for _ in range(8):  # the machine may be busy with something else: the best of eight counts
        seconds, said = ran(words)
        assert said.startswith("Usage: ")
        took.append(seconds)
        if seconds < HELP_S:
            return
    pytest.fail(f"--help took {min(took):.2f} s at best")


HEAVY = ("torch", "mlflow", "boto3", "botocore", "pandas", "numpy", "streamlit", "moto", "pydantic")
LOADED = (
    f"import sys\ntry:\n    {PROGRAM}\nfinally:\n"
    f"    print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
)


def test_help_loads_nothing_heavy() -> None:
    for words in help_lines():
        _, said = ran(words, LOADED.replace("; main()", "\n    main()"))
        assert said.rstrip().endswith("LOADED"), f"{words}: {said.splitlines()[-1]}"


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "{sys.executable}" -c "{PROGRAM}" --help | true'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_cloud_that_is_down_says_how_to_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PEDIGREE_HOME", str(tmp_path))
    assert invoke(pedigree, ["cloud", "status", "--json"], name="pedigree") == 0
    assert json.loads(capsys.readouterr().out) == {"up": False}
    assert invoke(pedigree, ["invoke", "nothing.jpg", "--json"], name="pedigree") in (2, 4)
    assert json.loads(capsys.readouterr().err)["fix"]


def test_a_cloud_error_keeps_its_code() -> None:
    assert CloudError("no", fix="yes", code="403").code == "403"
