"""Take in what agents propose and hold the record of what became of it.

In: proposals over HTTP and from files. Out: rows of proposals, routings, decisions, permits,
receipts and the event log, for the stages after it.
"""
