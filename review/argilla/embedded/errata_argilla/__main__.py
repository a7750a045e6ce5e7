"""The command line. In: a command and addresses, never a secret. Out: an exit status."""

import argparse
import sys
from pathlib import Path

from errata_argilla import environment, imports, redis_server, scratch
from errata_argilla.environment import Misconfigured


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="errata_argilla", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("bootstrap", help="migrate the database; create the owner and workspace")
    serve = commands.add_parser("serve", help="run the server with its UI")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=6900)
    commands.add_parser("worker", help="run Argilla's background jobs")
    redis = commands.add_parser(
        "redis", help="become a redis-server that only this machine reaches"
    )
    redis.add_argument("--dir", type=Path, required=True)
    place = redis.add_mutually_exclusive_group(required=True)
    place.add_argument("--port", type=int)
    place.add_argument("--unix-socket", type=Path)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Run one command until it ends.

    Argilla reads its settings while it is imported, so the modules that import it are imported
    here, after the environment is complete.
    """
    if options.command == "redis":
        redis_server.become(options.dir, port=options.port, unix_socket=options.unix_socket)
    environment.complete()
    imports.leave_out()
    match options.command:
        case "bootstrap":
            owner = environment.owner()
            environment.without_pages()
            from errata_argilla import bootstrap

            bootstrap.run(owner)
        case "serve":
            scratch.claim(environment.home())
            from errata_argilla import server

            server.run(options.host, options.port)
        case "worker":
            environment.without_pages()
            from errata_argilla import worker

            worker.run()
        case other:
            raise AssertionError(other)


def main() -> None:
    """Entry point of `python -m errata_argilla`."""
    try:
        run(parse(sys.argv[1:]))
    except Misconfigured as problem:
        sys.exit(f"errata_argilla: {problem}")


if __name__ == "__main__":
    main()
