"""Measure what people decided about the agents' work.

In: rows of ingestion and review. Out: data frames, figures with their definitions, the report.
"""
