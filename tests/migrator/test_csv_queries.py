"""A CSV of many rows asks the database no more often than one of a few."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from migrator.models import Service
from tests.migrator.test_csv import exported, file_of, imported
from tests.people import Cast

pytestmark = pytest.mark.django_db


def _many(number: int) -> bytes:
    return file_of(
        *(
            {
                "name": f"Service {n}",
                "team": "Payments",
                "tier": "2",
                "tags": "web",
                "links": f"Board https://b.example/{n}",
                "depends_on": f"Service {n - 1}" if n else "",
            }
            for n in range(number)
        )
    )


def test_more_rows_are_no_more_queries(cast: Cast) -> None:
    def queries(content: bytes) -> list[int]:
        with CaptureQueriesContext(connection) as making:
            imported(cast.erik, content)
        with CaptureQueriesContext(connection) as changing:
            imported(cast.erik, content.replace(b",2,", b",1,").replace(b"web", b"pci"))
        with CaptureQueriesContext(connection) as exporting:
            exported(cast.erik)
        Service.objects.all().delete()
        return [len(making), len(changing), len(exporting)]

    assert queries(_many(5)) == queries(_many(300))
