"""`pedigree`: finds the command, and turns every error into one message with its fix."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Sequence

import click

from experiments.errors import EXIT_CODES, PedigreeError

COMMANDS = {
    "demo": "cli.demo:demo",
    "run": "cli.run:run",
    "attach": "cli.attach:attach",
    "stop": "cli.stop:stop",
    "shell": "cli.shell:shell",
    "notebook": "cli.notebook:notebook",
    "plan": "cli.plan:plan",
    "runs": "cli.runs:runs",
    "compare": "cli.runs:compare",
    "prices": "cli.prices:prices",
    "budget": "cli.budget:budget",
    "reconcile": "cli.reconcile:reconcile",
    "simulate": "cli.simulate:simulate",
    "promote": "cli.promote:promote",
    "releases": "cli.releases:releases",
    "rollback": "cli.releases:rollback",
    "teardown": "cli.releases:teardown",
    "sweep": "cli.sweep:sweep",
    "init": "cli.init:init",
    "image": "cli.image:image",
    "invoke": "cli.invoke:invoke",
    "load": "cli.load:load",
    "drift": "cli.drift:drift",
    "up": "cli.up:up",
    "down": "cli.up:down",
    "cloud": "cli.cloud:cloud",
    "doctor": "cli.doctor:doctor",
}


class Commands(click.Group):
    """A group that imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None


def _exit_codes() -> str:
    return "\b\nExit codes:\n" + "\n".join(
        f"  {code:>3}  {why}" for code, why in EXIT_CODES.items()
    )


@click.group(cls=Commands, epilog=_exit_codes(), context_settings={"max_content_width": 100})
@click.version_option("0.1.0", prog_name="pedigree")
def pedigree() -> None:
    """Train an image classifier anywhere, know what each run cost, promote the best, serve it.

    Everything runs on this machine unless a command is given `--cloud aws`.
    """


def invoke(command: click.Command, argv: Sequence[str], *, name: str) -> int:
    """Run a command and return its exit code; whatever happens, the person reads one clear message."""
    as_json = "--json" in argv
    try:
        answer = command.main(args=list(argv), prog_name=name, standalone_mode=False)
        return answer if isinstance(answer, int) else 0
    except PedigreeError as error:
        _tell(error.message, error.fix, error.exit_code, as_json=as_json)
        return error.exit_code
    except click.ClickException as error:
        if as_json:
            _tell(error.format_message(), f"see `{name} --help`", 2, as_json=True)
        else:
            error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        _tell("interrupted", "run the same command again when ready", 130, as_json=as_json)
        return 130
    except SystemExit as end:  # click and Rich leave with 1 when whoever read them has gone
        return end.code if isinstance(end.code, int) and end.code != 1 else 0
    except Exception as error:
        _tell(
            f"this should not happen: {type(error).__name__}: {error}",
            f"its trace is in {_keep_trace()}; please report it",
            1,
            as_json=as_json,
        )
        return 1


def _tell(message: str, fix: str, code: int, *, as_json: bool) -> None:
    if as_json:
        body = {"error": message, "fix": fix, "exit_code": code}
        click.echo(json.dumps(body), err=True)
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
        click.echo(f"  {click.style('fix:', bold=True)} {fix}", err=True)


def _keep_trace() -> str:
    from cli.workspace import Workspace

    path = Workspace.here().state / "last-error.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(traceback.format_exc(), encoding="utf-8")
    return str(path)


def main() -> None:
    """Entry point of `pedigree`."""
    sys.exit(invoke(pedigree, sys.argv[1:], name="pedigree"))


def promote_model() -> None:
    """Entry point of `promote-model`: the same as `pedigree promote`."""
    from cli.promote import promote

    sys.exit(invoke(promote, sys.argv[1:], name="promote-model"))
