"""The break-glass bundle on its cluster's page: how old it is, and whether it still works."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from gamedays.models import BreakGlassBundle, Guard
from gamedays.selectors.clusters import guards_now
from tests.people import Cast
from tests.ui.conftest import As

PAGE = "/clusters/qa-range/"


def guard_on(cast: Cast, node: str) -> Guard:
    return Guard.objects.create(
        node=cast.cluster.nodes.get(name=node),
        address="127.0.0.1",
        port=9707,
        certificate_pem=f"pin of {node}",
        installed_at=timezone.now(),
    )


def test_age_and_last_drill_stand_on_the_page(cast: Cast, client_of: As) -> None:
    vera, olga = client_of("vera"), client_of("olga")
    assert 'data-testid="bundle"' not in vera.get(PAGE).content.decode(), "nothing to undo with"
    guard_on(cast, "qa-1")
    assert "only a shell on each node" in vera.get(PAGE).content.decode()
    bundle = BreakGlassBundle.objects.create(
        cluster=cast.cluster, made_by=cast.olga, guards=guards_now(list(Guard.objects.all()))
    )
    text = vera.get(PAGE).content.decode()
    assert "It was never drilled" in text
    assert "belay cluster --as" not in text
    assert "belay cluster --as olga bundle qa-range" in olga.get(PAGE).content.decode()
    now = timezone.now()
    BreakGlassBundle.objects.update(drilled_at=now, drilled_by=cast.olga, drill_passed=True)
    text = vera.get(PAGE).content.decode()
    assert "by olga, passed" in text
    assert "make a new one" not in text
    BreakGlassBundle.objects.update(drill_passed=False)
    assert "did not pass" in vera.get(PAGE).content.decode()
    BreakGlassBundle.objects.update(drill_passed=True, drilled_at=now - dt.timedelta(days=91))
    assert "more than 90 days ago" in vera.get(PAGE).content.decode()
    guard_on(cast, "qa-2")
    Guard.objects.filter(node__name="qa-1").update(certificate_pem="made anew")
    text = vera.get(PAGE).content.decode()
    assert "It does not know the guard on qa-2" in text
    assert "The guard on qa-1 is not the one in the bundle" in text
    assert bundle.made_at is not None
