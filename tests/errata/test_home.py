"""The data folder and an installation's first and later starts."""

import json
import stat
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from errata import backup, db, doctor, home, installation
from errata.app import from_settings
from errata.db import Database
from errata.errors import Conflict, NotFound
from errata.home import Home, Running
from errata.installation import Plan
from errata.settings import Settings
from errata.states import Parking
from errata.supervisor import Supervisor, free_port
from ingestion import intake, keys, policies, sealing, states
from ingestion.policy_file import BadPolicy
from review import audit
from tests.people import NOW, at, proposal

CREDENTIALS = home.Credentials(
    home.Api("http://a", "k1", "k2"), home.Argilla("http://b", "owner", "p", "k3")
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    return found


def test_what_is_kept_belongs_to_the_owner_alone(folder: Home) -> None:
    folder.keep_credentials(CREDENTIALS)
    secret = folder.secret("redis")
    assert folder.credentials() == CREDENTIALS
    assert mode(folder.path / "credentials.json") == 0o600
    assert mode(folder.argilla / "redis.secret") == 0o600
    assert mode(folder.path) == 0o700
    assert folder.secret("redis") == secret
    assert folder.secret("other") != secret
    assert len(secret) == 64
    assert sorted(one.name for one in folder.path.iterdir()) == [
        "argilla",
        "credentials.json",
        "logs",
    ]


def test_a_folder_without_a_first_start_says_what_to_do(folder: Home) -> None:
    assert not folder.has_credentials()
    with pytest.raises(NotFound, match="run `errata up` or give --home"):
        folder.credentials()


def test_a_second_start_on_the_same_folder_is_refused_with_who_has_it(folder: Home) -> None:
    with folder.lock():
        with pytest.raises(Conflict, match="starting or stopping"):
            folder.lock()
        folder.say_running(Running(7, "http://api", "http://argilla", {"api": 8}))
        with pytest.raises(Conflict, match=r"process 7: API http://api, Argilla http://argilla"):
            Home(folder.path).lock()
        folder.say_running(None)
        assert folder.running() is None
    with folder.lock():
        pass


def test_a_broken_note_of_what_runs_is_as_none(folder: Home) -> None:
    for text in ("", "[]", "{", '{"pid": 1}'):
        (folder.path / "running.json").write_text(text)
        assert folder.running() is None


# --- installing ---


def plan_for(folder: Home, **more: object) -> Plan:
    settings = Settings.model_validate({"home": folder.path, "port": 1, "argilla_port": 2, **more})
    return Plan(settings, folder, argilla=False)


@pytest.fixture
def store(folder: Home) -> Database:
    return Database(f"sqlite:///{folder.path / 'errata.db'}")


def test_the_first_start_makes_keys_and_policy_and_later_ones_keep_them(
    folder: Home, store: Database
) -> None:
    first = installation.prepare(plan_for(folder), store, NOW)
    again = installation.prepare(plan_for(folder, port=9), store, at(60))
    assert (first.first, again.first) == (True, False)
    assert again.credentials.api.url == "http://127.0.0.1:9"
    assert again.credentials.api.admin_key == first.credentials.api.admin_key
    assert again.credentials.argilla.password == first.credentials.argilla.password
    assert json.loads((folder.path / "credentials.json").read_text())["api"]["url"].endswith(":9")
    with store.reading() as session:
        api = first.credentials.api
        assert keys.authenticate(session, api.admin_key).roles == ["admin", "reviewer"]
        assert keys.authenticate(session, api.agent_key).roles == ["agent"]
        assert policies.in_force(session).policy.default.route == "queue"
        assert audit.verify(session).faults == []
    store.close()


def test_the_key_that_seals_states_is_made_once_and_kept(folder: Home, store: Database) -> None:
    installation.prepare(plan_for(folder), store, NOW)
    made = folder.state_keys()
    assert len(sealing.ring(made).fingerprints) == 1
    assert mode(folder.path / "state.keys") == 0o600
    installation.prepare(plan_for(folder), store, at(60))
    assert folder.state_keys() == made
    store.close()


def test_an_installation_from_before_gets_a_key_at_its_next_start(
    folder: Home, store: Database
) -> None:
    installation.prepare(plan_for(folder), store, NOW)
    (folder.path / "state.keys").unlink()
    installation.prepare(plan_for(folder), store, at(60))
    assert folder.state_keys() is not None
    store.close()


def test_where_keys_are_set_none_is_made_and_those_of_the_folder_still_open(
    folder: Home, store: Database
) -> None:
    own = sealing.new_key()
    installation.prepare(plan_for(folder, state_keys=own), store, NOW)
    assert folder.state_keys() is None
    store.close()
    folder.keep_state_keys(sealing.new_key())
    app = from_settings(plan_for(folder, state_keys=own).settings)
    with TestClient(app):
        ring = app.state.ring
    assert ring.fingerprints == sealing.ring(own, folder.state_keys()).fingerprints
    db.current().close()
    db.use(None)


def test_a_backup_brings_the_keys_along(folder: Home, store: Database, tmp_path: Path) -> None:
    installation.prepare(plan_for(folder), store, NOW)
    store.close()
    backup.save(folder, tmp_path / "archive")
    restored = Home(tmp_path / "restored")
    assert "state.keys" in backup.load(tmp_path / "archive", restored)
    assert restored.state_keys() == folder.state_keys()
    assert mode(restored.path / "state.keys") == 0o600


def test_doctor_names_the_key_without_which_a_state_does_not_open(
    folder: Home, store: Database
) -> None:
    plan = plan_for(folder)
    api = installation.prepare(plan, store, NOW).credentials.api
    lost = sealing.ring(sealing.new_key())
    with store.transaction() as session:
        agent = keys.authenticate(session, api.agent_key)
        id_ = intake.take(session, proposal(), agent, now=NOW).row.id
        stated = {"agent": "desk", "framework": {"name": "a", "version": "1"}, "content": {}}
        parking = Parking.model_validate({**stated, "proposals": [id_]})
        states.park(session, lost, parking, agent, now=NOW)
    store.close()
    found = {one.part: one for one in doctor.examine(plan.settings, folder)}["saved states"]
    assert found.grade == "fault"
    assert f"1 with key {lost.fingerprints[0]}; add the key to ERRATA_STATE_KEYS" in found.words


def test_a_policy_that_lies_there_before_is_the_one_that_is_used(
    folder: Home, store: Database
) -> None:
    folder.policy.write_text("version: 1\ndefault: {route: block}\n")
    installation.prepare(plan_for(folder), store, NOW)
    with store.reading() as session:
        assert policies.in_force(session).policy.default.route == "block"
    assert folder.policy.read_text().endswith("{route: block}\n")
    store.close()


def test_a_start_with_a_broken_policy_installs_nothing(folder: Home, store: Database) -> None:
    folder.policy.write_text("version: 1\nrulez: []\n")
    with pytest.raises(BadPolicy, match="line 2, rulez"):
        installation.prepare(plan_for(folder), store, NOW)
    assert not folder.has_credentials()
    with store.reading() as session:
        assert keys.list_all(session) == []
    store.close()


def test_ones_own_argilla_is_used_with_its_key(folder: Home, store: Database) -> None:
    plan = plan_for(folder, argilla_url="https://argilla.example", argilla_api_key="mine")
    credentials = installation.prepare(plan, store, NOW).credentials
    assert credentials.argilla[::3] == ("https://argilla.example", "mine")
    store.close()


def test_a_port_that_is_taken_is_named_with_its_option(folder: Home) -> None:
    plan = plan_for(folder, port=free_port(), argilla_port=free_port())
    installation.check_ports(plan)
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", plan.settings.port))
        other.listen()
        with pytest.raises(Conflict, match=f"port {plan.settings.port} is taken.*--port"):
            installation.check_ports(plan)


def test_an_opened_installation_holds_its_folder_and_lets_it_go(folder: Home) -> None:
    plan = plan_for(folder, port=free_port())
    with installation.opened(plan) as held:
        assert isinstance(held.parts, Supervisor)
        with pytest.raises(Conflict):
            folder.lock()
    folder.lock().release()
    assert folder.running() is None
