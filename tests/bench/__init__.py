"""Measures what Belay promises, on a real range: `make bench`. Nothing here is a test."""
