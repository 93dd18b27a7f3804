"""One file per noun; import nouns from here."""

from migrator.models.csv_import import CsvImport
from migrator.models.dependency import Dependency
from migrator.models.service import Service, ServiceLink
from migrator.models.service_change import ServiceChange

__all__ = ["CsvImport", "Dependency", "Service", "ServiceChange", "ServiceLink"]
