"""Searches answered from Argilla's own database.

In: Argilla's search-engine calls (filters, orders, pages). Out: record ids, totals, progress and
metrics, read by SQL from the tables the server has just committed to. Words are kept beside each
record, in its transaction; every call that would feed an index does nothing. Works on SQLite and
on PostgreSQL.

* `engine`    the class Argilla calls
* `scopes`    what a filter or an order speaks about, with its type
* `elements`  JSON values as rows, in both databases
* `filters`, `orders`, `pages`, `counts`  the SQL
* `query`, `words`, `lookup`, `matching`, `text`  what the search box finds
* `wordbook`  keeps the words; `sqlite.sql` and `postgresql.sql` are its tables
* `vectors`   what lies near a vector
"""
