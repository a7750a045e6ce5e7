"""Every error that a caller may see.

    ErrataError                 status 500
    ├── Malformed               422  the request itself is wrong; `field` says where
    ├── TooLarge                413
    ├── Unauthorized            401  no key, or not a valid one
    ├── Forbidden               403
    │   └── NotEligible         403  this person may not review this
    ├── NotFound                404
    ├── Conflict                409
    │   ├── DigestMismatch      409  the bytes are not those that were shown
    │   ├── AlreadyDecided      409
    │   ├── PermitUsed          409
    │   ├── TooEarly            409  with Retry-After
    │   │   ├── WaitingFor      409  what it depends on has not run, with Retry-After
    │   │   └── Taken           409  another process has resumed the state, with Retry-After
    │   ├── KeyMissing          409  the server has no key for a saved state
    │   ├── Claimed             409  somebody else works on it
    │   ├── IdempotencyConflict 409  same key, other body
    │   ├── Halted              409  the fleet is halted
    │   └── Interrupted         409  the run is interrupted
    ├── Gone                    410
    │   ├── PermitExpired       410
    │   ├── PermitRevoked       410
    │   └── Tampered            410  a saved state was changed in the database
    ├── TooMany                 429  over the agent's rate, with Retry-After
    ├── Unavailable             503  a part that is needed does not answer
    └── client side
        ├── Refused             what `gate` raises when people did not approve
        ├── StillOpen           the wait ended before the decision
        └── OutcomeUnknown      what a tool raises that cannot say whether it took effect

`code` is the word in `{"error": code}`; only `errata.app` turns a status into an HTTP answer.
"""

from typing import Any, ClassVar


class ErrataError(Exception):
    """Base of everything that Errata raises on purpose."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field

    def wire(self) -> dict[str, Any]:
        """The error as it goes over HTTP."""
        answer: dict[str, Any] = {"error": self.code, "detail": self.detail}
        if self.field is not None:
            answer["field"] = self.field
        return answer


class Malformed(ErrataError):
    """The request is not a valid one."""

    status, code = 422, "malformed"


class TooLarge(ErrataError):
    """The request is larger than the platform takes."""

    status, code = 413, "too_large"


class Unauthorized(ErrataError):
    """No key, or one that is not valid."""

    status, code = 401, "unauthorized"


class Forbidden(ErrataError):
    """The key is valid but may not do this."""

    status, code = 403, "forbidden"


class NotEligible(Forbidden):
    """This person may not review this proposal."""

    code = "not_eligible"


class NotFound(ErrataError):
    """There is no such thing, or not for this key."""

    status, code = 404, "not_found"


class Conflict(ErrataError):
    """The thing is not in a state that allows this."""

    status, code = 409, "conflict"


class DigestMismatch(Conflict):
    """The bytes are not those that were shown and approved."""

    code = "digest_mismatch"


class AlreadyDecided(Conflict):
    """The decision has been made."""

    code = "already_decided"


class PermitUsed(Conflict):
    """The permit has been used."""

    code = "used"


class RanBefore(Conflict):
    """A call has run in an earlier life of its job, and did not return anything that was kept."""

    code = "ran_before"


class TooEarly(Conflict):
    """The permit is not valid yet."""

    code = "too_early"

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Claimed(Conflict):
    """Somebody else has said to be working on it."""

    code = "claimed"


class WaitingFor(TooEarly):
    """What the proposal depends on has not been executed yet."""

    code = "waiting_for"


class Taken(TooEarly):
    """Another process has resumed the saved state and is at work on it."""

    code = "taken"


class KeyMissing(Conflict):
    """The server has no key to seal or open a state with; its operator has to add it.

    No `Unavailable`, which the SDK would wait out: nothing changes by itself.
    """

    code = "key_missing"


class IdempotencyConflict(Conflict):
    """The idempotency key was used for another body."""

    code = "idempotency_conflict"


class Halted(Conflict):
    """The fleet is halted: nothing runs until the halt is lifted."""

    code = "halted"


class Interrupted(Conflict):
    """A supervisor has interrupted the run; nothing of it goes on until it is resumed."""

    code = "interrupted"

    mode: str | None = None
    """pause, takeover or stop, where the agent asked about its run; None where a permit was."""
    reason: str | None = None
    """The supervisor's."""


class Gone(ErrataError):
    """The thing was there and is no longer valid."""

    status, code = 410, "gone"


class PermitExpired(Gone):
    """The permit's time is over."""

    code = "expired"


class PermitRevoked(Gone):
    """The permit was taken back."""

    code = "revoked"


class Tampered(Gone):
    """A saved state is not what was sealed; it is not opened."""

    code = "tampered"


class TooMany(ErrataError):
    """The agent sends more than the policy lets it."""

    status, code = 429, "too_many"

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(ErrataError):
    """A part that is needed does not answer."""

    status, code = 503, "unavailable"


class Refused(ErrataError):
    """The proposal was decided, and not so that the tool may run.

    `decision` holds the whole decision, with the reason and the corrective prompt.
    """

    status, code = 403, "refused"

    def __init__(self, detail: str, decision: Any) -> None:
        super().__init__(detail)
        self.decision = decision


class StillOpen(ErrataError):
    """The wait ended and nobody has decided yet; ask again with the same ticket."""

    status, code = 408, "still_open"


class OutcomeUnknown(ErrataError):
    """A tool cannot say whether it took effect; raised by its body, its receipt says `unknown`."""

    code = "outcome_unknown"
