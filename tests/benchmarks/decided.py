"""A database of decided work, of any size: what the benchmarks of exports read.

In: a number and a seed. Out: rows as the platform writes them, inserted in bulk. Of ten decisions
five are edited calls, two approvals, one an edited draft, one a ranking of four answers, and of
every second ten one is a refusal and its retry. A proposal is about 1 kB with its conversation and
tools.
"""

import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, update
from sqlmodel import SQLModel

from errata.db import Database
from ingestion.tables import ChainHead, Decision, Event, Payload, Proposal
from review.tables import Review, ReviewPayload

BASE = 20_000
START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = "sha256:" + "5" * 64
NAMES = [a + b for a in ("An", "Be", "Cle", "Da", "E", "Fi", "Gu", "Ha") for b in ("a", "n", "o")]
WORDS = [
    "order",
    "late",
    "refund",
    "lamp",
    "chair",
    "please",
    "call",
    "back",
    "tomorrow",
    "parcel",
    "broken",
    "screen",
    "missing",
    "invoice",
    "address",
    "change",
    "window",
    "delivered",
    "neighbour",
    "receipt",
    "total",
    "charged",
    "twice",
    "colour",
    "size",
    "exchange",
    "warranty",
    "repair",
    "shop",
    "voucher",
    "account",
    "password",
    "login",
    "email",
    "phone",
    "question",
    "answer",
    "thanks",
    "sorry",
]


def tool(name: str, **types: str) -> dict[str, Any]:
    """A tool as an agent states it."""
    properties = {key: {"type": type_} for key, type_ in types.items()}
    parameters = {"type": "object", "properties": properties, "required": list(types)[:1]}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [
    tool("refund", order="string", amount="number", reason="string"),
    tool("send_email", to="string", subject="string", body="string"),
]


class Writer:
    """Rows by table, of one decision after another."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rows: dict[type[SQLModel], list[dict[str, Any]]] = {}
        self.seq = 0

    def text(self, words: int) -> str:
        """Some words of a customer."""
        return " ".join(self.chance.choices(WORDS, k=words))

    def prompt(self, number: int) -> list[dict[str, Any]]:
        """A conversation with a call and its result."""
        look = {"name": "find_order", "arguments": {"id": f"A-{number}"}}
        return [
            {"role": "system", "content": "You are the support desk of a shop. Be kind and brief."},
            {"role": "user", "content": f"Order A-{number}: {self.text(25)}?"},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": look}],
            },
            {
                "role": "tool",
                "tool_call_id": "c1",
                "content": f'{{"id": "A-{number}", "paid": 40}}',
            },
        ]

    def call(self, number: int) -> dict[str, Any]:
        """One of two tools with different arguments."""
        if number % 2:
            amount = self.chance.randrange(1, 9000) / 100
            order = {"order": f"A-{number}", "amount": amount, "reason": self.text(6)}
            return {"name": "refund", "arguments": order}
        mail = {"to": f"c{number}@example.org", "subject": self.text(4), "body": self.text(20)}
        return {"name": "send_email", "arguments": mail}

    def decision(self, number: int) -> None:
        """One decision with all that belongs to it."""
        stated: dict[str, Any] = {"prompt": self.prompt(number), "tools": TOOLS}
        match number % 10:
            case 0 | 1 | 2 | 3 | 4:
                before, after = {"action": self.call(number)}, {"action": self.call(number)}
                self.add(number, "action", {**stated, **before}, "edit", after, after)
            case 5 | 6:
                self.add(number, "action", {**stated, "action": self.call(number)}, "approve")
            case 7:
                after = {"content": self.text(30)}
                self.add(
                    number, "draft", {**stated, "content": self.text(30)}, "edit", after, after
                )
            case 8:
                ids = self.chance.sample("abcd", 4)
                drafts = [{"id": id_, "content": self.text(25)} for id_ in "abcd"]
                said = {"ranking": [[id_] for id_ in ids]}
                best = {"candidate": ids[0]}
                self.add(
                    number, "candidates", {**stated, "candidates": drafts}, "approve", best, said
                )
            case _ if number % 20 == 9:
                said = {"guidance": self.text(5)}
                draft = {**stated, "content": self.text(30)}
                self.add(number, "draft", draft, "reject", None, said)
            case _:  # the retry of what was refused ten before
                draft = {**stated, "content": self.text(30)}
                self.add(number, "draft", draft, "approve", parent=f"{number - 10:020x}")

    def add(
        self,
        number: int,
        kind: str,
        fields: dict[str, Any],
        verdict: str,
        effective: dict[str, Any] | None = None,
        said: dict[str, Any] | None = None,
        parent: str | None = None,
    ) -> None:
        """The rows of one decision."""
        id_ = f"{number:020x}"
        digest = "sha256:" + hashlib.sha256(id_.encode()).hexdigest()
        at = START + timedelta(seconds=number / 4)
        stamp = at.isoformat().replace("+00:00", "Z")
        agent = {"id": "desk", "version": f"{number // 100_000}", "model": "small-1"}
        common = {"hap": "1", "id": id_, "kind": kind, "agent": agent, "task_id": f"t{number // 3}"}
        reviewer = NAMES[self.chance.randrange(len(NAMES))]
        self.put(Proposal, id=id_, kind=kind, mode="live", source="live", agent_id="desk",
                 agent_version=agent["version"], model_id="small-1", task_id=common["task_id"],
                 parent_id=parent, urgency="normal", status="decided", version=2, round=0,
                 digest=digest, content_hash=digest, policy_version=POLICY, created_at=at,
                 received_at=at)  # fmt: skip
        if parent:
            common["parent_id"] = parent
        self.text_of("proposal", id_, {**common, **fields})
        self.put(Decision, proposal_id=id_, outcome=verdict, by="people", digest=digest,
                 policy_version=POLICY, needed=1, got=1, unchanged=verdict == "approve",
                 edit_distance=0.4 if verdict == "edit" else None, decided_at=at)  # fmt: skip
        decided = {"proposal_id": id_, "outcome": verdict, "by": "people", "digest": digest,
                   "effective": effective or {}, "policy_version": POLICY, "reason": "one review",
                   "reviews": {"needed": 1, "got": 1}, "decided_at": stamp}  # fmt: skip
        self.text_of("decision", id_, decided)
        self.put(Review, id=f"r{id_}", proposal_id=id_, round=0, digest=digest, verdict=verdict,
                 reviewer=reviewer, surface="argilla", accepted=True, counted=True,
                 opened_at=at - timedelta(seconds=30), decided_at=at, received_at=at)  # fmt: skip
        body = {"proposal_id": id_, "digest": digest, "verdict": verdict, **(said or {})}
        self.put(ReviewPayload, review_id=f"r{id_}", proposal_id=id_, body=body)
        for type_ in ("proposal.received", "proposal.moved", "proposal.decided"):
            self.seq += 1
            seal = f"sha256:{self.seq:064x}"
            self.put(Event, seq=self.seq, id=f"{self.seq:032x}", at=at, type=type_,
                     proposal_id=id_, actor="worker", data={"outcome": verdict},
                     previous=seal, hash=seal)  # fmt: skip

    def text_of(self, owner: str, id_: str, body: dict[str, Any]) -> None:
        """An erasable text."""
        self.put(Payload, owner=owner, id=id_, proposal_id=id_, body=body)

    def put(self, table: type[SQLModel], **values: Any) -> None:
        """A row of a table."""
        self.rows.setdefault(table, []).append(values)

    def flush(self, connection: Connection) -> None:
        """Insert what has come together."""
        for table, rows in self.rows.items():
            connection.execute(insert(table), rows)
        self.rows.clear()


def fill(database: Database, count: int, seed: int = 0) -> None:
    """Put so many decisions into an empty migrated SQLite file.

    The first `BASE` are written one by one; the others are copies that SQLite makes of them, with
    ids, order numbers and times of their own.
    """
    writer = Writer(seed)
    base = min(count, BASE)
    with database.engine.begin() as connection:
        for number in range(base):
            writer.decision(number)
        writer.flush(connection)
    copies, rest = divmod(count, base)
    assert rest == 0, f"{count} is no multiple of {base}"
    for copy in range(1, copies):
        with database.engine.begin() as connection:
            for table in (Proposal, Payload, Decision, Review, ReviewPayload, Event):
                connection.exec_driver_sql(_copy(table, copy, writer.seq))
    with database.engine.begin() as connection:
        seq = writer.seq * copies
        connection.execute(update(ChainHead).values(seq=seq, hash=f"sha256:{seq:064x}"))


def _copy(table: type[SQLModel], copy: int, events: int) -> str:
    """The statement that copies the rows of the base; `copy` stands in four digits of their ids."""
    columns = table.__table__.columns  # pyright: ignore[reportAttributeAccessIssue]
    values = [_value(column.name, str(column.type), copy, events) for column in columns]
    names = ", ".join(f'"{column.name}"' for column in columns)
    base: dict[type[SQLModel], str] = {
        Event: f"seq <= {events}",
        Review: "id < 'r0001'",
        ReviewPayload: "review_id < 'r0001'",
    }
    own = {Proposal: "id < '0001'", Payload: "id < '0001'", Decision: "proposal_id < '0001'"}
    chosen = {**base, **own}[table]
    name = table.__tablename__
    return f"INSERT INTO {name} ({names}) SELECT {', '.join(values)} FROM {name} WHERE {chosen}"


def _value(name: str, type_: str, copy: int, events: int) -> str:
    mark = f"{copy:04x}"
    match name:
        case "seq":
            return f"seq + {copy * events}"
        case "hash" | "previous":
            return f"printf('sha256:%064x', seq + {copy * events})"
        case "id" | "review_id":  # those of reviews begin with a letter
            return f"replace(substr({name}, 1, 5), '0000', '{mark}') || substr({name}, 6)"
        case "proposal_id" | "parent_id":
            return f"'{mark}' || substr({name}, 5)"
        case "body":
            own = f"""replace(body, '"0000', '"{mark}')"""
            return f"replace({own}, 'A-', 'A-{copy}-')"
        case "task_id":
            return f"task_id || '-{copy}'"
        case _ if type_ == "DATETIME":
            return f"strftime('%Y-%m-%d %H:%M:%f000', {name}, '+{copy * BASE // 4} seconds')"
        case _:
            return f'"{name}"'
