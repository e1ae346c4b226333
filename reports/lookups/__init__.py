"""Rows whose networks were looked up in a table of trained networks: tables, verdicts and figures of their own.

Nothing was retrained for them, so they never stand in one table with retrained rows.
"""
