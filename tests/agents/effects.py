"""The tools of the tests' agents, and the world that they act in.

In: a folder. Out: a ledger with one line for each effect, which is all that counts in the end.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple


class Call(NamedTuple):
    """A call that the scripted model makes."""

    name: str
    arguments: dict[str, Any]
    id: str = "call_1"


Turn = list[Call] | str
"""What the scripted model says: calls of tools, or a last word."""


class World(NamedTuple):
    """Where an agent lives; a process can be told of it in one line of JSON."""

    url: str
    key: str
    folder: str
    version: str = "1"
    """Of the agent's code."""
    currency: bool = False
    """Whether this version's `transfer` takes a currency too: another schema."""
    fault: str = ""
    """`dies`: the process ends between effect and receipt."""

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """The effects so far."""
        path = Path(self.folder, "ledger.jsonl")
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    @property
    def sent(self) -> list[tuple[str, float]]:
        """The transfers so far: to whom, how much."""
        return [(one["to"], one["amount"]) for one in self.ledger if one["tool"] == "transfer"]

    def note(self, tool: str, **arguments: Any) -> None:
        """Have an effect."""
        line = json.dumps({"tool": tool, **arguments, "pid": os.getpid()}) + "\n"
        with Path(self.folder, "ledger.jsonl").open("a", encoding="utf-8") as ledger:
            ledger.write(line)
        if self.fault == "dies":
            os._exit(9)

    def transfer(self, to: str, amount: float) -> str:
        """Send money."""
        self.note("transfer", to=to, amount=amount)
        return f"sent {amount} to {to}"

    def look_up(self, name: str) -> str:
        """Find an account."""
        self.note("look_up", name=name)
        return f"{name} has account 7"


class Outcome(NamedTuple):
    """Where a run stands after it was begun or resumed."""

    waiting: list[str]
    """Ids of the proposals that it waits for."""
    told: list[str]
    """What the model was told by tools, in order."""
    said: str | None = None
    """Its last word; None while it waits."""
