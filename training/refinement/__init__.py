"""From what people keep correcting to what the agent should have been told.

In: episodes. Out: proposed additions to prompts and tool descriptions, each with its evidence; a
person decides which of them to take.
"""
