"""The head of a queue that is read off the index is the head of the queue."""

import json

import pytest
from test_queue import between, order, record, status
from test_wordbook import key, sql

LENGTH = 240
"""Records of the queue: enough for pages of three to be read off the index."""


def prio(number):
    """Give several records the same number, some a list, some none."""
    return [number % 7, [number % 5, 9], "3", None, 2**53 + 1, -1.5][number % 17 % 6]


def largest(value):
    return max(float(each) for each in (value if isinstance(value, list) else [value]))


def smallest(value):
    return -largest([-float(each) for each in (value if isinstance(value, list) else [value])])


class Queue:
    """A dataset, and what its records should say."""

    def __init__(self, server):
        self.server = server
        self.owner = server.client()
        self.person = self.owner.person()
        self.dataset = self.owner.dataset()
        given = [prio(number) for number in range(LENGTH)]
        pushed = self.owner.push(
            self.dataset, *({"metadata": {} if each is None else {"late": each}} for each in given)
        )
        # A property of a later day has not refused what was pushed before it.
        self.owner.property(self.dataset, "late", "float")
        self.waiting = dict(zip(pushed, given, strict=True))

    def agrees(self, *filters):
        """Compare pages of three, which are read off the index, and one long one with the truth."""
        for direction in ("asc", "desc"):
            expected = self.expected(direction)
            by_age = order(entity="record", property="inserted_at")
            for more in ([], [by_age]):
                sort = [order(direction, entity="metadata", metadata_property="late"), *more]
                asked = (self.dataset, status("pending"), record("status", "pending"), *filters)
                pages = [
                    self.person.search(*asked, sort=sort, offset=start, limit=3)
                    for start in range(0, 9, 3)
                ]
                whole = self.person.search(*asked, sort=sort, limit=LENGTH)
                assert [each for page in pages for each in page.ids] == expected[:9]
                assert whole.ids == expected
                assert {page.total for page in (*pages, whole)} == {len(expected)}

    def expected(self, direction):
        valued = [each for each, value in self.waiting.items() if value is not None]
        if direction == "asc":
            valued.sort(key=lambda each: smallest(self.waiting[each]))
        else:
            valued.sort(key=lambda each: -largest(self.waiting[each]))
        return valued + [each for each, value in self.waiting.items() if value is None]


@pytest.fixture
def queue(own):
    return Queue(own)


def test_a_queue_in_the_order_of_a_number_follows_every_change(queue):
    queue.agrees()
    first, second, third, fourth, *_ = queue.expected("desc")
    queue.person.answer(first)
    queue.owner.person().answer(second)
    del queue.waiting[first], queue.waiting[second]
    queue.agrees()
    queue.owner.call("DELETE", f"datasets/{queue.dataset}/records", ids=third)
    del queue.waiting[third]
    queue.owner.call("PATCH", f"records/{fourth}", {"metadata": {"late": -7.0}})
    queue.waiting[fourth] = -7.0
    queue.agrees()
    queue.owner.call("DELETE", f"datasets/{queue.dataset}")
    assert sql(queue.server, "SELECT count(*) FROM errata_numbers") == [(0,)]


def test_a_number_that_another_program_wrote_counts_at_once(queue):
    last = queue.expected("desc")[-1]
    sql(
        queue.server,
        "UPDATE records SET metadata = ? WHERE id = ?",
        json.dumps({"late": 1e18}),
        key(queue.server, last),
    )
    queue.waiting[last] = 1e18
    queue.agrees()
    sql(
        queue.server,
        "UPDATE records SET metadata = NULL WHERE id = ?",
        key(queue.server, last),
    )
    queue.waiting[last] = None
    queue.agrees()


def test_a_filter_narrows_what_is_read_off_the_index(queue):
    queue.waiting = {
        each: value
        for each, value in queue.waiting.items()
        if value is not None and (smallest(value) <= 5 or largest(value) <= 5)
    }
    queue.agrees(between({"entity": "metadata", "metadata_property": "late"}, le=5))


def test_a_folder_from_before_the_numbers_were_kept_gets_them_at_bootstrap(queue):
    sql(queue.server, "DELETE FROM errata_numbers")
    assert queue.server.stop() == 0
    assert queue.server.bootstrap() == 0, queue.server.log("bootstrap")
    queue.server.start()
    assert sql(queue.server, "SELECT count(*) FROM errata_numbers") == [
        (sum(value is not None for value in queue.waiting.values()),)
    ]
    queue.agrees()


def test_metadata_that_reads_as_an_endless_number_can_be_pushed_and_sorted(own):
    owner = own.client()
    dataset = owner.dataset()
    odd = [{"agent": value} for value in ("1e999", "9" * 400, "1e-999", "-", "1.2.3", "")]
    records = owner.push(dataset, *({"metadata": each} for each in odd), {"metadata": {"prio": 1}})
    sort = [order("desc", entity="metadata", metadata_property="prio")]
    assert owner.search(dataset, record("status", "pending"), sort=sort).ids[0] == records[-1]
