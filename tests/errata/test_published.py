"""The schemas and test vectors in the docs are those of the code, and right by another library."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from typer.testing import CliRunner

from errata import protocol
from errata.cli import app
from errata.digest import canonical, digest, schema_digest

FOLDER = Path(__file__).parents[2] / "docs" / "protocol"
PUBLISHED: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text("utf-8"))


def test_the_schemas_in_the_docs_are_what_the_command_prints() -> None:
    printed = CliRunner().invoke(app, ["protocol", "schemas"])
    assert printed.exit_code == 0
    stated = (FOLDER / "schemas.json").read_text("utf-8")
    assert stated == printed.output, "run `errata protocol schemas > docs/protocol/schemas.json`"
    assert set(json.loads(stated)) == {model.__name__ for model in protocol.VALUES}


@pytest.mark.parametrize("vector", PUBLISHED["vectors"], ids=lambda vector: vector["name"])
def test_a_vector_has_the_digest_that_it_states(vector: dict[str, Any]) -> None:
    given = vector["input"]
    assert canonical(given).decode() == vector["canonical"]
    assert rfc8785.dumps(given).decode() == vector["canonical"]
    assert schema_digest(vector["tool_schema"]) == given["tool_schema"]
    hashed = hashlib.sha256(vector["canonical"].encode()).hexdigest()
    computed = digest(**{name: value for name, value in given.items() if name != "v"})
    assert vector["digest"] == computed == f"sha256:{hashed}"


@pytest.mark.parametrize("text", PUBLISHED["refused"])
def test_what_is_to_be_refused_is_refused(text: str) -> None:
    proposal = (
        '{"hap": "1", "kind": "action", "agent": {"id": "a"}, '
        f'"action": {{"name": "n", "arguments": {{"x": {text}}}}}}}'
    )
    with pytest.raises(ValueError):  # noqa: PT011 - each for a reason of its own
        protocol.Proposal.model_validate(json.loads(proposal, object_pairs_hook=protocol.once))
