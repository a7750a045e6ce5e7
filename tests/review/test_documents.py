"""The examples of the documents that Errata is built from, each as a test of its own.

The money agent and the confidence table stand in `test_votes`.
"""

from typing import Any

from ingestion import policies
from tests.people import NOW, Api

DESK = """\
version: 1
default: {route: queue, expires_in: 24h}
rules:
  - name: high amounts
    when: {kind: draft, risk.amount: {gte: 1000}}
    route: queue
    expires_in: 4h
  - {name: ordinary replies, when: {kind: draft, risk.amount: {gte: 0, lt: 1000}}, route: auto}
"""


def reply(text: str, amount: float, customer: str) -> dict[str, Any]:
    return {
        "hap": "1",
        "kind": "draft",
        "agent": {"id": "desk"},
        "content": text,
        "prompt": [{"role": "user", "content": customer}],
        "risk": {"level": "medium", "amount": amount},
        "reasoning": {"goal": "answer a complaint", "stuck_on": "a high amount"},
    }


def test_the_customer_support_refund(api: Api) -> None:
    """A $5,000 mistaken charge goes to a person, who adds one sentence; the agent learns of it."""
    with api.database.transaction() as session:
        policies.apply(session, DESK, actor="test", now=NOW)
    small = api.propose(reply("You get 12 dollars back.", 12, "12 dollars too much"))
    assert small["decision"]["outcome"] == "approve"
    draft = "We are sorry. The 5,000 dollars go back to your card."
    complaint = "You charged me 5,000 dollars by mistake!"
    asked = api.propose(reply(draft, 5000, complaint))
    assert asked["status"] == "queued"
    sent = f"{draft} It takes up to five working days."
    ticket = api.review(asked, "edit", content=sent, guidance="name the processing time").json()
    assert ticket["decision"]["effective"] == {"content": sent}
    assert api.consume(ticket["permit"]).status_code == 200
    later = reply("Sorry, 7,000 dollars go back.", 7000, "You charged me 7,000 dollars by mistake!")
    lessons = api.client.post("/v1/lessons", json=later, headers=api.people.agent.headers).json()
    assert [one["proposal_id"] for one in lessons["lessons"]] == [asked["id"]]
    assert "name the processing time" in lessons["lessons"][0]["prompt"]
    assert sent in lessons["lessons"][0]["prompt"]


def test_the_flight_choice(api: Api) -> None:
    """Two flights at 5 pm: the agent asks, one click answers, nothing runs by that alone."""
    asked = api.propose(
        {
            "hap": "1",
            "kind": "question",
            "agent": {"id": "travel"},
            "message": "There are two flights at 5 PM. Which do you prefer?",
            "options": [
                {"id": "economy", "label": "Economy, $500"},
                {"id": "business", "label": "Business, $1500"},
            ],
            "reasoning": {"goal": "book a flight to London", "done": ["searched"]},
        }
    )
    wrong = api.review(asked, "respond", response="first class")
    assert (wrong.status_code, wrong.json()["field"]) == (422, "response")
    ticket = api.review(asked, "respond", response="economy").json()
    assert ticket["decision"]["effective"] == {"response": "economy"}
    assert ticket["decision"]["reviews"] == {"needed": 1, "got": 1}
    assert "permit" not in ticket
