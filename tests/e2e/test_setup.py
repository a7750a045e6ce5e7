"""What the worker makes in Argilla, where an earlier set-up was cut off."""

import httpx2
import pytest

import errata
from tests.e2e.running import Installation
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.argilla


def test_a_dataset_that_was_left_half_made_is_made_anew(installation: Installation) -> None:
    credentials = installation.credentials
    key = {"X-Argilla-Api-Key": credentials["argilla"]["api_key"]}
    with httpx2.Client(
        base_url=f"{installation.argilla}/api/v1", headers=key, timeout=PATIENCE_S
    ) as argilla:
        workspace = argilla.get("/me/workspaces").json()["items"][0]["id"]
        made = argilla.post("/datasets", json={"name": "candidates-7", "workspace_id": workspace})
        assert made.json()["status"] == "draft"
    api = credentials["api"]
    with errata.Client(api["url"], api["agent_key"]) as client:
        seven = [{"id": str(number), "content": f"draft {number}"} for number in range(7)]
        asked = client.propose(kind="candidates", agent={"id": "desk"}, candidates=seven)
        until(lambda: client.get(asked).status == "in_review", "the record in Argilla")
