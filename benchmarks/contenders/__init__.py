"""Servers of other makes, each in a process of its own, that answer the same queries."""
