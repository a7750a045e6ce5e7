"""Work that ran by itself, was audited through the API, and is exported."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from ingestion import policies
from review import history
from tests.people import NOW, Api, action
from training import bundle

POLICY = """\
version: 1
rules:
  - {name: small, when: {action: refund, args.amount: {lt: 100}}, route: auto, audit_share: 1.0}
  - {name: large, when: {action: refund}, route: takeover}
"""


def test_what_people_say_of_decided_work_is_trained_on(api: Api, tmp_path: Path):
    with api.database.transaction() as session:
        policies.apply(session, POLICY, actor="test", now=NOW)
    said: dict[int, dict[str, Any] | None] = {
        5: {"verdict": "approve"},
        6: {"verdict": "reject"},
        7: None,
        500: None,
    }
    mine = {"name": "refund", "arguments": {"amount": 250}}
    said[500] = {"verdict": "edit", "action": mine}
    amount_of = {api.propose(action(amount=amount))["id"]: amount for amount in said}
    headers = api.people.ann.headers
    for task in api.client.get("/v1/queue", headers=headers).json()["tasks"]:
        review = said[amount_of[task["proposal_id"]]]
        if review is not None:
            stated = {"proposal_id": task["proposal_id"], "digest": task["digest"], **review}
            answer = api.client.post(f"/v1/tasks/{task['id']}/review", json=stated, headers=headers)
            assert answer.status_code == 201, answer.text
    with api.database.reading() as session:
        made = bundle.export(
            history.read(session),
            tmp_path / "kto",
            parents=partial(history.one, session),
            kind="kto",
            format_="jsonl",
            split=0,
        )
    lines = (tmp_path / "kto/kto/train-00000.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    found = {
        (row["completion"][0]["tool_calls"][0]["function"]["arguments"]["amount"], row["label"])
        for row in rows
    }
    assert found == {(5, True), (6, False), (250, True), (500, False)}
    assert {row["decided_by"] for row in rows} == {"policy"}
    assert made.dropped == {"by_policy": 1}
