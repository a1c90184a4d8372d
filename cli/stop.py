"""`pedigree stop`: end a run before its time and settle what it cost."""

from __future__ import annotations

import click

from cli.workspace import Workspace, json_option

_WHY = "stopped by `pedigree stop`"


@click.command()
@click.argument("run")
@json_option
def stop(run: str, as_json: bool) -> int:
    """Stop RUN (an id or a name): it writes its checkpoint, ends, and is settled.

    If another command follows the run, that command stops it within one poll.
    """
    from cli import experiment, show
    from cli.launched import cloud_of, find_log
    from experiments.following.follow import stop_runs

    space = Workspace.here()
    log = find_log(space, run)
    settled = log.settled()
    if settled is not None:
        if as_json:
            show.leaderboard([settled.record], as_json=True)
        else:
            said = f"{run} is over: {settled.record.status.value} {settled.record.reason}"
            show.say(said.strip())
        return 0
    around = experiment.surroundings(
        cloud_of(space, log),
        space.open_tracker(),
        space,
        (lambda _text: None) if as_json else show.say,
    )
    records = stop_runs([log], _WHY, around=around)
    if not records and not as_json:
        show.say(f"asked: the command that follows {run} stops it")
        return 0
    show.leaderboard(records, as_json=as_json)
    return 0
