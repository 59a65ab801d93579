"""The ways in: who asks, by which credential, and for how long that holds. Begin at ways.py."""
