"""A client that keeps states in files of its own instead of on the server.

Nothing guards them: the client itself can copy, change and forge what is resumed, and adapters must
be safe even so.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from errata import AsyncClient
from errata.protocol import Agent
from errata.states import Parked, Saved
from tests.agents.effects import World


class Filing(AsyncClient):
    """Keeps the state of one thread in a file of the world's folder."""

    def __init__(self, world: World, thread: str = "t1") -> None:
        super().__init__(world.url, world.key)
        self.thread = thread
        self.path = Path(world.folder, f"{thread}.json")

    async def park(self, content: Any, **fields: Any) -> Parked:
        agent = fields["agent"] if isinstance(fields["agent"], Agent) else Agent(id=fields["agent"])
        now = datetime.now(UTC)
        kept = {
            "id": self.thread,
            "agent": agent.wire(),
            "framework": fields["framework"].wire(),
            "tools": dict(fields["tools"] or {}),
            "proposals": list(fields["proposals"]),
            "status": "parked",
            "ready": False,
            "created_at": now.isoformat(),
            "expires_at": (now + timedelta(days=30)).isoformat(),
        }
        self.path.write_text(json.dumps({**kept, "content": content}), "utf-8")
        return Parked.model_validate(kept)

    async def resume(self, state: Parked | str, *, lease_s: float = 1.0) -> Saved:
        assert state == self.thread
        until = datetime.now(UTC) + timedelta(seconds=lease_s)
        kept = json.loads(self.path.read_text("utf-8"))
        return Saved.model_validate({**kept, "lease": "nobody-asks", "taken_until": until})

    async def finish(self, saved: Saved) -> None:
        """The file stays, so that it can be resumed again."""


def rewrite(path: Path, content: Any) -> None:
    """Put another content into what was kept."""
    kept = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**kept, "content": content}), "utf-8")
