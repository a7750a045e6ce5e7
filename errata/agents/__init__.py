"""Adapters for agent frameworks: one file each, on the SDK and its framework only."""
