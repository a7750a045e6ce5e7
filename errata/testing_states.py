"""The saved states of the in-memory server; `errata.testing` shows them to a client.

In: requests, and whether a proposal is decided. Out: the answers that the server would give.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from pydantic import ValidationError

from errata.states import Finishing, Parked, Parking, Resuming, Saved

Decided = Callable[[str], bool | None]
"""Whether a proposal is decided; None: there is none."""


class FakeStates:
    """States in memory; nothing is sealed here."""

    def __init__(self, decided: Decided) -> None:
        self._decided = decided
        self.kept: dict[str, Saved] = {}
        """By id, with their content and the lease that was given last."""
        self._parked_by: dict[str, str] = {}
        self._taken_by: dict[str, str | None] = {}

    def handle(
        self,
        method: str,
        path: list[str],
        given: dict[str, Any],
        key: str | None,
        query: dict[str, str],
    ) -> httpx2.Response:
        """Answer one request."""
        try:
            match method, path:
                case "POST", []:
                    return self._park(Parking.model_validate(given), key)
                case "GET", []:
                    return self._list(query)
                case "POST", [id_, "resume"] if id_ in self.kept:
                    return self._resume(self.kept[id_], Resuming.model_validate(given), key)
                case "POST", [id_, "done"] if id_ in self.kept:
                    return self._finish(id_, Finishing.model_validate(given).lease)
                case _:
                    return refuse(404, "not_found", f"no state {'/'.join(path)!r}")
        except ValidationError as error:
            return refuse(422, "malformed", str(error))

    def _park(self, parking: Parking, key: str | None) -> httpx2.Response:
        if key is not None and key in self._parked_by:
            return self._answer(201, self._parked_by[key])
        for id_ in parking.proposals:
            if self._decided(id_) is None:
                return refuse(422, "malformed", f"proposals: {id_!r} is none of this key's")
        if parking.replaces is not None:
            done = self._finish(parking.replaces, parking.lease or "")
            if not done.is_success:
                return done
        now = datetime.now(UTC)
        saved = Saved(
            id=secrets.token_hex(20),
            agent=parking.agent,
            framework=parking.framework,
            tools=parking.tools,
            proposals=parking.proposals,
            status="parked",
            ready=False,
            created_at=now,
            expires_at=parking.expires_at or now + timedelta(days=30),
            content=parking.content,
            lease="none",
        )
        self.kept[saved.id] = saved
        if key is not None:
            self._parked_by[key] = saved.id
        return self._answer(201, saved.id)

    def _list(self, query: dict[str, str]) -> httpx2.Response:
        now = datetime.now(UTC)
        ready = {"true": True, "false": False}.get(query.get("ready", ""))
        found = [
            self._shown(saved.id)
            for saved in self.kept.values()
            if saved.status != "done" and query.get("agent", saved.agent.id) == saved.agent.id
        ]
        free = (one for one in found if not (ready and one.taken_until and one.taken_until > now))
        told = [one.wire() for one in free if ready is None or one.ready is ready]
        return httpx2.Response(200, json={"states": told[: int(query.get("limit", 100))]})

    def _resume(self, saved: Saved, asked: Resuming, key: str | None) -> httpx2.Response:
        now = datetime.now(UTC)
        if saved.status == "done":
            return refuse(409, "conflict", f"state {saved.id} is done")
        held = saved.taken_until is not None and saved.taken_until > now
        again = held and key is not None and key == self._taken_by.get(saved.id)
        if held and not again:
            told = {"error": "taken", "detail": "another process has resumed the state"}
            return httpx2.Response(409, json=told, headers={"Retry-After": f"{asked.lease_s:.0f}"})
        if not again:
            until = now + timedelta(seconds=asked.lease_s)
            self._change(saved.id, status="resumed", lease=secrets.token_hex(16), taken_until=until)
            self._taken_by[saved.id] = key
        taken = self.kept[saved.id]
        told = {**self._shown(saved.id).wire(), "lease": taken.lease, "content": taken.content}
        return httpx2.Response(200, json=told)

    def _finish(self, id_: str, lease: str) -> httpx2.Response:
        if id_ not in self.kept:
            return refuse(404, "not_found", f"no state {id_!r}")
        if self.kept[id_].lease != lease:
            return refuse(409, "conflict", "the lease is not the last one of this state")
        self._change(id_, status="done", content=None)
        return self._answer(200, id_)

    def _change(self, id_: str, **changes: Any) -> None:
        self.kept[id_] = self.kept[id_].model_copy(update=changes)

    def _shown(self, id_: str) -> Parked:
        saved = self.kept[id_]
        ready = all(self._decided(one) for one in saved.proposals)
        fields = saved.model_dump(exclude={"content", "lease"})
        return Parked.model_validate({**fields, "ready": ready})

    def _answer(self, status: int, id_: str) -> httpx2.Response:
        return httpx2.Response(status, json=self._shown(id_).wire())


def refuse(status: int, code: str, detail: str, field: str | None = None) -> httpx2.Response:
    """An error as the server answers it."""
    return httpx2.Response(status, json={"error": code, "detail": detail, "field": field})
