"""Webhooks that are quick and survive.

In: every event Argilla announces. Out: signed requests to the webhooks that listen for it.
Argilla hands events to Redis after it has committed; here they go into a table of its database,
those of answers in the transaction of the answer, and the server process sends them itself, at
once. A receiver gets each event at least once, under one `webhook-id` however often it is tried.

* `listeners`     knows who wants which event
* `notes`         writes an answer's event down before it is announced
* `interception`  takes events where Argilla announces them
* `outbox`        the table
* `dispatcher`    sends what lies in it
"""
