"""What is remembered: the tables, and every query on them, on SQLite and PostgreSQL alike.

May import ``states``; knows neither HTTP nor Prefect. Plain synchronous sessions and short transactions; none is ever
open while Alloy is called. Invariant: a stage changes only by :mod:`store.work`, by compare-and-set.
"""
