"""The gate around a tool function: what it asks, and what it checks before it lets the body run.

In: a function, the arguments of a call, a decision. Out: the proposal to make, the arguments that
were approved in the function's own types, their digest, the receipt. No network here: the
clients send.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from errata import errors
from errata.digest import action_body, digest
from errata.protocol import Action, Agent, Decision, Permit, Proposal, Receipt

ARGUMENTS = TypeAdapter(dict[str, Any], config=ConfigDict(ser_json_inf_nan="constants"))
"""Arguments as JSON; NaN stays what it is and is refused, where pydantic would make it null."""

ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Gate:
    """A tool function and what is said about its calls."""

    function: Callable[..., Any]
    agent: Agent
    name: str
    schema: dict[str, Any]
    extra: dict[str, Any]

    @classmethod
    def around(
        cls, function: Callable[..., Any], agent: str | Agent, extra: dict[str, Any]
    ) -> "Gate":
        signature = inspect.signature(function)
        for parameter in signature.parameters.values():
            if parameter.kind not in {
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                inspect.Parameter.KEYWORD_ONLY,
            }:
                raise TypeError(
                    f"{function.__name__}: a gated tool takes named parameters only, "
                    f"not {parameter}"
                )
        schema = TypeAdapter(cast(Any, function)).json_schema()
        return cls(
            function,
            agent if isinstance(agent, Agent) else Agent(id=agent),
            function.__name__,
            schema,
            extra,
        )

    def action(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Action:
        """What a call is, in words that others can read.

        Raises:
            TypeError: The arguments do not fit the function's signature.
            Malformed: They are nothing that JSON can carry exactly.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = ARGUMENTS.dump_python(dict(bound.arguments), mode="json")
        try:
            return Action(name=self.name, arguments=arguments)
        except ValidationError as error:
            raise errors.Malformed(f"the call cannot be proposed: {error}") from error

    def ask(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Proposal:
        """The proposal of a call.

        Raises:
            TypeError, Malformed: See `action`.
        """
        tool = {"name": self.name, "parameters": self.schema}
        if self.function.__doc__:
            tool["description"] = inspect.cleandoc(self.function.__doc__)
        action = self.action(args, kwargs)
        try:
            return Proposal(
                hap="1",
                kind="action",
                agent=self.agent,
                action=action,
                tools=({"type": "function", "function": tool},),
                **self.extra,
            )
        except ValidationError as error:
            raise errors.Malformed(f"the call cannot be proposed: {error}") from error

    def version(self, decision: Decision) -> Action:
        """The approved call, which must be to this very tool."""
        action = decision.effective.action
        if action is None or action.name != self.name:
            raise errors.DigestMismatch(f"the decision is not about {self.name!r}")
        return action

    def arguments(self, action: Action) -> dict[str, Any]:
        """The approved arguments in the function's own types.

        Raises:
            Malformed: They do not fit the function's signature; nothing has run.
        """
        try:
            return {
                name: self._types.get(name, ANYTHING).validate_python(value)
                for name, value in action.arguments.items()
            }
        except ValidationError as error:
            raise errors.Malformed(f"the approved arguments do not fit: {error}") from error

    # Both looked up at the first call: types may be named before they are there.
    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @functools.cached_property
    def _types(self) -> dict[str, TypeAdapter[Any]]:
        hints = inspect.get_annotations(self.function, eval_str=True)
        return {name: TypeAdapter(hint) for name, hint in hints.items() if name != "return"}

    def returned(self, value: Any) -> Any:
        """A value that came back as JSON, in the type that the function returns."""
        hints = inspect.get_annotations(self.function, eval_str=True)
        return TypeAdapter[Any](hints.get("return", Any)).validate_python(value)

    def digest(self, arguments: dict[str, Any], permit: Permit) -> str:
        """Over the arguments as they will be passed, not as the server said they are."""
        passed = ARGUMENTS.dump_python(arguments, mode="json")
        return digest(
            agent=self.agent.id,
            kind="action",
            body=action_body(Action(name=self.name, arguments=passed)),
            tool_schema=permit.tool_schema,
            policy_version=permit.policy_version,
        )


def receipt(permit: Permit, started: datetime, result: Any, error: Exception | None) -> Receipt:
    """What came of a run; a result that is not JSON stays with the caller."""
    finished = datetime.now(UTC)
    if error is not None:
        said = f"{type(error).__name__}: {error}"
        return Receipt(
            permit_id=permit.id,
            status="unknown" if isinstance(error, errors.OutcomeUnknown) else "failed",
            error=said,
            started_at=started,
            finished_at=finished,
        )
    try:
        return Receipt(
            permit_id=permit.id,
            status="executed",
            result=TypeAdapter(Any).dump_python(result, mode="json"),
            started_at=started,
            finished_at=finished,
        )
    except ValueError:
        return Receipt(
            permit_id=permit.id, status="executed", started_at=started, finished_at=finished
        )


def dress(function: Function, call: Callable[..., Any]) -> Function:
    """Give the gate the tool's name and signature, but no way around to the bare function."""
    dressed: Any = functools.update_wrapper(call, function)
    dressed.__signature__ = inspect.signature(function)
    del dressed.__wrapped__
    return cast(Function, dressed)
