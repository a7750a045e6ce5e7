"""The versions of the frameworks that the adapters are tested with.

In: what is installed. Out: nothing, or an error that names the version. Adapters ask at import.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from errata.errors import ErrataError


class Range(NamedTuple):
    """Versions of a distribution, the upper end not included, and the extra that installs it."""

    low: str
    high: str
    extra: str


TESTED: dict[str, Range] = {
    "ag-ui-protocol": Range("1.0", "1.1", "ag-ui"),
    "langchain": Range("1.4.7", "1.6", "langchain"),
    "langgraph": Range("1.2.22", "1.3", "langgraph"),
    "mcp": Range("2.3", "2.4", "mcp"),
    "openai-agents": Range("0.24", "0.25", "openai-agents"),
    "pydantic-ai-slim": Range("2.68", "2.69", "pydantic-ai"),
}
"""As in the extras of pyproject.toml, which a test compares."""


class UntestedVersion(ErrataError, ImportError):
    """A framework is missing, or in a version that nobody has tried with this adapter."""

    status, code = 500, "untested_version"


def require(distribution: str) -> str:
    """The installed version of a framework, which is one that was tested.

    Raises:
        UntestedVersion: It is another, or the framework is not installed.
    """
    low, high, extra = TESTED[distribution]
    range_ = f"{distribution}>={low},<{high}"
    hint = f"install errata[{extra}]"
    try:
        found = version(distribution)
    except PackageNotFoundError as error:
        raise UntestedVersion(f"{range_} is not installed; {hint}", distribution) from error
    if not fits(distribution, found):
        raise UntestedVersion(f"{distribution} {found} is not {range_}; {hint}", distribution)
    return found


def fits(distribution: str, stated: str) -> bool:
    """Whether a version is one that was tested."""
    low, high, _ = TESTED[distribution]
    return _key(low) <= _key(stated) < _key(high)


def _key(stated: str) -> tuple[int, ...]:
    """Release numbers; what follows them (rc1, .post2) does not count."""
    numbers: list[int] = []
    for part in stated.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
