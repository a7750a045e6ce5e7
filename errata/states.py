"""Saved states: where an agent's framework stopped, kept by the server until another process goes on.

In: the framework's own JSON and what it waits for. Out: the values that are sent and answered.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from errata.protocol import Agent, Digest, Id, Moment, Name, Reference, Value

LEASE_S = 300.0
"""Seconds for which a resumed state belongs to whoever resumed it."""
LONGEST_LEASE_S = 86_400.0
MOST = 1_000
"""Proposals that one state may wait for, and tools that it may name."""


def _named(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


def _carried(value: Any) -> Any:
    """What JSON in UTF-8 carries; numbers of any size, since nobody computes a digest of it."""
    if not isinstance(value, dict | list):
        raise ValueError("an object or an array is wanted")
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError("no JSON, or with NaN, an infinity or a lone surrogate") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


Content = Annotated[
    Any,
    AfterValidator(_carried),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array"}]}),
]


class Framework(Value):
    """What wrote a state; another version may not be able to read it."""

    name: Name
    version: Reference


class Parking(Value):
    """What an agent sends to have a state kept."""

    agent: Annotated[Agent, BeforeValidator(_named)]
    """Or its id alone. Id and version are kept."""
    framework: Framework
    tools: Annotated[dict[Name, Digest | None], Field(max_length=MOST, default_factory=dict)]
    """Digest of each tool's schema, to see at the resume whether it has changed."""
    proposals: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MOST)]
    """What it waits for."""
    content: Content
    expires_at: Moment | None = None
    """When it is forgotten; in 30 days where nothing is said."""
    replaces: Id | None = None
    """The state from which this run was resumed: it is done when this one is kept."""
    lease: Id | None = None
    """The lease of that one."""

    @model_validator(mode="after")
    def _fits(self) -> "Parking":
        if len(set(self.proposals)) != len(self.proposals):
            raise ValueError("proposals: one is named twice")
        if (self.replaces is None) != (self.lease is None):
            raise ValueError("lease: replaces and lease belong together")
        return self

    def wire(self) -> dict[str, Any]:
        """As for every value; the content as it is, which pydantic would walk only so deep."""
        stated = self.model_dump(mode="json", exclude_none=True, exclude={"content"})
        return {**stated, "content": self.content}


class Resuming(Value):
    """What a process sends to take a state."""

    lease_s: Annotated[float, Field(gt=0, le=LONGEST_LEASE_S, allow_inf_nan=False)] = LEASE_S


class Finishing(Value):
    """What a process sends when the run is over."""

    lease: Id


class Parked(Value):
    """A state that is kept, without its content."""

    id: Id
    agent: Agent
    framework: Framework
    tools: dict[str, Digest | None]
    proposals: tuple[Id, ...]
    status: Literal["parked", "resumed", "done", "erased"]
    ready: bool
    """Whether all that it waits for is decided."""
    taken_until: Moment | None = None
    """Until when the lease of whoever resumed it last holds."""
    created_at: Moment
    expires_at: Moment


class Saved(Parked):
    """A state that was resumed: `agent` and `tools` are those of the process that parked it."""

    content: Any
    """The framework's JSON, as it was parked."""
    lease: Id
    """For `replaces` and `finish`; after `taken_until` another process may take the state."""
