"""Argilla as the surface on which people review.

In: rounds of queued proposals. Out: Argilla records, and the answers that people gave to them.
Our database is the record; everything here can be lost and pushed again.
"""
