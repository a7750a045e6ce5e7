"""The built-in customer-support desk: agents that ask, tools that act, labelers that can be scripted.

In: an installation that runs. Out: proposals waiting in Argilla, or with scripted labelers the
whole loop to its end.
"""
