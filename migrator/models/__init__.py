"""One file per noun; import nouns from here."""

from migrator.models.service import Service

__all__ = ["Service"]
