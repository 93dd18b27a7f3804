"""Reads, shared by pages and programs. Each takes the person who asks, and shows them no more."""
