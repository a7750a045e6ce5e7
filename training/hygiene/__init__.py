"""What may be wrong with rows, and what is done about it.

In: records, one at a time, and the keys of all rows. Out: which rows a check found, and for each
check whether they are kept, dropped or a reason to refuse the export.
"""
