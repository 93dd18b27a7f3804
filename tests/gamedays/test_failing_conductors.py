"""A row that nobody can conduct: tried again for ever, but not in silence."""

from __future__ import annotations

import pytest
from django.utils import timezone

from gamedays.choices import Alarm, InjectionState
from gamedays.execution import shell
from gamedays.execution.way_back import WayBack
from gamedays.models import Guard, Lease
from gamedays.operations.runs import start_gameday
from tests.people import Cast, book, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def test_a_row_that_always_fails_alarms_and_is_not_taken_over_in_a_rush(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_conductor: WayBack) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(WayBack, "advance", fails)
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    injection.state = InjectionState.ACTIVE
    injection.save(update_fields=["state"])
    lease = Lease.objects.get(injection=injection)
    given_up = []
    for fence in range(1, 14):
        Lease.objects.filter(pk=lease.pk).update(fence=fence, given_up=False)
        with pytest.raises(ZeroDivisionError):
            shell.conduct(injection.pk, fence, shell.Stopping(), undo_only=True)
        lease.refresh_from_db()
        given_up.append(lease.given_up)
    assert given_up == [True, True] + [False] * 11, "after that, a lease's time between two tries"
    alarms = injection.timeline.filter(data__alarm=Alarm.CONDUCTING)
    assert [entry.data["tries"] for entry in alarms] == [3, 6, 12]
    assert "ZeroDivisionError" in alarms[0].text
    injection.refresh_from_db()
    assert injection.state == InjectionState.ACTIVE, "only proof or a person ends it"


def test_a_guard_that_cannot_be_opened_in_mid_fault_alarms_too(cast: Cast) -> None:
    node = cast.cluster.nodes.get(name="qa-1")
    Guard.objects.create(
        node=node,
        address=node.address,
        port=1,
        certificate_pem="no certificate",
        client_key_encrypted="no key",
        installed_at=timezone.now(),
    )
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    injection.state = InjectionState.ACTIVE
    injection.save(update_fields=["state"])
    Lease.objects.filter(injection=injection).update(fence=3)
    with pytest.raises(Exception, match="stored credential cannot be read"):
        shell.conduct(injection.pk, 3, shell.Stopping(), undo_only=True)
    assert injection.timeline.filter(data__alarm=Alarm.CONDUCTING).exists()
