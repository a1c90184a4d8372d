"""`pedigree attach`, `stop` and `shell` over runs that were launched from a folder, and what Ctrl-C asks."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.interrupt import answer, ask
from cli.main import invoke, pedigree
from experiments.following.follow import Interrupt
from experiments.following.output import Cursor
from experiments.following.run_log import Intent, RunLog, Settled
from experiments.records import Basis, Cost, LaunchPlan
from tests.experiments.build import NOW, plan, record


def begun(home: Path, found: LaunchPlan, *, resource: str = "") -> RunLog:
    opened = Intent(plan=found, cloud="local", opened_at=NOW)
    log = RunLog.create(home / ".pedigree" / "runs", opened)
    if resource:
        log.note("asked", at=NOW)
        log.note("launched", at=NOW + timedelta(seconds=1), resource=resource)
    return log


def settle(log: RunLog) -> None:
    found = record(run_id=log.run_id)
    log.settle(Settled(record=found, cost=Cost(basis=Basis.SIMULATED), at=NOW), {})
    log.write_mirrored({"closed": True})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PEDIGREE_HOME", str(tmp_path))
    return tmp_path


def typed(*words: str) -> tuple[int, str]:
    """The exit code and everything that was said."""
    runner = CliRunner()
    with runner.isolation() as (out, err, *_):
        code = invoke(pedigree, words, name="pedigree")
        said = out.getvalue() + err.getvalue()
    return code, said.decode()


@pytest.mark.usefixtures("home")
def test_without_an_open_run_attach_says_so() -> None:
    assert typed("attach") == (0, "no run is open\n")
    code, said = typed("attach", "nobody")
    assert code == 5
    assert "no run 'nobody' was launched from this folder" in said


def test_a_settled_run_is_shown_as_it_was_settled(home: Path) -> None:
    settle(begun(home, plan(), resource="dogs-one-00000001"))
    code, said = typed("attach", "one", "--json")
    assert code == 0
    (row,) = json.loads(said)
    assert (row["run_id"], row["status"]) == ("00000001", "succeeded")
    code, said = typed("stop", "00000001")
    assert (code, said) == (0, "00000001 is over: succeeded\n")
    code, said = typed("stop", "00000001", "--json")
    assert (code, json.loads(said)[0]["status"]) == (0, "succeeded")
    code, said = typed("shell", "one")
    assert code == 5
    assert "is over" in said


def test_a_run_that_cannot_be_read_is_named_and_holds_up_no_other(home: Path) -> None:
    damaged = begun(home, plan("two", "00000002"))
    (damaged.folder / "intent.json").write_text("{")
    settle(begun(home, plan(), resource="dogs-one-00000001"))
    code, said = typed("attach")
    assert code == 5
    assert f"run 00000002: {damaged.folder / 'intent.json'} cannot be read" in said
    assert "move the folder away" in said
    assert typed("attach", "one")[0] == 0
    code, said = typed("attach", "nobody")
    assert "one (00000001)" in said
    code, said = typed("attach", "00000002")
    assert code == 5
    assert "holds no run that can be read" in said


def test_the_lines_of_a_run_stay_out_of_the_json(home: Path) -> None:
    log = begun(home, plan(), resource="dogs-one-00000001")
    log.keep(["epoch 1", '{"not": "ours"}'], Cursor())
    settle(log)
    runner = CliRunner()
    with runner.isolation() as (out, err, *_):
        code = invoke(pedigree, ("attach", "one", "--logs", "--json"), name="pedigree")
        said, told = out.getvalue().decode(), err.getvalue().decode()
    assert code == 0
    assert json.loads(said)[0]["run_id"] == "00000001"
    assert told.splitlines() == ["epoch 1", '{"not": "ours"}']
    with runner.isolation() as (out, *_):
        invoke(pedigree, ("attach", "one", "--logs"), name="pedigree")
        assert out.getvalue().decode().startswith("epoch 1\n")


def test_an_open_run_needs_its_cloud(home: Path) -> None:
    begun(home, plan(), resource="dogs-one-00000001")
    for command in ("attach", "stop"):
        code, said = typed(command, "one")
        assert code == 4
        assert "pedigree cloud up" in said


def test_the_shell_is_opened_without_ssh(home: Path) -> None:
    begun(home, plan("plain", "00000003"), resource="i-0abc")
    code, said = typed("shell", "plain", "--print")
    assert code == 0
    assert said == "aws ssm start-session --target i-0abc --region us-east-1\n"
    begun(home, plan("two", "00000002"), resource="dogs-two-00000002")
    code, said = typed("shell", "two", "--print")
    assert code == 5
    assert "add `shell: true`" in said
    begun(home, plan("one", "00000001"))
    code, said = typed("shell", "one", "--print")
    assert code == 5
    assert "not launched yet" in said
    code, said = typed("shell", "plain", "--host", "2", "--print")
    assert code == 5
    assert "has no host 2" in said


@pytest.mark.parametrize(
    ("keys", "wish"),
    [
        ("\n", Interrupt.STOP),
        ("s\n", Interrupt.STOP),
        ("l\n", Interrupt.LEAVE),
        ("g\n", Interrupt.GO_ON),
        ("x\nl\n", Interrupt.LEAVE),
        ("", Interrupt.STOP),
    ],
)
def test_ctrl_c_asks_what_to_do(keys: str, wish: Interrupt) -> None:
    @click.command()
    def asked() -> None:
        click.echo(f"wish: {ask(['one', 'two'])}")

    done = CliRunner().invoke(asked, input=keys)
    assert "running: one, two" in done.output
    assert f"wish: {wish}" in done.output


def test_where_nobody_can_be_asked_ctrl_c_stops() -> None:
    with CliRunner().isolation():
        assert answer("ask")(["one"]) is Interrupt.STOP
        assert answer("leave")(["one"]) is Interrupt.LEAVE
        assert answer("stop")(["one"]) is Interrupt.STOP
