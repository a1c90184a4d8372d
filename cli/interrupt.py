"""Ctrl-C while runs are followed: stop them, leave them, or go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from experiments.following.follow import Interrupt

_F = TypeVar("_F", bound=Callable[..., Any])
_LETTERS = {"s": "stop", "l": "leave", "g": "go on"}


def interrupt_option(command: _F) -> _F:
    """`--on-interrupt ask|stop|leave`: what Ctrl-C does to the runs."""
    return click.option(
        "--on-interrupt",
        type=click.Choice(["ask", "stop", "leave"]),
        default="ask",
        show_default=True,
        help="What Ctrl-C does to the runs. Where nobody can be asked, ask means stop.",
    )(command)


def answer(choice: str) -> Callable[[Sequence[str]], Interrupt]:
    """What to do when Ctrl-C is pressed, for a choice of `--on-interrupt`."""
    from experiments.following.follow import Interrupt

    if choice != "ask":
        return lambda _names: Interrupt(choice)
    return ask if sys.stdin.isatty() else lambda _names: Interrupt.STOP


def ask(names: Sequence[str]) -> Interrupt:
    """Ask the person. A second Ctrl-C means stop."""
    from experiments.following.follow import Interrupt

    click.echo(f"\nrunning: {', '.join(names)}", err=True)
    try:
        letter = click.prompt(
            "Ctrl-C: [s]top and settle them, [l]eave them running, or [g]o on following",
            type=click.Choice(list(_LETTERS)),
            default="s",
            show_choices=False,
            err=True,
        )
    except click.Abort:
        letter = "s"
    return Interrupt(_LETTERS[letter])
