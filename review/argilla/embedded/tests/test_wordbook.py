"""The index of words says what the records say, whoever wrote them and whatever happened."""

import json
import sqlite3
import uuid

import psycopg2
import pytest
from conftest import Server


def sql(server: Server, statement: str, *values: object) -> list[tuple]:
    """Speak to the database behind the server's back."""
    if server.database.startswith("sqlite"):
        connection = sqlite3.connect(server.home / "argilla.db", timeout=30)
        connection.execute("PRAGMA foreign_keys = ON")
        cursor = connection.execute(statement, values)
        rows = cursor.fetchall()
    else:
        connection = psycopg2.connect(server.database.replace("+asyncpg", ""))
        cursor = connection.cursor()
        cursor.execute(statement.replace("?", "%s"), values)
        rows = cursor.fetchall() if cursor.description else []
    connection.commit()
    connection.close()
    return rows


def key(server: Server, record: str) -> str:
    """Return an id as the database writes it."""
    return uuid.UUID(record).hex if server.database.startswith("sqlite") else record


def unread(server: Server) -> int:
    return sql(server, "SELECT count(*) FROM errata_words WHERE line IS NULL")[0][0]


def kept(server: Server) -> tuple[int, int]:
    """Count the records and the rows kept for them; SQLite also checks its index."""
    if server.database.startswith("sqlite"):
        sql(
            server, "INSERT INTO errata_words_index (errata_words_index) VALUES ('integrity-check')"
        )
    counts = "SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM errata_words)"
    return sql(server, counts)[0]


def find(client, dataset, query, **field):
    return set(client.search(dataset, query={"text": {"q": query, **field}}).ids)


def test_every_way_to_write_a_record_writes_its_words(own):
    owner = own.client()
    dataset = owner.dataset()
    (first,) = owner.push(dataset, {"text": "apple", "external_id": "a"})
    bulk = f"datasets/{dataset}/records/bulk"
    items = [
        {"external_id": "a", "fields": {"text": "banana"}},
        {"external_id": "b", "fields": {"text": "cherry"}},
    ]
    _, second = [each["id"] for each in owner.call("PUT", bulk, {"items": items})["items"]]
    assert [find(owner, dataset, word) for word in ("apple", "banana", "cherry")] == [
        set(),
        {first},
        {second},
    ]
    owner.call("PATCH", f"records/{second}", {"fields": {"text": "damson"}})
    assert (find(owner, dataset, "cherry"), find(owner, dataset, "damson")) == (set(), {second})
    assert (unread(own), kept(own)) == (0, (2, 2))
    owner.call("DELETE", f"records/{first}")
    assert (find(owner, dataset, "banana"), kept(own)) == (set(), (1, 1))
    owner.call("DELETE", f"datasets/{dataset}")
    assert kept(own) == (0, 0)


def test_what_another_program_wrote_is_found_at_once_and_read_at_the_next_bootstrap(own):
    owner = own.client()
    dataset = owner.dataset()
    first, second = owner.push(dataset, {"text": "apple"}, {"text": "banana"})
    values = json.dumps({"text": "quince jelly"})
    sql(own, "UPDATE records SET fields = ? WHERE id = ?", values, key(own, second))
    assert unread(own) == 1
    assert [find(owner, dataset, query) for query in ("banana", '"quince jelly"', "apple")] == [
        set(),
        {second},
        {first},
    ]
    # A database from before there was such a table.
    sql(own, "DELETE FROM errata_words")
    assert own.stop() == 0
    assert own.bootstrap() == 0, own.log("bootstrap")
    own.start()
    assert (unread(own), kept(own)) == (0, (2, 2))
    assert find(owner, dataset, "-apple") == {second}


def test_a_text_too_long_for_the_index_is_found(own):
    owner = own.client()
    dataset = owner.dataset()
    text = " ".join(f"word{number}" for number in range(100_000))
    long, short = owner.push(dataset, {"text": text}, {"text": f"word7 {'x' * 3000}"})
    assert find(owner, dataset, "word99999") == {long}
    assert find(owner, dataset, "word7") == {long, short}
    assert find(owner, dataset, "x" * 3000) == {short}


TEXTS = [
    "refund the payment",
    "payment refund",
    "the refund of card.payment today",
    "Überweisung 支払いを承認 ok",
    "no word of it",
    "",
    "send_mail a_b 3.50",
]
QUERIES = [
    *(
        "refund",
        "refund payment",
        "refund | word",
        "refund -payment",
        "-refund",
        "-(refund | word)",
    ),
    *('"refund payment"', '-"payment refund"', '"payment refund"~2', "pay*", "-pay*", "refnd~"),
    *(
        "-refnd~",
        "refund | -payment",
        "(the | no) (refund | word)",
        "承認",
        "-承認",
        "支払い*",
        "ok*",
    ),
    *("*", "a_b", "a_*", "3.50", '"of it" | 3', "-(-refund)", "((refund) | (-refund) -the)"),
    *(
        "(" * 30 + "refund" + ")" * 30,
        '"' + "refund " * 40 + '"',
        "nothing",
        "-nothing",
        "'",
        "NOT",
    ),
    *(
        "and or not near",
        "refund NEAR payment",
        "refund:payment",
        "re^und",
        "{refund}",
        "a:*",
        "&|!",
    ),
]


@pytest.fixture(scope="module")
def answers(server):
    """Ask everything of the index, then of a reader of the records."""
    owner = server.client()
    dataset, other = owner.dataset(), owner.dataset()
    owner.push(dataset, *({"text": text or "."} for text in TEXTS))
    owner.push(
        dataset, {"fields": {"text": "see", "talk": [{"role": "user", "content": "refund"}]}}
    )
    owner.push(other, {"text": "refund payment word nothing"})

    def ask():
        everywhere = {query: find(owner, dataset, query) for query in QUERIES}
        return everywhere, {query: find(owner, dataset, query, field="text") for query in QUERIES}

    from_index = ask()
    assert unread(server) == 0
    statement = "UPDATE errata_words SET line = NULL"
    sql(
        server, statement if server.database.startswith("sqlite") else f"{statement}, sought = NULL"
    )
    return list(zip(from_index, ask(), strict=True))


@pytest.mark.parametrize("query", QUERIES)
def test_the_index_finds_what_a_reader_finds(answers, query):
    for from_index, from_reader in answers:
        assert from_index[query] == from_reader[query]
