"""Errata: human feedback for AI agents."""
