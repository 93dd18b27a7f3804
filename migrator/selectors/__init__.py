"""Reads, one file per noun, shared by pages and API."""
