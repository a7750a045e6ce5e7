"""Proposals in and decisions out over a message broker, RabbitMQ or Kafka.

In: messages, each with one proposal. Out: the same proposals over HTTP, once each; a message for
each decision; what can never be taken in, parked with the reason. A process of its own that keeps
nothing but a cursor: authority, policy and idempotency stay with the API.

`bridge` is what happens with a message, whatever the broker; `rabbit` and `kafka` carry them.
"""
