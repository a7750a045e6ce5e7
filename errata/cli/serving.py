"""Commands that run things: `up`, and its parts for deployments on several machines.

In: the command line. Out: running processes.
"""

import json
import signal
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from errata.cli.options import HomeOption, JsonOption, settings

if TYPE_CHECKING:
    from errata.installation import Plan, Started
    from errata.supervisor import Supervisor

Port = Annotated[int | None, typer.Option(min=1, max=65535, help="The API's port.")]
ArgillaPort = Annotated[int | None, typer.Option(min=1, max=65535, help="Argilla's port.")]
NoArgilla = Annotated[bool, typer.Option("--no-argilla", help="Run without a review interface.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(demo)
    app.command()(api)
    app.command()(worker)


def up(
    home: HomeOption = None,
    port: Port = None,
    argilla_port: ArgillaPort = None,
    no_argilla: NoArgilla = False,
) -> None:
    """Run everything on this machine: API, worker, Argilla.

    Example: errata up --home ./.errata
    """
    from errata.installation import opened, start

    with opened(plan_of(home, port, argilla_port, no_argilla)) as (plan, started, parts):
        stop_on_signals(parts)
        start(plan, started.credentials, parts, typer.echo)
        if not parts.stopping:
            show(plan, started)
        parts.watch()
        typer.echo("Stopping …")


def demo(
    home: HomeOption = None,
    port: Port = None,
    argilla_port: ArgillaPort = None,
    scripted: Annotated[
        bool,
        typer.Option("--scripted", help="Let scripted labelers answer, then train and report."),
    ] = False,
    no_training: Annotated[
        bool, typer.Option("--no-training", help="With --scripted: leave the training out.")
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=2, max=8, help="Instead: let an agent learn from its corrections in rounds."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run everything with a customer-support desk whose agents wait for your answers.

    Example: errata demo --scripted --json
    """
    from errata.demo import play
    from errata.demo import rounds as loop
    from errata.demo.tickets import DESK_POLICY
    from errata.installation import opened, start

    say = partial(typer.echo, err=True) if as_json else typer.echo
    if rounds is not None and (scripted or no_training):
        raise typer.BadParameter("--rounds goes with neither --scripted nor --no-training")
    plan = plan_of(home, port, argilla_port, no_argilla=rounds is not None)
    plan.home.make()
    if not plan.home.has_credentials() and not plan.home.policy.exists():
        plan.home.policy.write_text(DESK_POLICY, encoding="utf-8")
    with opened(plan) as (_, started, parts):
        stop_on_signals(parts)
        start(plan, started.credentials, parts, say)
        if rounds is not None:
            played = play.rounds(plan, started, parts, say, rounds)
            wire = json.dumps([one.wire() for one in played])
            typer.echo(wire if as_json else loop.table(played), nl=as_json)
        elif scripted:
            summary = play.scripted(plan, started, parts, say, train=not no_training)
            typer.echo(json.dumps(summary._asdict()) if as_json else play.describe(summary))
        elif not parts.stopping:
            show(plan, started)
            play.interactive(plan, started, parts, say)


def plan_of(
    home: Path | None, port: int | None, argilla_port: int | None, no_argilla: bool
) -> "Plan":
    """What to run, from the options of `up`."""
    from errata.home import Home
    from errata.installation import Plan

    chosen = settings(home=home, port=port, argilla_port=argilla_port)
    own = chosen.argilla_url is not None  # an Argilla of the user's own needs none here
    return Plan(chosen, Home(chosen.home), argilla=not no_argilla and not own)


def stop_on_signals(parts: "Supervisor") -> None:
    """End `Supervisor.watch` on Ctrl-C and on SIGTERM."""

    def stop(*_: object) -> None:
        parts.stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def api(
    home: HomeOption = None,
    host: Annotated[str | None, typer.Option(help="Address to bind.")] = None,
    port: Port = None,
) -> None:
    """Run the API alone; any number may share one database.

    Example: ERRATA_DATABASE_URL=postgresql://db/errata errata api --host 0.0.0.0
    """
    import gc

    import uvicorn

    from errata.app import from_settings

    chosen = settings(home=home, host=host, port=port)
    application = from_settings(chosen)
    # What is there now stays until the end, and what a batch makes is gone with its answer: looking
    # through all of it again and again took a quarter of a batch's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    uvicorn.run(
        application,
        host=chosen.host,
        port=chosen.port,
        access_log=False,
        timeout_graceful_shutdown=3,
    )


def worker(home: HomeOption = None) -> None:
    """Run a worker alone; any number may share one database.

    Example: ERRATA_ARGILLA_URL=https://argilla.example errata worker
    """
    import logging

    from errata.cli.options import database
    from review.worker import Argilla, Worker

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("errata").setLevel(logging.INFO)
    chosen = settings(home=home)
    argilla = None
    if chosen.argilla_url is not None and chosen.argilla_api_key is not None:
        argilla = Argilla(
            chosen.argilla_url,
            chosen.argilla_api_key.get_secret_value(),
            chosen.argilla_workspace,
            chosen.webhook_address,
        )
    stop = threading.Event()

    def end(*_: object) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with database(home, make=True) as opened:
        Worker(opened, argilla, chosen.poll_seconds, stop, chosen.execution_limit).run()


def show(plan: "Plan", started: "Started") -> None:
    """Print the addresses, and at the first start the log-in."""
    credentials = started.credentials
    typer.echo(f"\nAPI      {credentials.api.url}")
    if plan.argilla:
        typer.echo(f"Argilla  {credentials.argilla.url}")
        if started.first:
            typer.echo(
                f"Log in as {credentials.argilla.username!r} with {credentials.argilla.password}"
            )
        else:
            typer.echo(f"The log-in is in {plan.home.path / 'credentials.json'}")
    typer.echo(f"Data     {plan.home.path}\nStop with Ctrl-C.")
