"""Ask people and turn what they say into decisions.

In: proposals that the policy queued. Out: reviews, and decisions recorded upstream.
"""
