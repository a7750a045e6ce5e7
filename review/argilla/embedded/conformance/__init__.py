"""Argilla's own tests, run against what we put over it.

In: the source distribution of argilla-server, fetched when asked for. Out: counts, and a failure
for every result that `expected.toml` does not explain.

* `run`       fetches, runs, compares
* `plugin`    puts our parts in place of Argilla's when its tests start
* `raw`       stands in for the Elasticsearch client that its tests use beside the engine
"""
