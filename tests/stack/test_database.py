"""The embedded PostgreSQL that every other test stands on."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client


@pytest.mark.django_db
def test_the_embedded_server_is_postgresql_18_without_a_network_port() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        version = cursor.fetchone()
        cursor.execute("SHOW listen_addresses")
        addresses = cursor.fetchone()
    assert version is not None
    assert int(version[0]) >= 180000
    assert addresses == ("",)


@pytest.mark.django_db
def test_healthz_answers_without_a_login(client: Client) -> None:
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"database": "ok"}
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
