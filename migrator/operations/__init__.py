"""Verbs: one transaction each, keyword-only, with an actor."""
