"""Argilla's records over its REST interface.

In: records to push or remove. Out: records with the answers given to them.
The SDK is not used here: it loses ranks, ties, times and the statuses of responses.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar, cast

import httpx2

from errata.errors import Unavailable
from review.argilla.surface import Answer, NotTaken, Pushed, Record

T = TypeVar("T")

PUSH_BATCH = 100
PUSH_CHARACTERS = 8_000_000
"""Of fields in one request; a screenshot alone can have five million."""
REMOVE_BATCH = 64
READ_PAGE = 200
LOOKS_BATCH = 100


class Look(NamedTuple):
    """When somebody first saw a record, and first touched its form."""

    opened_at: datetime
    first_action_at: datetime | None


class Dataset(NamedTuple):
    """A dataset's ids in Argilla."""

    id: str
    questions: Mapping[str, str]


class Rest:
    """Argilla as a surface; holds one connection pool and the names of users.

    Args:
        url: Where Argilla is.
        api_key: An owner's key.
        datasets: Ids by our names.
        transport: For tests: another way to the server.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        datasets: Mapping[str, Dataset],
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._http = httpx2.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"X-Argilla-Api-Key": api_key},
            timeout=30,
            transport=transport,
        )
        self.datasets = datasets
        self._usernames: dict[str, str] = {}
        self._measures = True

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise Unavailable(f"Argilla does not answer: {type(error).__name__}") from error
        if response.status_code == 404:
            return None
        if not response.is_success:
            raise NotTaken(
                f"Argilla answered {response.status_code} to {method} {path}: {response.text[:300]}"
            )
        return response.json() if response.content else None

    def push(self, dataset: str, records: Sequence[Record]) -> dict[str, str]:
        """Create or overwrite records; returns server ids by external id.

        Raises:
            Unavailable: Argilla did not take them; pushing again is harmless.
        """
        ids: dict[str, str] = {}
        path = f"/datasets/{self.datasets[dataset].id}/records/bulk"
        for batch in _portions(records):
            items = [self._item(dataset, record) for record in batch]
            answer = self._call("PUT", path, json={"items": items})
            if answer is None:
                raise Unavailable(f"Argilla has no dataset {dataset!r}")
            ids |= {item["external_id"]: item["id"] for item in answer["items"]}
        return ids

    def _item(self, dataset: str, record: Record) -> dict[str, Any]:
        questions = self.datasets[dataset].questions
        return {
            "external_id": record.external_id,
            "fields": dict(record.fields),
            "metadata": dict(record.metadata),
            "suggestions": [
                {"question_id": questions[one.question], "value": one.value}
                for one in record.suggestions
            ],
        }

    def remove(self, dataset: str, server_ids: Sequence[str]) -> None:
        """Delete records; ids that are gone already are no error.

        Raises:
            Unavailable: Argilla did not answer.
        """
        path = f"/datasets/{self.datasets[dataset].id}/records"
        for batch in _batches(server_ids, REMOVE_BATCH):
            self._call("DELETE", path, params={"ids": ",".join(batch)})

    def records(self, dataset: str) -> list[Pushed]:
        """Every record of a dataset with its answers.

        Raises:
            Unavailable: Argilla did not answer.
        """
        path = f"/datasets/{self.datasets[dataset].id}/records"
        found: list[Pushed] = []
        while True:
            page = self._call(
                "GET",
                path,
                params={"include": "responses", "offset": len(found), "limit": READ_PAGE},
            )
            items: list[dict[str, Any]] = page["items"] if page is not None else []
            looks = self._looks([item["id"] for item in items if item.get("responses")])
            found += [self._pushed(item, looks) for item in items]
            if len(items) < READ_PAGE:
                return found

    def record(self, server_id: str) -> Pushed | None:
        """One record with its answers; None when it is gone.

        Raises:
            Unavailable: Argilla did not answer.
        """
        item = self._call("GET", f"/records/{server_id}")
        if item is None:
            return None
        looks = self._looks([server_id])
        pushed = self._pushed(item, looks)
        done = {one.username for one in pushed.answers if one.status != "draft"}
        names = {self._username(user): look.opened_at for (_, user), look in looks.items()}
        return pushed._replace(
            open_by={name: at for name, at in names.items() if name and name not in done}
        )

    def _looks(self, server_ids: Sequence[str]) -> dict[tuple[str, str], Look]:
        """When who looked, by record and user; our edition of Argilla measures it, others do not."""
        found: dict[tuple[str, str], Look] = {}
        for batch in _batches(server_ids, LOOKS_BATCH) if self._measures else ():
            answer = self._call("GET", "/errata/looks", params={"record_id": list(batch)})
            if answer is None:
                self._measures = False
                return {}
            for one in answer["items"]:
                first = one["first_action_at"]
                found[one["record_id"], one["user_id"]] = Look(
                    _moment(one["opened_at"]), _moment(first) if first else None
                )
        return found

    def _pushed(self, item: dict[str, Any], looks: Mapping[tuple[str, str], Look]) -> Pushed:
        responses = cast(list[dict[str, Any]], item.get("responses") or [])
        return Pushed(
            server_id=item["id"],
            external_id=item.get("external_id") or "",
            answers=[
                self._answer(response, looks.get((item["id"], str(response.get("user_id")))))
                for response in responses
            ],
        )

    def _answer(self, response: dict[str, Any], look: Look | None) -> Answer:
        values: dict[str, dict[str, Any]] = response.get("values") or {}
        return Answer(
            response_id=response["id"],
            status=response["status"],
            username=self._username(response.get("user_id")),
            values={name: value.get("value") for name, value in values.items()},
            inserted_at=_moment(response["inserted_at"]),
            updated_at=_moment(response["updated_at"]),
            opened_at=look.opened_at if look else None,
            first_action_at=look.first_action_at if look else None,
        )

    def _username(self, user_id: str | None) -> str | None:
        """The name of a user; the list is read again when somebody new appears."""
        if user_id is not None and user_id not in self._usernames:
            users = self._call("GET", "/users") or {"items": []}
            self._usernames = {user["id"]: user["username"] for user in users["items"]}
        return self._usernames.get(user_id or "")


def _moment(text: str) -> datetime:
    """Argilla's times are UTC without saying so."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _portions(records: Sequence[Record]) -> Iterable[Sequence[Record]]:
    """Records in requests of a bounded size."""
    start, size = 0, 0
    for number, record in enumerate(records):
        length = sum(map(len, record.fields.values()))
        full = number - start == PUSH_BATCH or size + length > PUSH_CHARACTERS
        if full and number > start:
            yield records[start:number]
            start, size = number, 0
        size += length
    if records:
        yield records[start:]


def _batches(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
