"""Reads, shared by pages and programs."""
