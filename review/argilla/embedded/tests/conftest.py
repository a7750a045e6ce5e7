"""A really started server for every test. In: the embedded environment. Out: HTTP clients.

The whole suite runs on SQLite, and once more on PostgreSQL when ERRATA_ARGILLA_TEST_POSTGRESQL
names a server where databases may be made, as in postgresql://postgres@127.0.0.1:5432.
"""

import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from listener import Listener

EMBEDDED = Path(__file__).parent.parent
START_SECONDS = 60
OWNER = "olga"
PASSWORD = "a long enough password"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """One installation: a folder, a database, an environment, and maybe a running process."""

    home: Path
    database: str
    port: int = field(default_factory=free_port)
    redis_port: int = field(default_factory=free_port)
    owner_key: str = field(default_factory=secrets.token_urlsafe)
    secret: str = field(default_factory=secrets.token_hex)
    process: subprocess.Popen | None = None
    others: list[subprocess.Popen] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": str(EMBEDDED),
            "ARGILLA_HOME_PATH": str(self.home),
            "ARGILLA_DATABASE_URL": self.database,
            "ARGILLA_AUTH_SECRET_KEY": self.secret,
            "ARGILLA_REDIS_URL": f"redis://:{self.secret}@127.0.0.1:{self.redis_port}/0",
            "ERRATA_ARGILLA_USERNAME": OWNER,
            "ERRATA_ARGILLA_PASSWORD": PASSWORD,
            "ERRATA_ARGILLA_API_KEY": self.owner_key,
            "ERRATA_ARGILLA_WORKSPACE": "review",
        }

    def launch(self, *arguments: str, **changes: str) -> subprocess.Popen:
        environment = {k: v for k, v in {**self.environment, **changes}.items() if v}
        with (self.home / f"{arguments[0]}.log").open("a") as log:
            command = self.command(*arguments)
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "errata_argilla", *arguments]

    def log(self, command: str) -> str:
        return (self.home / f"{command}.log").read_text()

    def bootstrap(self, **changes: str) -> int:
        return self.launch("bootstrap", **changes).wait(START_SECONDS)

    def start(self, **changes: str) -> None:
        self.process = self.launch("serve", "--port", str(self.port), **changes)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(httpx.HTTPError):
                httpx.get(f"{self.url}/api/v1/version").raise_for_status()
                return
            time.sleep(0.1)
        raise AssertionError(self.log("serve"))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def client(self, api_key: str | None = None) -> "Client":
        return Client(self.url, api_key or self.owner_key)

    @contextmanager
    def rows(self) -> Iterator[Any]:
        """Open a cursor on the database, past Argilla; what it did is committed."""
        if "sqlite" in self.database:
            connection = sqlite3.connect(self.home / "argilla.db")
        else:
            connection = psycopg2.connect(self.database.replace("+asyncpg", ""))
        with closing(connection), connection, closing(connection.cursor()) as cursor:
            yield cursor


class Client:
    """One signed-in person."""

    def __init__(self, url: str, api_key: str) -> None:
        self.http = httpx.Client(
            base_url=f"{url}/api/v1",
            headers={"X-Argilla-Api-Key": api_key},
            timeout=30,
            # The server closes an idle connection after five seconds; to ask just then would fail.
            limits=httpx.Limits(keepalive_expiry=2),
        )
        self.me = self.call("GET", "me")

    def call(self, method: str, path: str, body: object = None, **params: object) -> dict:
        answer = self.http.request(method, path, json=body, params=params)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else {}

    def status(self, method: str, path: str, body: object = None) -> int:
        return self.http.request(method, path, json=body).status_code

    def dataset(self, min_submitted: int = 1) -> str:
        workspace = self.call("GET", "me/workspaces")["items"][0]["id"]
        dataset = self.call(
            "POST",
            "datasets",
            {
                "name": f"d-{uuid.uuid4().hex[:8]}",
                "workspace_id": workspace,
                "distribution": {"strategy": "overlap", "min_submitted": min_submitted},
            },
        )["id"]
        for name, kind in (("text", "text"), ("talk", "chat"), ("tool", "custom")):
            settings = {"type": kind, "use_markdown": True}
            if kind == "custom":
                settings = {"type": kind, "template": "<b></b>", "advanced_mode": False}
            self.call(
                "POST",
                f"datasets/{dataset}/fields",
                {"name": name, "title": name, "required": name == "text", "settings": settings},
            )
        for name, settings in QUESTIONS.items():
            self.call(
                "POST",
                f"datasets/{dataset}/questions",
                {
                    "name": name,
                    "title": name,
                    "required": name == "decision",
                    "settings": settings,
                },
            )
        for name, kind in (("agent", "terms"), ("prio", "integer"), ("cost", "float")):
            self.property(dataset, name, kind)
        self.property(dataset, "trap", "terms", visible=False)
        self.call(
            "POST",
            f"datasets/{dataset}/vectors-settings",
            {"name": "place", "title": "place", "dimensions": 3},
        )
        self.call("PUT", f"datasets/{dataset}/publish")
        return dataset

    def property(self, dataset: str, name: str, kind: str, visible: bool = True) -> None:
        settings = {"type": kind}
        self.call(
            "POST",
            f"datasets/{dataset}/metadata-properties",
            {"name": name, "title": name, "settings": settings, "visible_for_annotators": visible},
        )

    def questions(self, dataset: str) -> dict[str, str]:
        items = self.call("GET", f"datasets/{dataset}/questions")["items"]
        return {question["name"]: question["id"] for question in items}

    def push(self, dataset: str, *records: dict) -> list[str]:
        """Push records; suggestions name their question."""
        ids = self.questions(dataset)
        items = []
        for record in records:
            suggestions = [
                {"question_id": ids[name], **suggestion}
                for name, suggestion in record.get("suggestions", {}).items()
            ]
            fields = record.get("fields", {"text": record.get("text", "hello")})
            rest = {k: v for k, v in record.items() if k not in ("text", "suggestions", "fields")}
            items.append({"fields": fields, "suggestions": suggestions, **rest})
        pushed = self.call("POST", f"datasets/{dataset}/records/bulk", {"items": items})
        return [record["id"] for record in pushed["items"]]

    def person(self, role: str = "annotator") -> "Client":
        """Create somebody in the workspace and sign them in by name and password."""
        name = f"{role}-{uuid.uuid4().hex[:8]}"
        user = self.call(
            "POST",
            "users",
            {"first_name": name, "username": name, "password": PASSWORD, "role": role},
        )
        workspace = self.call("GET", "me/workspaces")["items"][0]["id"]
        self.call("POST", f"workspaces/{workspace}/users", {"user_id": user["id"]})
        return self.sign_in(name)

    def sign_in(self, name: str) -> "Client":
        root = str(self.http.base_url).removesuffix("/api/v1/")
        token = httpx.post(
            f"{root}/api/v1/token", data={"username": name, "password": PASSWORD}
        ).json()["access_token"]
        api_key = httpx.get(
            f"{root}/api/v1/me", headers={"Authorization": f"Bearer {token}"}
        ).json()["api_key"]
        return Client(root, api_key)

    def answer(self, record: str, status: str = "submitted", **values: object) -> dict:
        wrapped = {name: {"value": value} for name, value in (values or DECISION).items()}
        return self.call(
            "POST", f"records/{record}/responses", {"status": status, "values": wrapped}
        )

    def search(self, dataset: str, *filters: dict, mine: bool = True, **body: object) -> "Found":
        params = {key: body.pop(key) for key in ("offset", "limit", "include") if key in body}
        if filters:
            body["filters"] = {"and": list(filters)}
        prefix = "me/" if mine else ""
        found = self.call("POST", f"{prefix}datasets/{dataset}/records/search", body, **params)
        return Found(
            [item["record"]["id"] for item in found["items"]],
            found["total"],
            [item["query_score"] for item in found["items"]],
        )


@dataclass
class Found:
    ids: list[str]
    total: int
    scores: list[float]


DECISION = {"decision": "approve"}
LABELS = [{"value": value, "text": value} for value in ("approve", "reject", "edit")]
QUESTIONS = {
    "decision": {"type": "label_selection", "options": LABELS},
    "reasons": {"type": "multi_label_selection", "options": LABELS},
    "stars": {"type": "rating", "options": [{"value": value} for value in range(6)]},
    "comment": {"type": "text", "use_markdown": False},
}


def databases() -> list[str]:
    return ["sqlite"] + ["postgresql"] * bool(os.environ.get("ERRATA_ARGILLA_TEST_POSTGRESQL"))


@contextmanager
def installed(kind: str, home: Path) -> Iterator[Server]:
    """Choose a folder and a database, which is gone afterwards."""
    if kind == "sqlite":
        yield Server(home, f"sqlite+aiosqlite:///{home}/argilla.db?check_same_thread=False")
        return
    address = os.environ["ERRATA_ARGILLA_TEST_POSTGRESQL"]
    name = f"errata_argilla_{uuid.uuid4().hex[:8]}"
    connection = psycopg2.connect(f"{address}/postgres")
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name}")
    try:
        yield Server(home, f"{address.replace('postgresql', 'postgresql+asyncpg', 1)}/{name}")
    finally:
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.close()


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A SQLite installation after bootstrap, to be copied: migrating takes seconds."""
    with installed("sqlite", tmp_path_factory.mktemp("blank")) as installation:
        assert installation.bootstrap() == 0, installation.log("bootstrap")
        return installation


@contextmanager
def ready(kind: str, home: Path, blank: Server) -> Iterator[Server]:
    """Install a server that only needs to be started."""
    with installed(kind, home) as installation:
        if kind == "sqlite":
            shutil.copy(blank.home / "argilla.db", home)
            installation.owner_key, installation.secret = blank.owner_key, blank.secret
        else:
            assert installation.bootstrap() == 0, installation.log("bootstrap")
        yield installation


@pytest.fixture(scope="session", params=databases())
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, blank: Server
) -> Iterator[Server]:
    """A running server without any Redis."""
    with ready(request.param, tmp_path_factory.mktemp("argilla"), blank) as installation:
        installation.start()
        yield installation
        assert installation.stop() == 0, installation.log("serve")


@pytest.fixture(params=databases())
def own(request: pytest.FixtureRequest, tmp_path: Path, blank: Server) -> Iterator[Server]:
    """A server of one test alone, running, and perhaps killed by it."""
    with ready(request.param, tmp_path, blank) as installation:
        installation.start()
        yield installation
        if installation.process.poll() is None:
            installation.stop()


@pytest.fixture
def owner(server: Server) -> Client:
    return server.client()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as started:
        yield started
