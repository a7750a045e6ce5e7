"""Argilla 2.8 on one machine, with its own UI and without Elasticsearch.

In: ARGILLA_* and ERRATA_ARGILLA_* environment variables, and a command. Out: four long-lived
programs (`serve`, `worker`, `redis`) and one that ends (`bootstrap`). Argilla's package is used as
published; what we change is put over it at start, one module per change:

* `search`     answers searches from Argilla's own SQL tables,
* `webhooks`   sends events at once, from a table that survives a crash,
* `hardening`  closes what an agent's output or a curious colleague could use,
* `looks`      notes when a person first saw and first touched a record,
* `discretion` keeps data out of error messages,
* `shortcuts`  leaves out work that nobody reads the result of.
"""
