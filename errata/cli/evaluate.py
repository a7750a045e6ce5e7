"""The command that sets a tuned model beside its base.

In: a bundle and two model folders. Out: an evaluation, printed and as a file.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from errata.cli.options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    data: Annotated[
        Path, typer.Option("--data", help="A bundle for sft or dpo; its test split is used.")
    ],
    model: Annotated[Path, typer.Option("--model", help="Folder of the tuned model.")],
    base: Annotated[
        Path, typer.Option("--base", help="Folder of the model that it was made from.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="Write it as JSON here too.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows.")] = None,
    max_length: Annotated[int, typer.Option(min=1, help="Tokens of a row.")] = 1024,
    max_answer: Annotated[int, typer.Option(min=1, help="Tokens that a model may write.")] = 256,
    as_json: JsonOption = False,
) -> None:
    """Compare a tuned model with its base on what neither was trained on.

    Example: errata evaluate --data bundle-dpo --model tuned --base taught
    """
    from training.evaluation import evaluation

    found = evaluation.evaluate(
        data, model, base, limit=limit, max_length=max_length, max_answer=max_answer
    )
    text = json.dumps(found.wire(), indent=2)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    typer.echo(text if as_json else evaluation.markdown(found), nl=as_json)
