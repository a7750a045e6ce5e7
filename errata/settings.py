"""What an operator may set, from environment variables with the prefix ERRATA_.

In: the environment. Out: one frozen `Settings`. Only `app`, `cli` and `db` read it; everything
else is handed plain values.
"""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting, with its default."""

    model_config = SettingsConfigDict(env_prefix="ERRATA_", frozen=True, extra="ignore")

    home: Path = Path(".errata")
    """The data folder."""
    database_url: str | None = None
    """SQLAlchemy URL; without it SQLite in the data folder."""
    host: str = "127.0.0.1"
    """Address that the API and Argilla bind to."""
    port: int = 8400
    """The API's port."""
    argilla_port: int = 6900
    """Argilla's port."""
    argilla_url: str | None = None
    """An Argilla of the user's own; without it `errata up` runs one."""
    argilla_api_key: SecretStr | None = None
    """Owner key of that Argilla."""
    argilla_workspace: str = "errata"
    """Argilla workspace that holds the review datasets."""
    webhook_url: str | None = None
    """Where Argilla reaches our API; needed when it runs on another machine."""
    poll_seconds: float = Field(default=2.0, gt=0)
    """How often answers are reconciled, whether or not a webhook came."""
    execution_limit: float = Field(default=900.0, gt=0)
    """Seconds after which a run without a receipt is `unknown` and an alarm is raised."""
    state_keys: SecretStr | None = None
    """Keys that seal saved states, base64 of 32 bytes each, comma separated: the first seals, all open."""
    reviewer_cost_per_hour: float | None = Field(default=None, ge=0)
    """For the cost figures; currency units per hour of review."""
    human_only_cost_per_task: float | None = Field(default=None, ge=0)
    """For `cost_saving`: what a task costs when people do all of it."""

    @property
    def webhook_address(self) -> str:
        """Where Argilla's webhook goes."""
        base = self.webhook_url or f"http://{self.host}:{self.port}"
        return f"{base.rstrip('/')}/v1/webhooks/argilla"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{(self.home / 'errata.db').absolute()}"
