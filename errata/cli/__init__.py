"""The `errata` command.

In: the command line. Out: exit status 0; 1 when the work failed, with what to do; 2 for wrong
usage. Stages are imported inside the commands, so that `errata --help` is quick and the SDK's
install does without them.
"""

import os
import sys

import typer

from errata.cli import (
    agents,
    agreement,
    broker,
    data,
    evaluate,
    figures,
    keys,
    mcp,
    mirror,
    notebook,
    operations,
    policy,
    protocol,
    push,
    refine,
    serving,
    standing,
)
from errata.errors import ErrataError
from errata.stages import open_stages

_EXTRAS = {
    "faststream": "broker",
    "aio_pika": "broker",
    "aiokafka": "broker",
    "jupyterlab": "notebooks",
}
"""The extra that brings a package along, where a command alone needs it."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Human feedback for AI agents: propose, review in Argilla, resume, learn, measure.",
)
serving.register(app)
broker.register(app)
data.register(app)
agreement.register(app)
figures.register(app)
standing.register(app)
evaluate.register(app)
mirror.register(app)
push.register(app)
refine.register(app)
notebook.register(app)
operations.register(app)
app.add_typer(agents.app, name="agent")
app.add_typer(keys.app, name="key")
app.add_typer(mcp.app, name="mcp")
app.add_typer(policy.app, name="policy")
app.add_typer(protocol.app, name="protocol")


def main() -> None:
    """Entry point."""
    open_stages()
    try:
        app()
    except ErrataError as error:
        print(f"errata: {error.detail}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if os.environ.get("ERRATA_DEBUG"):
            raise
        print(
            f"errata: this command needs the package {error.name!r}, which is not installed; "
            f"install errata[{_EXTRAS.get(error.name or '', 'server,training,metrics')}]",
            file=sys.stderr,
        )
        sys.exit(1)
    except OSError as error:  # no space, no permission, a file where a folder should be
        print(f"errata: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
