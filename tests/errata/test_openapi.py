"""Whatever is sent to any route: no server error, and no status that is not in the document."""

from contextlib import nullcontext, suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error, status_code_conformance
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from review import api as review_api
from tests.people import Api, action
from tests.waiting import PATIENCE_S

CALLERS = ("nobody", "agent", "ann", "supervisor", "admin", "analyst")
schemathesis.serializer("application/x-ndjson")(lambda _, value: str(value).encode())
HELD = {"/v1/events"}
"""Its answer goes on and on."""


def known(api: Api) -> dict[str, str]:
    """Ids that exist, so that calls come further than «not found»."""
    done = api.propose(action("transfer", amount=5, to="bob"))
    ran = {"agent": {"id": "desk"}, "digest": done["digest"], "at": "2026-03-01T12:00:00Z"}
    raised = api.client.post("/v1/executions", json=ran, headers=api.people.agent.headers).json()
    stopped = {
        "agent": "desk",
        "framework": {"name": "some-framework", "version": "1"},
        "proposals": [done["id"]],
        "content": {},
    }
    kept = api.client.post("/v1/states", json=stopped, headers=api.people.agent.headers).json()
    return {
        "state_id": kept["id"],
        "proposal_id": api.propose()["id"],
        "permit_id": done["permit"]["id"],
        "alarm_id": raised["alarm_id"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_nothing_that_can_be_sent_breaks_a_route(
    api: Api, server: str, mode: GenerationMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_api, "LONGEST_WAIT", 0.05)  # or a long poll outlasts the caller
    ids = known(api)
    tried: set[str] = set()
    schema = schemathesis.openapi.from_url(f"{server}/v1/openapi", timeout=PATIENCE_S)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path in HELD:
            continue
        # Nothing can be wrong in a request that takes nothing.
        with nullcontext() if mode == GenerationMode.POSITIVE else suppress(Unsatisfiable):
            send_all(operation, mode, ids, api)
            tried.add(f"{operation.method} {operation.path}")
    assert len(tried) >= (18 if mode == GenerationMode.POSITIVE else 10)


def send_all(operation: Any, mode: GenerationMode, ids: dict[str, str], api: Api) -> None:
    """Requests made from one operation's part of the document, by every kind of caller."""
    people = api.people._asdict()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=12,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.filter_too_much,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
    def send(case: Any) -> None:
        named = {name: ids[name] for name in case.path_parameters if name in ids}
        case.path_parameters.update(named)
        for who in CALLERS:
            headers = {} if who == "nobody" else people[who].headers
            response = case.call(headers=headers, allow_redirects=False, timeout=PATIENCE_S)
            case.validate_response(response, checks=[not_a_server_error, status_code_conformance])

    send()


def test_the_document_says_of_every_route_what_it_takes_and_how_it_refuses(api: Api) -> None:
    document = api.client.get("/v1/openapi").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in {"/healthz", "/readyz", "/v1/schemas"}:
                continue
            assert {"401", "403", "422", "503"} <= operation["responses"].keys(), (method, path)
    asked = document["paths"]["/v1/proposals"]["post"]["requestBody"]["content"]
    assert asked["application/json"]["schema"] == {"$ref": "#/components/schemas/Proposal"}
    proposal = document["components"]["schemas"]["Proposal"]
    assert "kind" in proposal["required"]
