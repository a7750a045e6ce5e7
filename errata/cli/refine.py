"""The command that proposes what to tell the agent.

In: decided work. Out: suggestions with their evidence, printed or as a page.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from errata.cli.options import HomeOption, JsonOption, database

if TYPE_CHECKING:
    from training.refinement.suggestions import Suggestion

KEY = "ERRATA_MODEL_KEY"
"""The environment's name for the key of the model's endpoint; none is stored."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(refine)


def refine(
    agent: Annotated[str | None, typer.Option(help="Only this agent's work.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only decisions since; UTC."),
    ] = None,
    least: Annotated[int, typer.Option(min=2, help="Cases that make a pattern.")] = 3,
    limit: Annotated[int, typer.Option(min=1, help="At most so many suggestions.")] = 10,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write a Markdown page here too.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Have a language model word them: an API in the form of OpenAI's, such as "
            f"http://127.0.0.1:8000/v1. It is shown examples. Its key: ${KEY}."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model's name there.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose additions to prompts and tool descriptions, from what people keep correcting.

    Example: errata refine --agent desk --out refinements.md
    """
    from review import history
    from training.refinement import cases, patterns, suggestions

    if (url is None) != (model is None):
        raise typer.BadParameter("--url and --model go together")
    start = since.replace(tzinfo=UTC) if since is not None else None
    with database(home) as opened, opened.reading() as session:
        read = cases.read(history.read(session, since=start))
        mine = (case for case in read if agent is None or case.target.agent == agent)
        found = suggestions.word(patterns.find(mine, least=least)[:limit])
    if url is not None and model is not None:
        found = _reworded(found, url, model)
    if out is not None:
        out.write_text(suggestions.markdown(found), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps([one.wire() for one in found], ensure_ascii=False))
        return
    for number, one in enumerate(found, start=1):
        typer.echo(f"{number:>2}. {one.agent}, {one.to}: {one.text}")
        typer.echo(f"    {suggestions.evidence(one)}")
    if not found:
        typer.echo(f"nothing that people corrected at least {least} times in the same way")


def _reworded(found: "list[Suggestion]", url: str, model: str) -> "list[Suggestion]":
    from errata.errors import ErrataError
    from training.refinement import rewording

    try:
        return rewording.reword(found, url=url, model=model, key=os.environ.get(KEY))
    except ErrataError as error:
        typer.echo(f"{error.detail}; the suggestions are in our own words", err=True)
        return found
