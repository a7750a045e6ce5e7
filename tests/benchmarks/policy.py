"""What the policy costs per proposal.

In: policies of a hundred rules, and one without any. Out: microseconds per ruling and per
explanation, and their ratio to the empty policy; all from one run. Run by `make bench-kernel`.
"""

import math
import sys
import timeit
from collections.abc import Callable
from typing import Any, NamedTuple

from errata.protocol import Proposal
from ingestion import explaining
from ingestion.policy import Policy
from ingestion.ruling import rule
from tests.people import action

RULES = 100
GOAL_US = 50
REPEATS, CALLS = 15, 500


class Cost(NamedTuple):
    """Microseconds of one call, the quickest of several rounds."""

    ruling: float
    explaining: float


def policy(rules: list[dict[str, Any]]) -> Policy:
    """A policy of these rules."""
    return Policy.model_validate({"version": 1, "rules": rules})


def by_action() -> Policy:
    """A hundred rules on fifty tools: two speak of each."""
    return policy(
        [
            {
                "name": f"tool {n // 2}, {'small' if n % 2 == 0 else 'large'}",
                "when": {"action": f"tool_{n // 2}", "args.amount": {"gte": 0, "lt": 100}}
                if n % 2 == 0
                else {"action": f"tool_{n // 2}"},
                "route": "auto" if n % 2 == 0 else "queue",
            }
            for n in range(RULES)
        ]
    )


def by_argument() -> Policy:
    """A hundred rules that speak of every tool: each is looked at, and the last matches."""
    rules: list[dict[str, Any]] = [
        {
            "name": f"customer {n}",
            "when": {
                "kind": "action",
                "args.customer.tier": ["gold", "silver"],
                "args.amount": {"gte": n * 10, "lt": n * 10 + 10},
                "metadata.region": "eu-*",
            },
            "route": "auto",
        }
        for n in range(RULES - 1)
    ]
    return policy([*rules, {"name": "last", "when": {"kind": "action"}, "route": "queue"}])


def measure(policies: dict[str, Policy], proposal: Proposal) -> dict[str, Cost]:
    """What rulings and explanations cost, in turns: a busy moment meets all alike."""
    costs = dict.fromkeys(policies, Cost(math.inf, math.inf))
    for _ in range(REPEATS):
        for name, rules in policies.items():
            ruling = rule(rules, proposal)
            costs[name] = Cost(
                min(costs[name].ruling, _time(rule, rules, proposal)),
                min(
                    costs[name].explaining,
                    _time(explaining.counterfactuals, rules, proposal, ruling),
                ),
            )
    return costs


def _time(call: Callable[..., object], *given: Any) -> float:
    return timeit.timeit(lambda: call(*given), number=CALLS) / CALLS * 1e6


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Print the figures; 1 where the goal is missed."""
    asked = Proposal.model_validate(
        {
            **action(
                "tool_40", amount=5000.0, customer={"tier": "gold", "id": "c7"}, note="n" * 200
            ),
            "metadata": {"region": "eu-west", "team": "desk"},
            "risk": {"level": "medium", "amount": 5000.0},
        }
    )
    policies = {"empty": policy([]), "by action": by_action(), "by argument": by_argument()}
    costs = measure(policies, asked)
    empty = costs.pop("empty").ruling
    say(f"empty policy: {empty:.1f} us")
    for name, cost in costs.items():
        say(
            f"{RULES} rules {name}: {cost.ruling:.1f} us, {cost.ruling / empty:.2f} times the "
            f"empty policy; counterfactuals {cost.explaining:.1f} us"
        )
    worst = max(cost.ruling for cost in costs.values())
    say(f"goal: at most {GOAL_US} us: {'met' if worst <= GOAL_US else 'missed'}")
    return int(worst > GOAL_US)


if __name__ == "__main__":
    sys.exit(main())
