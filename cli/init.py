"""`pedigree init`: the private bucket and the roles, as one CloudFormation stack."""

from __future__ import annotations

import click

from cli.workspace import Workspace, cloud_option, json_option


@click.command()
@click.option("--app", default="dogs", show_default=True, help="Names the endpoint's roles.")
@click.option("--stage", default="prod", show_default=True)
@click.option("--capture", is_flag=True, help="The endpoint may keep answers in the bucket.")
@click.option("--show", is_flag=True, help="Print the template and stop; no cloud is changed.")
@click.option(
    "--operator-policy",
    is_flag=True,
    help="Print what the person or pipeline needs that promotes, and stop.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@cloud_option
@json_option
def init(
    app: str,
    stage: str,
    capture: bool,
    show: bool,
    operator_policy: bool,
    yes: bool,
    cloud_name: str,
    as_json: bool,
) -> int:
    """Create or update the stack of an application: a private bucket and four least-privilege roles.

    The bucket is closed to the public, takes TLS only, is encrypted, and lets go of what is old. The
    function's role may ask one endpoint and write its own log. Without this command `run` and
    `promote-model` make what is missing themselves; with it they find everything and make nothing.
    """
    from deployment.access.table import operator_policy as policy_of
    from deployment.access.template import template
    from deployment.settings import ServingSettings
    from experiments.foundation import Foundation

    settings = ServingSettings(app=app, stage=stage, capture_percent=1 if capture else 0)
    cloud = Workspace.here().open_cloud(cloud_name)
    foundation = Foundation(account_id=cloud.account_id, region=cloud.region)
    if show or operator_policy:
        from cli import show as out

        out.print_json(policy_of(foundation) if operator_policy else template(foundation, settings))
        return 0
    return _carry_out(cloud, settings, yes=yes, as_json=as_json)


def _carry_out(cloud: object, settings: object, *, yes: bool, as_json: bool) -> int:
    from cli import show
    from deployment.access.stack import apply_init, plan_init
    from deployment.clock import Clock

    plan = plan_init(cloud, settings)  # type: ignore[arg-type]
    if plan.call is None:
        if as_json:
            show.print_json({"stack": plan.name, "changed": False})
        else:
            show.say(f"stack {plan.name} is as it should be")
        return 0
    if not as_json:
        show.say(f"cloudformation {plan.call.operation} {plan.name}: {plan.call.why}")
        show.say("  see what it holds with `pedigree init --show`")
    if not yes and not as_json:
        click.confirm("Do it?", abort=True)
    say = (lambda text: None) if as_json else show.say
    apply_init(cloud, plan, clock=Clock(), say=say)  # type: ignore[arg-type]
    if as_json:
        show.print_json({"stack": plan.name, "changed": True})
    else:
        show.say(f"stack {plan.name} stands")
    return 0
