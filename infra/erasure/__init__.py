"""Erasure: approved erasures are carried out, written down apart from the database, and every process forgets."""
