"""Adapters: one for each agent framework, on the SDK and that framework only.

In: tool calls as frameworks tell of them. Out: proposals, and tool bodies that run under permits.
"""
