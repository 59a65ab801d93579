"""Ways in, and attacks on them."""
