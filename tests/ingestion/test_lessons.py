"""Earlier corrections come back where a case is like theirs."""

import asyncio
from typing import Any

import pytest

from errata import AsyncClient, Client
from errata.protocol import Proposal
from tests.people import Api, action


def refund(amount: int, why: str, **more: Any) -> dict[str, Any]:
    asked = action("refund", amount=amount, why=why)
    return {**asked, "prompt": [{"role": "user", "content": why}], **more}


def recalled(api: Api, case: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    response = api.client.post(
        "/v1/lessons", json=case, params=query, headers=api.people.agent.headers
    )
    assert response.status_code == 200, response.text
    return response.json()["lessons"]


def test_the_most_similar_corrections_come_first_and_approvals_teach_nothing(api: Api) -> None:
    late = api.propose(refund(30, "the parcel came two weeks late"))
    broken = api.propose(refund(90, "the kettle arrived broken"))
    fine = api.propose(refund(10, "the parcel came two weeks late, says the carrier"))
    api.review(late, "reject", rationale={"code": "policy", "text": "late parcels get a voucher"})
    mended = {"name": "refund", "arguments": {"amount": 45, "why": "the kettle arrived broken"}}
    api.review(broken, "edit", action=mended)
    api.review(fine, "approve")
    found = recalled(api, refund(25, "my parcel came three weeks late"))
    assert [one["proposal_id"] for one in found] == [late["id"], broken["id"]]
    assert found[0]["similarity"] > found[1]["similarity"]
    assert "late parcels get a voucher" in found[0]["prompt"]
    assert "amount: 45 instead of 90" in found[1]["prompt"]
    assert len(recalled(api, refund(1, "kettle"), limit=1)) == 1
    assert recalled(api, refund(1, "kettle"), limit=1)[0]["proposal_id"] == broken["id"]


def test_other_tools_agents_and_keys_are_other_cases(api: Api) -> None:
    api.review(api.propose(refund(30, "late")), "reject")
    assert len(recalled(api, refund(30, "late"))) == 1
    assert recalled(api, action("transfer", amount=500, why="late")) == []
    assert recalled(api, {**refund(30, "late"), "agent": {"id": "other"}}) == []
    rival = api.client.post(
        "/v1/lessons", json=refund(30, "late"), headers=api.people.other_agent.headers
    )
    assert rival.json() == {"lessons": []}
    analyst = api.client.post(
        "/v1/lessons", json=refund(30, "late"), headers=api.people.analyst.headers
    )
    assert len(analyst.json()["lessons"]) == 1


def test_an_erased_case_teaches_nothing(api: Api) -> None:
    from review import erasure
    from tests.people import at

    ticket = api.review(api.propose(refund(30, "late")), "reject").json()
    with api.database.transaction() as session:
        erasure.erase(session, [ticket["id"]], actor="test", now=at(10))
    assert recalled(api, refund(30, "late")) == []


def test_a_case_that_is_no_proposal_is_refused_with_its_field(api: Api) -> None:
    response = api.client.post(
        "/v1/lessons", json={"hap": "1", "kind": "draft"}, headers=api.people.agent.headers
    )
    assert response.status_code == 422


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_sdk_hands_the_prompts_to_the_agent(server: str, api: Api) -> None:
    ticket = api.propose(refund(30, "late"))
    api.review(ticket, "reject", guidance="Ask for the receipt first")
    secret = api.people.agent.secret
    case = Proposal.model_validate(refund(31, "late"))
    with Client(server, secret) as client:
        (prompt,) = client.lessons(case)

    async def ask() -> list[str]:
        async with AsyncClient(server, secret) as client:
            return await client.lessons(**refund(31, "late"))

    assert "Ask for the receipt first" in prompt
    assert asyncio.run(ask()) == [prompt]
