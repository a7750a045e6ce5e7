"""Checking files of protocol values: form, and digests that can be computed anew."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from errata.cli import app
from tests.people import POLICY, Api, action

DRAFT = {"hap": "1", "id": "one", "kind": "draft", "agent": {"id": "a"}, "content": "Hi"}


def validate(tmp_path: Path, text: str, *more: str) -> Result:
    file = tmp_path / "values.jsonl"
    file.write_text(text)
    return CliRunner().invoke(app, ["protocol", "validate", str(file), *more])


def found(tmp_path: Path, *values: Any, status: int = 0, more: tuple[str, ...] = ()) -> Any:
    text = "\n".join(json.dumps(value) for value in values)
    done = validate(tmp_path, text, "--json", *more)
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def policy(tmp_path: Path) -> tuple[str, ...]:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return ("--policy", str(file))


def used(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    """A ticket whose permit was used, with the receipt."""
    ticket = api.approved(body)
    assert api.consume(ticket["permit"]).is_success
    return api.show(ticket["id"])


def test_values_are_known_by_their_fields(api: Api, tmp_path: Path) -> None:
    ticket = api.approved(action("transfer", amount=500.0))
    proposal = {**ticket["proposal"], "id": ticket["id"]}
    review = ticket["reviews"][0]["review"]
    receipt = {
        "permit_id": ticket["permit"]["id"],
        "status": "executed",
        "started_at": "2026-03-01T12:00:00Z",
        "finished_at": "2026-03-01T12:00:01Z",
    }
    values = [proposal, ticket["decision"], ticket["permit"], review, receipt]
    seen = found(tmp_path, *values)
    assert seen["values"] == dict.fromkeys(
        ("decision", "permit", "proposal", "receipt", "review"), 1
    )
    assert (seen["digests"], seen["unchecked"], seen["mistakes"]) == (2, [], [])


def test_a_ticket_is_checked_in_all_its_parts(api: Api, tmp_path: Path) -> None:
    seen = found(tmp_path, used(api, action("transfer", amount=500.0)))
    assert seen["values"] == {"decision": 1, "permit": 1, "proposal": 1, "review": 1, "ticket": 1}
    assert seen["digests"] == 2


@pytest.mark.parametrize("name", ["decision", "permit"])
def test_a_changed_argument_breaks_the_digests(api: Api, tmp_path: Path, name: str) -> None:
    ticket = api.approved(action("transfer", amount=500.0))
    ticket["decision"]["effective"]["action"]["arguments"]["amount"] = 501.0
    seen = found(tmp_path, ticket, status=1)
    assert [(one["line"], one["field"]) for one in seen["mistakes"]] == [
        (1, "decision.digest"),
        (1, "permit.digest"),
    ]
    lone = {"proposal": ticket["proposal"], "decision": ticket["decision"]}
    lone[name] = {**ticket[name], "digest": "sha256:" + "0" * 64}
    assert f"{name}.digest" in {one["field"] for one in found(tmp_path, lone, status=1)["mistakes"]}


def test_edits_are_checked_by_the_version_that_counts(api: Api, tmp_path: Path) -> None:
    ticket = api.propose(action("refund", amount=500.0))
    version = {"name": "refund", "arguments": {"amount": 5.0}}
    decided = api.review(ticket, "edit", action=version).json()
    assert decided["decision"]["outcome"] == "edit"
    assert found(tmp_path, decided)["digests"] == 2


def test_the_policys_schemas_are_in_the_digest(api: Api, tmp_path: Path) -> None:
    ticket = api.approved(action("transfer", amount=500.0))
    line = {"proposal": ticket["proposal"], "decision": ticket["decision"]}
    wrong = found(tmp_path, line, status=1)["mistakes"]
    assert "--policy" in wrong[0]["reason"]
    assert found(tmp_path, line, more=policy(tmp_path))["digests"] == 1


def test_what_the_policy_blocked_is_checked_and_what_people_rejected_cannot_be(
    api: Api, tmp_path: Path
) -> None:
    blocked = api.propose(action("drop_all"))
    assert found(tmp_path, blocked)["digests"] == 1
    rejected = api.review(api.propose(), "reject").json()
    seen = found(tmp_path, rejected)
    assert (seen["digests"], seen["unchecked"]) == (0, [1])


def test_a_decision_without_its_proposal_is_not_checked(api: Api, tmp_path: Path) -> None:
    ticket = api.approved()
    seen = found(tmp_path, DRAFT, ticket["decision"], ticket["permit"])
    assert (seen["digests"], seen["unchecked"]) == (0, [2, 3])


@pytest.mark.parametrize(
    ("value", "field", "says"),
    [
        ({**DRAFT, "content": None}, "content", "needs it"),
        ({**DRAFT, "kind": "drafty"}, "kind", "Input should be"),
        ({**DRAFT, "more": 1}, "more", "not permitted"),
        ({**DRAFT, "agent": {}}, "agent.id", "required"),
        ({**DRAFT, "metadata": {"n": 2**60}}, "metadata.n", "2**53"),
        ({"verdict": "approve", "proposal_id": "one", "digest": "x"}, "digest", "pattern"),
        ({"outcome": "approve"}, "proposal_id", "required"),
        ({"fence": 1}, "id", "required"),
        ({"permit_id": "p", "status": "run"}, "status", "Input should be"),
        ({"a": 1}, "value", "no value is known"),
        (7, "value", "no value is known"),
        ({"proposal": DRAFT, "reviews": [{"verdict": "yes", "reviewer": "ann"}]},
         "reviews[0].verdict", "Input should be"),
        ({"proposal": DRAFT, "decision": {"outcome": "approve"}}, "decision.proposal_id", "required"),
    ],
)  # fmt: skip
def test_line_field_and_reason_are_named(tmp_path: Path, value: Any, field: str, says: str) -> None:
    seen = found(tmp_path, DRAFT, value, DRAFT, status=1)
    assert [(one["line"], one["field"]) for one in seen["mistakes"]] == [(2, field)]
    assert says in seen["mistakes"][0]["reason"]


def test_a_line_that_is_not_json_costs_only_itself(tmp_path: Path) -> None:
    good = json.dumps(DRAFT)
    done = validate(tmp_path, f"{good}\n\n{good[:-9]}\n{good}\n")
    assert done.exit_code == 1
    assert done.stderr.startswith("line 3: body: not JSON")
    assert "2 proposal" in done.stdout


@pytest.mark.parametrize("text", [json.dumps(DRAFT, indent=2), json.dumps([DRAFT], indent=1)])
def test_a_value_over_several_lines_is_read(tmp_path: Path, text: str) -> None:
    assert validate(tmp_path, text).exit_code == 0


def test_lines_of_an_import_are_read(tmp_path: Path) -> None:
    line = {"proposal": DRAFT, "reviews": [{"verdict": "approve", "reviewer": "ann"}]}
    assert found(tmp_path, line)["values"] == {"proposal": 1, "review": 1}


def test_a_stated_kind_is_what_every_value_must_be(tmp_path: Path) -> None:
    assert found(tmp_path, DRAFT, more=("--kind", "proposal"))["values"] == {"proposal": 1}
    wrong = found(tmp_path, DRAFT, status=1, more=("--kind", "permit"))["mistakes"]
    assert len(wrong) == 1
