"""Adapters say at import which version of their framework they were tried with."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from errata.agents import versions

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_tested_ranges_are_those_of_the_extras() -> None:
    extras = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    for name, (low, high, extra) in versions.TESTED.items():
        assert f"{name}>={low},<{high}" in extras[extra]


@pytest.mark.parametrize("found", ["1.2.21", "1.3", "2.0.0rc1", "0.9"])
def test_another_version_is_refused_by_number_with_what_to_install(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "version", {"langgraph": found}.__getitem__)
    with pytest.raises(versions.UntestedVersion) as raised:
        versions.require("langgraph")
    assert f"langgraph {found} is not langgraph>=1.2.22,<1.3" in raised.value.detail
    assert "errata[langgraph]" in raised.value.detail
    assert raised.value.field == "langgraph"


def test_a_framework_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", missing)
    with pytest.raises(ImportError, match=r"mcp>=2.3,<2.4 is not installed; install errata\[mcp\]"):
        versions.require("mcp")


@pytest.mark.parametrize("found", ["1.2.22", "1.2.30.post1", "1.2.99"])
def test_a_version_in_the_range_is_taken(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "version", {"langgraph": found}.__getitem__)
    assert versions.require("langgraph") == found
