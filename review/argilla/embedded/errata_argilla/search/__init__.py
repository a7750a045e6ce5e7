"""Searches answered from Argilla's own tables.

In: Argilla's search-engine calls (filters, orders, pages). Out: record ids, totals, progress and
metrics, read by SQL from the tables the server has just committed to. There is no index, so there
is nothing to fill, to lag behind or to rebuild: every call that would feed an index does nothing.
Works on SQLite and on PostgreSQL.

* `engine`    the class Argilla calls
* `scopes`    what a filter or an order speaks about, with its type
* `elements`  JSON values as rows, in both databases
* `filters`, `orders`, `counts`  the SQL
* `query`, `words`, `matching`, `text`  what the search box finds
* `vectors`   what lies near a vector
"""
