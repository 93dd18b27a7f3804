"""Pictures of the inventory's pages, to be looked at by people. Not collected by default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from core import kube
from migrator.models import Dependency, Service
from migrator.operations import csv_import as csv_verbs
from migrator.operations.services import confirm_capacity, create_service
from tests.migrator.test_services import WHOLE
from tests.people import Cast, make_cast
from tests.stack.browser import take_screenshots
from tests.ui.test_in_browser import log_in

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
OUT = Path("build/screens/inventory")
ONLY = os.environ.get("SHOTS", "")


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


def fill(cast: Cast) -> None:
    """A team's inventory in mid-story, with a cycle and a long name."""
    made = {}
    for name, tier in (
        ("Shop", "1"), ("Prices", "2"), ("Vouchers", "3"), ("Ledger", "1"), ("Payouts", "1"),
        ("Card vault of the acquiring platform", "1"), ("Mail", "3"), ("Search", "2"),
        ("Customers", "2"), ("Reports", "3"),
    ):  # fmt: skip
        made[name] = create_service(
            actor=cast.erik,
            team=cast.team,
            cluster=cast.cluster if tier != "3" else None,
            given=WHOLE
            | {"name": name, "tier": tier, "workload": name.lower().split()[0], "tags": "web pci"}
            | ({"legacy_address": "", "route": ""} if tier == "3" else {}),
        )
    for a, b in (
        ("Shop", "Prices"), ("Shop", "Vouchers"), ("Vouchers", "Prices"), ("Shop", "Customers"),
        ("Payouts", "Ledger"), ("Ledger", "Card vault of the acquiring platform"),
        ("Card vault of the acquiring platform", "Payouts"), ("Shop", "Ledger"),
        ("Reports", "Ledger"), ("Reports", "Customers"), ("Customers", "Mail"),
    ):  # fmt: skip
        Dependency.objects.create(service=made[a], needs=made[b])
    confirm_capacity(actor=cast.lea, service=made["Shop"], version=1)


def test_pictures(
    page: Page, live_server: Any, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = live_server.url
    log_in(page, base, "erik")
    page.goto(f"{base}/services/")
    take_screenshots(page, "empty", OUT)
    fill(cast)
    good = csv_verbs.upload_csv(
        actor=cast.erik,
        file_name="services-of-payments.csv",
        content=b"name,team,tier,description\nShop,Payments,2,Takes orders and more.\n"
        b"Brand new,Payments,3,\nMail,Payments,3,Takes orders.\n",
    )
    bad = csv_verbs.upload_csv(
        actor=cast.erik,
        file_name="wrong.csv",
        content=b"name,team,tier,depends_on\nShop,Nowhere,9,Moon\n=1+1,Payments,2,\n,,,x\n",
    )
    for name, path in {
        "list": "/services/",
        "nothing": "/services/?text=nowhere",
        "service": "/services/shop/",
        "cycle": "/services/ledger/",
        "new": "/services/new/",
        "edit": "/services/shop/edit/",
        "import": "/services/import/",
        "preview": f"/services/import/{good.pk}/",
        "errors": f"/services/import/{bad.pk}/",
        "graph": "/services/graph/",
        "focus": "/services/graph/?focus=shop&steps=1",
        "discover": "/services/discover/",
        "away": "/services/discover/qa-range/",
        "link": "/services/discover/qa-range/link/?kind=Deployment&namespace=shop&name=prices",
    }.items():
        if ONLY and name not in ONLY.split(","):
            continue
        page.goto(f"{base}{path}")
        take_screenshots(page, name, OUT)
    bodies = {
        "deployments": b'{"items": [{"metadata": {"namespace": "shop", "name": "prices"}}, '
        b'{"metadata": {"namespace": "shop", "name": "returns"}, "status": {"readyReplicas": 1}}]}',
        "httpproxies": b'{"items": [{"metadata": {"namespace": "shop", "name": "returns"}, "spec": '
        b'{"virtualhost": {"fqdn": "returns.qa.local"}, '
        b'"routes": [{"services": [{"name": "returns"}]}]}}]}',
    }

    def answer(_who: object, _method: str, path: str, **_more: object) -> kube.Answer:
        plural = path.partition("?")[0].rpartition("/")[2]
        status = 403 if plural == "statefulsets" else 200
        return kube.Answer(status, bodies.get(plural, b'{"items": []}'), 1.0)

    monkeypatch.setattr(kube, "fresh_request", answer)
    page.goto(f"{base}/services/discover/qa-range/")
    take_screenshots(page, "discovered", OUT)
    Service.objects.bulk_create(
        Service(name=f"Service {n}", slug=f"s-{n}", team=cast.team, tier=n % 3 + 1)
        for n in range(180)
    )
    many = list(Service.objects.filter(slug__startswith="s-").order_by("pk"))
    Dependency.objects.bulk_create(
        Dependency(service=many[n], needs=many[m])
        for n in range(180)
        for m in {min(n * 2 + 1, 179), min(n * 3 + 2, 179)}
        if n != m
    )
    page.goto(f"{base}/services/graph/")
    take_screenshots(page, "large", OUT)
