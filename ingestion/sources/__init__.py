"""Read files: one module per file format, and the lines they share.

In: JSON Lines files. Out: values of the protocol; per bad line its number, field and reason.
"""
