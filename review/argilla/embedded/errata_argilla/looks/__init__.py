"""When a person first saw a record and first touched its form.

In: what the review page reports as it happens. Out: one row for each record and person, which the
owner can read. Argilla knows when an answer was saved, not when the work on it began.

* `looks.js`  watches the page and reports
* `api`       takes reports and shows them
* `table`     keeps the earliest
"""
