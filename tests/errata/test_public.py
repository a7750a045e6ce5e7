"""What the package promises: its public names, its layers, its settings, its import cost."""

import subprocess
import sys
from pathlib import Path

import pytest

import errata
from errata.settings import Settings

ROOT = Path(__file__).parents[2]


def test_the_public_names_are_these() -> None:
    assert sorted(errata.__all__) == [
        "Action",
        "Agent",
        "AsyncClient",
        "AsyncRun",
        "Candidate",
        "Client",
        "Confidence",
        "Decision",
        "Effective",
        "ErrataError",
        "Evidence",
        "Framework",
        "Interrupted",
        "Message",
        "Option",
        "Parked",
        "Permit",
        "Proposal",
        "Reasoning",
        "Receipt",
        "Refused",
        "Review",
        "Risk",
        "Run",
        "Saved",
        "StillOpen",
        "Ticket",
        "approved",
        "open_stages",
        "retrying",
        "retrying_async",
        "run_digest",
    ]
    assert all(hasattr(errata, name) for name in errata.__all__)


def test_the_layers_are_kept() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_sdk_brings_no_server_along() -> None:
    heavy = [
        "argilla",
        "fastapi",
        "jsonschema_rs",
        "pandas",
        "sqlalchemy",
        "sqlmodel",
        "torch",
        "yaml",
    ]
    script = f"import errata, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_setting_says_what_it_is_for() -> None:
    source = (ROOT / "errata" / "settings.py").read_text(encoding="utf-8").splitlines()
    for name in Settings.model_fields:
        line = next(n for n, text in enumerate(source) if text.startswith(f"    {name}: "))
        assert source[line + 1].strip().startswith('"""'), name


def test_settings_come_from_the_environment_and_cannot_be_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ERRATA_HOME", str(tmp_path))
    monkeypatch.setenv("ERRATA_PORT", "9000")
    settings = Settings()
    assert settings.database == f"sqlite:///{tmp_path}/errata.db"
    assert settings.webhook_address == "http://127.0.0.1:9000/v1/webhooks/argilla"
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
    monkeypatch.setenv("ERRATA_DATABASE_URL", "postgresql://db/errata")
    monkeypatch.setenv("ERRATA_WEBHOOK_URL", "https://errata.example/")
    settings = Settings()
    assert settings.database == "postgresql://db/errata"
    assert settings.webhook_address == "https://errata.example/v1/webhooks/argilla"
