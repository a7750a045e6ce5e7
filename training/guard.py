"""Stops a training that makes unlikely what people preferred.

In: what TRL logs. Out: nothing, or an error that says what to change.
"""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from errata.errors import Malformed


class Guard(TrainerCallback):
    """Compares each log with the start, which is the reference model.

    TRL's rewards/chosen is beta * (log p - log p at the start) of the same rows, so its rows do not
    have to be the same from log to log.
    """

    def __init__(self, *, beta: float, max_drop: float, tokens: float, advice: str) -> None:
        self.beta = beta
        self.max_drop = max_drop
        """Nats of log-probability per token."""
        self.tokens = tokens
        """Mean length of a preferred side."""
        self.advice = advice

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the signature is given
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Look at one log; those without preferred rows pass.

        Raises:
            Malformed: The preferred sides lost more than `max_drop`, or are no number any more.
        """
        reward = (logs or {}).get("rewards/chosen")
        if reward is None:
            return
        drop = -reward / self.beta / self.tokens
        if not drop <= self.max_drop:  # so that NaN does not pass
            raise Malformed(
                f"stopped at step {state.global_step}: the preferred sides lost {drop:.2f} nats per "
                f"token (max_drop is {self.max_drop}; logps/chosen is now "
                f"{(logs or {}).get('logps/chosen', float('nan')):.1f}). {self.advice}",
                "learning_rate",
            )
