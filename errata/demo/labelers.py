"""Scripted labelers, who answer as people do: signed in to Argilla, each as a user of their own.

In: log-ins, the answers that are right. Out: responses submitted through Argilla's own interface,
in the form in which its pages send them.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx2


class Login(NamedTuple):
    """A labeler's log-in."""

    url: str
    username: str
    password: str


PENDING = {
    "filters": {
        "and": [
            {
                "type": "terms",
                "scope": {"entity": "response", "property": "status"},
                "values": ["pending"],
            }
        ]
    }
}


class Labeler:
    """One signed-in person; signs in again when Argilla was restarted."""

    def __init__(self, login: Login, answers: Mapping[str, Mapping[str, Any]]) -> None:
        self._login = login
        self._answers = answers
        self._http = httpx2.Client(base_url=f"{login.url}/api/v1", timeout=10)
        self._token: str | None = None
        self.given = 0

    def close(self) -> None:
        """Leave."""
        self._http.close()

    def answer_until(self, done: Callable[[], bool]) -> None:
        """Answer what is pending, again and again, until the work is done."""
        while not done():
            try:
                if not self.answer_once():
                    time.sleep(0.2)
            except (httpx2.HTTPError, KeyError):
                # Argilla is being restarted; a person would reload the page.
                self._token = None
                time.sleep(0.3)

    def answer_once(self) -> int:
        """Answer one page of what is pending for this person; returns how many."""
        answered = 0
        for dataset in self._call("GET", "/me/datasets")["items"]:
            path = f"/me/datasets/{dataset['id']}/records/search"
            page = self._call("POST", path, json=PENDING, params={"limit": 10})
            answered += sum(self._answer(item["record"]) for item in page["items"])
        return answered

    def _answer(self, record: dict[str, Any]) -> int:
        proposal_id = record["external_id"].rpartition(":")[0]
        entered = self._answers.get(proposal_id)
        if entered is None:
            return 0
        values = {name: {"value": _entered(value)} for name, value in entered.items()}
        body = {"status": "submitted", "values": values}
        response = self._request("POST", f"/records/{record['id']}/responses", json=body)
        if response.status_code == 201:
            self.given += 1
            return 1
        if response.status_code in {404, 409}:  # decided meanwhile, or answered before a restart
            return 0
        response.raise_for_status()
        return 0

    def _call(self, method: str, path: str, **options: Any) -> Any:
        response = self._request(method, path, **options)
        response.raise_for_status()
        return response.json()

    def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        if self._token is None:
            form = {"username": self._login.username, "password": self._login.password}
            answer = self._http.post("/token", data=form).raise_for_status()
            self._token = answer.json()["access_token"]
        headers = {"Authorization": f"Bearer {self._token}"}
        return self._http.request(method, path, headers=headers, **options)


def _entered(value: Any) -> Any:
    """Arguments are entered as the JSON text that the correction holds."""
    return json.dumps(value, indent=2, sort_keys=True) if isinstance(value, dict) else value
