"""An Argilla of the user's own: the same way in and out, and words about what it does not do."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import errata
from errata.demo.labelers import Labeler, Login
from errata.errors import NotFound
from tests.e2e.running import ERRATA, Installation
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.argilla


@pytest.fixture(scope="module")
def guest(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A second installation, which uses the Argilla of the first as if it were anybody's."""
    own = installation.credentials["argilla"]
    other = Installation(tmp_path_factory.mktemp("guest") / "home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ERRATA_ARGILLA_URL", own["url"])
        environment.setenv("ERRATA_ARGILLA_API_KEY", own["api_key"])
        environment.setenv("ERRATA_ARGILLA_WORKSPACE", "elsewhere")
        try:
            other.up()
            yield other
        finally:
            other.stop()


def test_an_argilla_of_ones_own_is_used_in_the_same_way(
    installation: Installation, guest: Installation
) -> None:
    assert guest.children().keys() == {"api", "worker"}
    password = guest.reviewer("gina")
    api = guest.credentials["api"]
    with errata.Client(guest.api, api["agent_key"]) as client:
        action = {"name": "refund", "arguments": {"amount": 30}}
        asked = client.propose(kind="action", agent={"id": "desk"}, action=action)
        until(lambda: client.get(asked).status == "in_review", "the record in Argilla")
        answers = {asked.id: {"decision": "edit", "correction": {"amount": 20}}}
        gina = Labeler(Login(installation.argilla, "gina", password), answers)
        until(gina.answer_once, "the record waits for gina")
        gina.close()
        decided = client.wait(asked, timeout=PATIENCE_S)
        ran: list[object] = []
        client.run(decided, lambda version: ran.append(version.action and version.action.arguments))
    assert ran == [{"amount": 20}]
    assert decided.reviews[0].reviewer == "gina"
    # The first installation shares the server, and knows nothing of the other's work.
    key = installation.credentials["api"]["agent_key"]
    with errata.Client(installation.api, key) as client, pytest.raises(NotFound):
        client.get(asked.id)


def test_doctor_says_what_an_argilla_of_ones_own_does_not_do(guest: Installation) -> None:
    found = json.loads(guest.run("doctor", "--json").stdout)
    (words,) = [
        one["words"] for one in found if one["grade"] == "warning" and "own" in one["words"]
    ]
    assert "Content-Security-Policy" in words
    assert "each other's answers" in words


def test_a_wrong_key_is_named(installation: Installation, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ERRATA_ARGILLA_URL": installation.argilla,
        "ERRATA_ARGILLA_API_KEY": "wrong",
    }
    other = Installation(tmp_path / "wrong")
    other.launch("up", **environment)
    try:
        until(lambda: "api" in other.children(), "the API")
        done = subprocess.run(
            [*ERRATA, "doctor", "--home", str(other.home)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    finally:
        other.stop()
    assert done.returncode == 1
    assert "does not take the key; set ERRATA_ARGILLA_API_KEY" in done.stdout
