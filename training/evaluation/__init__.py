"""The tuned model against the one that it was made from, on work that neither was trained on.

In: the test split of a bundle and two model folders. Out: figures with their intervals.
"""
