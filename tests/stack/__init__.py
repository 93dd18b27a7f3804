"""The embedded stack, its configuration and its supervisor."""
