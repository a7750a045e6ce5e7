"""What a labeler's queue shows, and in which order."""

from concurrent.futures import ThreadPoolExecutor

import pytest

RECORDS = [
    {"text": "a", "metadata": {"agent": "ann", "prio": 3, "cost": 0.5, "trap": "no"}},
    {"text": "b", "metadata": {"agent": ["ann", "bob"], "prio": 1, "cost": 2.0}},
    {"text": "c", "metadata": {"agent": "cyd", "prio": 2}},
    {"text": "d", "external_id": "d-1"},
]


def status(*values):
    scope = {"entity": "response", "property": "status"}
    return {"type": "terms", "scope": scope, "values": list(values)}


def metadata(name, *values):
    scope = {"entity": "metadata", "metadata_property": name}
    return {"type": "terms", "scope": scope, "values": list(values)}


def between(scope, ge=None, le=None):
    return {"type": "range", "scope": scope, "ge": ge, "le": le}


def record(name, *values):
    scope = {"entity": "record", "property": name}
    return {"type": "terms", "scope": scope, "values": list(values)}


def order(direction="asc", **scope):
    return {"scope": scope, "order": direction}


@pytest.fixture(scope="module")
def dataset(server):
    return server.client().dataset(min_submitted=2)


@pytest.fixture(scope="module")
def records(server, dataset):
    return server.client().push(dataset, *RECORDS)


@pytest.fixture(scope="module")
def ann(server, dataset, records):
    ann = server.client().person()
    ann.answer(records[0], decision="approve", stars=5)
    ann.answer(records[1], "draft", decision="reject", stars=1)
    ann.answer(records[2], "discarded", decision="reject")
    return ann


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["pending"], [3]),
        (["draft"], [1]),
        (["submitted"], [0]),
        (["discarded"], [2]),
        (["pending", "draft"], [1, 3]),
    ],
)
def test_a_tab_of_the_queue_holds_what_this_person_did(ann, dataset, records, wanted, found):
    assert set(ann.search(dataset, status(*wanted)).ids) == {records[i] for i in found}


def test_everything_is_pending_for_another_person(server, dataset, records, ann):
    bob = server.client().person()
    assert bob.search(dataset, status("pending")).total == len(records)
    assert bob.search(dataset, status("submitted")).total == 0


def test_without_a_person_pending_means_that_nobody_answered(owner, dataset, records, ann):
    assert owner.search(dataset, status("pending"), mine=False).ids == [records[3]]
    assert owner.search(dataset, status("draft"), mine=False).ids == [records[1]]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (metadata("agent", "ann"), [0, 1]),
        (metadata("agent", "bob", "cyd"), [1, 2]),
        (metadata("agent", "nobody"), []),
        (metadata("prio", "3"), [0]),
        (metadata("prio", "00003"), [0]),
        (metadata("cost", "2"), [1]),
        (between({"entity": "metadata", "metadata_property": "prio"}, ge=2), [0, 2]),
        (between({"entity": "metadata", "metadata_property": "cost"}, ge=0.5, le=0.5), [0]),
        (record("status", "pending"), [0, 1, 2, 3]),
        (record("status", "completed"), []),
        (record("external_id", "d-1"), [3]),
        (
            between({"entity": "record", "property": "inserted_at"}, ge="2020-01-01T00:00:00"),
            [0, 1, 2, 3],
        ),
        (between({"entity": "record", "property": "updated_at"}, le="2020-01-01T00:00:00Z"), []),
    ],
)
def test_a_filter_finds_the_records_it_names(owner, dataset, records, condition, found):
    assert set(owner.search(dataset, condition).ids) == {records[i] for i in found}


def test_filters_must_all_hold(owner, dataset, records):
    found = owner.search(dataset, metadata("agent", "ann"), metadata("prio", "1"))
    assert found.ids == [records[1]]


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ([order(entity="metadata", metadata_property="prio")], [1, 2, 0, 3]),
        ([order("desc", entity="metadata", metadata_property="prio")], [0, 2, 1, 3]),
        (
            [
                order("desc", entity="metadata", metadata_property="agent"),
                order("desc", entity="record", property="inserted_at"),
            ],
            [2, 1, 0, 3],
        ),
        ([order("desc", entity="record", property="inserted_at")], [3, 2, 1, 0]),
        ([order(entity="record", property="inserted_at")], [0, 1, 2, 3]),
    ],
)
def test_a_sort_puts_records_without_the_value_last(owner, dataset, records, terms, found):
    assert owner.search(dataset, sort=terms).ids == [records[i] for i in found]


def test_the_page_after_the_last_is_empty_and_the_total_stays(owner, dataset, records):
    assert owner.search(dataset, offset=3, limit=2).total == 4
    assert owner.search(dataset, offset=4).ids == []


def test_pages_together_hold_every_record_once(owner):
    dataset = owner.dataset()
    pushed = owner.push(dataset, *({"text": f"r{i}", "metadata": {"prio": 1}} for i in range(40)))
    for sort in ({}, {"sort": [order(entity="metadata", metadata_property="prio")]}):
        pages = [owner.search(dataset, offset=i, limit=7, **sort).ids for i in range(0, 40, 7)]
        assert sorted(record for page in pages for record in page) == sorted(pushed)


def test_two_people_start_at_different_records_and_each_keeps_the_order(owner):
    dataset = owner.dataset()
    pushed = owner.push(dataset, *({"text": f"r{i}"} for i in range(30)))
    people = [owner.person() for _ in range(4)]
    orders = [person.search(dataset, limit=30).ids for person in people]
    people[0].answer(pushed[0])
    assert people[0].search(dataset, limit=30).ids == orders[0]
    assert len({order[0] for order in orders}) > 1
    assert all(sorted(order) == sorted(pushed) for order in orders)


def test_progress_counts_records_and_each_persons_answers(server, ann, owner, dataset, records):
    whole = owner.call("GET", f"datasets/{dataset}/progress")
    assert (whole["total"], whole["pending"], whole["completed"]) == (4, 4, 0)
    mine = ann.call("GET", f"me/datasets/{dataset}/metrics")["responses"]
    assert mine == {"total": 4, "submitted": 1, "discarded": 1, "draft": 1, "pending": 1}


def test_a_record_is_completed_by_the_second_submitted_answer(owner):
    dataset = owner.dataset(min_submitted=2)
    (pushed,) = owner.push(dataset, {"text": "x"})
    for total, person in enumerate((owner.person(), owner.person()), start=1):
        person.answer(pushed)
        completed = owner.search(dataset, record("status", "completed")).total
        assert completed == (total == 2)
    assert owner.call("GET", f"datasets/{dataset}/progress")["completed"] == 1


def test_a_deleted_record_is_found_no_more(owner):
    dataset = owner.dataset()
    kept, gone = owner.push(dataset, {"text": "x"}, {"text": "y"})
    owner.call("DELETE", f"datasets/{dataset}/records", ids=gone)
    assert owner.search(dataset).ids == [kept]


def test_a_search_goes_on_while_records_are_deleted(server, owner):
    dataset = owner.dataset()
    records = owner.push(dataset, *({"text": f"r{i}"} for i in range(400)))
    by_age = order(entity="record", property="inserted_at")

    def delete():
        other = server.client()
        for start in range(0, len(records), 5):
            other.call(
                "DELETE", f"datasets/{dataset}/records", ids=",".join(records[start : start + 5])
            )

    with ThreadPoolExecutor(2) as pool:
        deleting = pool.submit(delete)
        while not deleting.done():
            for mine in (True, False):
                found = owner.search(dataset, sort=[by_age], mine=mine, limit=400)
                assert found.ids == [record for record in records if record in found.ids]
        deleting.result()
    assert owner.search(dataset).total == 0


def metrics(owner, dataset, name):
    found = owner.call("GET", f"me/datasets/{dataset}/metadata-properties")["items"]
    (id_,) = [item["id"] for item in found if item["name"] == name]
    return owner.call("GET", f"metadata-properties/{id_}/metrics")


def test_metrics_describe_the_values_of_a_metadata_property(owner, dataset, records):
    terms = metrics(owner, dataset, "agent")
    counts = [(value["term"], value["count"]) for value in terms["values"]]
    assert counts == [("ann", 2), ("bob", 1), ("cyd", 1)]
    assert terms["total"] == 4
    assert metrics(owner, dataset, "prio") == {"type": "integer", "min": 1, "max": 3}
    assert metrics(owner, dataset, "cost") == {"type": "float", "min": 0.5, "max": 2.0}


def test_metrics_of_an_empty_dataset_are_empty(owner):
    dataset = owner.dataset()
    assert metrics(owner, dataset, "agent")["total"] == 0
    assert metrics(owner, dataset, "prio") == {"type": "integer", "min": None, "max": None}
