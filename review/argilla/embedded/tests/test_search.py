"""What the search box, the filters on answers and suggestions, and similarity find."""

import pytest
from test_queue import between, order, status

TEXTS = [
    {"fields": {"text": "Refund the customer's card payment today"}},
    {"fields": {"text": "The payment by card was declined. Payment again?", "talk": None}},
    {"fields": {"text": "Cancel refund.amount of 3.50 euros"}},
    {"fields": {"text": "Überweisung geprüft, Straße bestätigt 支払いを承認"}},
    {
        "fields": {
            "text": "see the talk",
            "talk": [
                {"role": "agent", "content": "May I send the invoice?"},
                {"role": "customer", "content": "please do"},
            ],
            "tool": {"name": "send_mail", "arguments": {"to": ["ann@example.com"], "copies": 2}},
        }
    },
]


@pytest.fixture(scope="module")
def texts(server):
    owner = server.client()
    dataset = owner.dataset()
    return dataset, owner.push(dataset, *TEXTS)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("refund", [0, 2]),
        ("REFUND", [0, 2]),
        ("refunds", []),
        ("refund card", [0]),
        ("invoice see", [4]),
        ("refund + cancel", [2]),
        ("declined | cancel", [1, 2]),
        ("declined | cancel refund", [2]),
        ("refund -card", [2]),
        ("-refund -see", [1, 3]),
        ("--refund", [0, 2]),
        ("-(refund | declined)", [3, 4]),
        ("(declined | cancel) payment", [1]),
        ("((cancel) refund", [2]),
        ("cancel) refund", [2]),
        ('"card payment"', [0]),
        ('"payment card"', []),
        ('"payment card"~1', [1]),
        ('-"card payment"', [1, 2, 3, 4]),
        ('"payment', [0, 1]),
        ("pay*", [0, 1]),
        ("pay", []),
        ("refnd~1", [0, 2]),
        ("refnd", []),
        ("paymnt~", [0, 1]),
        ("3.50", [2]),
        ("3.51", []),
        ("amount", [2]),
        ("customer", [0, 4]),
        ("überweisung", [3]),
        ("STRASSE", []),
        ("承認", [3]),
        ("認承", []),
        ("send_mail", [4]),
        ("ann@example.com", [4]),
        ("2", [4]),
        ("content", []),
        ("100%", []),
        ("\\-refund", [0, 2]),
        ("*", [0, 1, 2, 3, 4]),
        ("", []),
        ("...", []),
    ],
)
def test_a_query_finds(owner, texts, query, found):
    dataset, records = texts
    result = owner.search(dataset, query={"text": {"q": query}})
    assert (set(result.ids), result.total) == ({records[i] for i in found}, len(found))


@pytest.mark.parametrize(
    ("field", "found"), [("text", [0]), ("talk", [4]), ("tool", [])], ids=lambda value: str(value)
)
def test_one_field_can_be_searched_alone(owner, texts, field, found):
    dataset, records = texts
    result = owner.search(dataset, query={"text": {"q": "customer", "field": field}})
    assert result.ids == [records[i] for i in found]


def test_the_best_comes_first_and_a_filter_changes_no_score(owner, texts):
    dataset, records = texts
    query = {"text": {"q": "payment"}}
    found = owner.search(dataset, query=query)
    assert found.ids == [records[1], records[0]]
    assert found.scores == sorted(found.scores, reverse=True)
    assert found.scores[-1] > 0
    assert owner.search(dataset, status("pending"), query=query).scores == found.scores
    newest = [order("desc", entity="record", property="inserted_at")]
    assert owner.search(dataset, query=query, sort=newest).ids == [records[1], records[0]]
    oldest = [order("asc", entity="record", property="inserted_at")]
    assert owner.search(dataset, query=query, sort=oldest).ids == [records[0], records[1]]
    second = owner.search(dataset, query=query, offset=1, limit=5)
    assert (second.ids, second.total) == ([records[0]], 2)


def test_a_search_no_person_would_type_is_refused(owner, texts):
    path = f"me/datasets/{texts[0]}/records/search"
    assert owner.status("POST", path, {"query": {"text": {"q": "(" * 1000}}}) == 422
    assert owner.status("POST", path, {"query": {"text": {"q": "x", "field": "no"}}}) == 422


def suggestion(part, *values):
    scope = {"entity": "suggestion", "question": "decision", "property": part}
    return {"type": "terms", "scope": scope, "values": list(values)}


def answer(name, *values):
    scope = {"entity": "response", "question": name}
    return {"type": "terms", "scope": scope, "values": list(values)}


@pytest.fixture(scope="module")
def judged(server):
    """Three records with suggestions; two people answered."""
    owner = server.client()
    dataset = owner.dataset(min_submitted=2)
    given = [
        {"value": "approve", "score": 0.5, "agent": "bert", "type": "model"},
        {"value": "reject", "score": 0.9, "agent": "ann", "type": "human"},
        None,
    ]
    records = owner.push(
        dataset, *({"suggestions": {"decision": each} if each else {}} for each in given)
    )
    ann, bob = owner.person(), owner.person()
    ann.answer(records[0], decision="approve", stars=5, reasons=["edit", "reject"])
    bob.answer(records[0], decision="reject", stars=1)
    ann.answer(records[1], decision="reject", stars=4)
    return dataset, records, ann, bob


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (suggestion("value", "approve"), [0]),
        (suggestion("value", "approve", "reject"), [0, 1]),
        (suggestion("score", "0.5"), [0]),
        (suggestion("score", "0"), []),
        (suggestion("agent", "ann"), [1]),
        (suggestion("type", "human"), [1]),
        (between({"entity": "suggestion", "question": "decision", "property": "score"}, 0.6), [1]),
        (answer("decision", "reject"), [0, 1]),
        (answer("stars", "5"), [0]),
        (answer("reasons", "edit"), [0]),
        (between({"entity": "response", "question": "stars"}, le=1), [0]),
    ],
)
def test_filters_on_suggestions_and_answers(owner, judged, condition, found):
    dataset, records, _, _ = judged
    assert set(owner.search(dataset, condition, mine=False).ids) == {records[i] for i in found}


def test_a_labelers_filter_on_answers_means_their_own(judged):
    dataset, records, ann, bob = judged
    assert ann.search(dataset, answer("decision", "reject")).ids == [records[1]]
    assert bob.search(dataset, answer("decision", "reject")).ids == [records[0]]


@pytest.mark.parametrize(
    ("term", "found"),
    [
        (order("desc", entity="suggestion", question="decision", property="score"), [1, 0, 2]),
        (order("asc", entity="suggestion", question="decision", property="agent"), [1, 0, 2]),
        (order("asc", entity="response", question="stars"), [0, 1, 2]),
        (order("desc", entity="response", question="stars"), [1, 0, 2]),
    ],
)
def test_sorting_by_suggestions_and_by_the_mean_answer(owner, judged, term, found):
    dataset, records, _, _ = judged
    assert owner.search(dataset, sort=[term], mine=False).ids == [records[i] for i in found]


PLACES = [[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [-1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]


@pytest.fixture(scope="module")
def placed(server):
    owner = server.client()
    dataset = owner.dataset()
    vectors = [{"text": f"near {i}", "vectors": {"place": p}} for i, p in enumerate(PLACES)]
    return dataset, owner.push(dataset, *vectors, {"text": "nowhere"})


def test_similar_records_come_nearest_first_without_the_record_itself(owner, placed):
    dataset, records = placed
    found = owner.search(dataset, query={"vector": {"name": "place", "record_id": records[0]}})
    assert (found.ids, found.total) == ([records[1], records[3], records[2]], 3)
    assert found.scores == pytest.approx([0.9969, 0.5, 0.0], abs=1e-3)


def test_the_least_similar_and_a_vector_of_ones_own(owner, placed):
    dataset, records = placed
    least = {"name": "place", "value": PLACES[0], "order": "least_similar"}
    assert owner.search(dataset, query={"vector": least}).ids[0] == records[2]
    own = {"name": "place", "value": [0.0, 5.0, 0.0]}
    assert owner.search(dataset, query={"vector": own}, limit=1).ids == [records[3]]


def test_text_and_filters_narrow_what_is_similar(owner, placed):
    dataset, records = placed
    query = {"vector": {"name": "place", "value": PLACES[0]}, "text": {"q": "2 | 3"}}
    assert owner.search(dataset, query=query).ids == [records[3], records[2]]
    person = owner.person()
    person.answer(records[1])
    query = {"vector": {"name": "place", "value": PLACES[0]}}
    assert person.search(dataset, status("submitted"), query=query).ids == [records[1]]
