"""Searches answered from Argilla's own database.

In: Argilla's search-engine calls (filters, orders, pages). Out: record ids, totals, progress and
metrics, read by SQL from the tables the server has just committed to. Words and numbers are kept
beside each record, in its transaction; every call that would feed an index does nothing. Works on
SQLite and on PostgreSQL.

* `engine`    the class Argilla calls
* `scopes`    what a filter or an order speaks about, with its type
* `elements`  JSON values as rows, in both databases
* `filters`, `orders`, `pages`, `counts`  the SQL
* `numbers`   the head of a queue in the order of a number, without sorting
* `query`, `words`, `lookup`, `matching`, `text`  what the search box finds
* `wordbook`  keeps the words
* `sqlite.sql`, `postgresql.sql`  the tables and triggers of both
* `vectors`   what lies near a vector
"""
