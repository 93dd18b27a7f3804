"""A person answers for a fault that could not be proved undone: signed, fenced, and never twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from django.db import DatabaseError, connection, transaction

from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import Cluster, SlotClaim
from gamedays.choices import (
    ALLOWED,
    BY_HAND_WHERE_GONE,
    BY_HAND_WHERE_STUCK,
    FINAL,
    GamedayState,
    InjectionState,
    Outcome,
    Verdict,
    VerificationTask,
)
from gamedays.execution import shell
from gamedays.models import Finding, Gameday, Guard, Injection, Lease, Verification
from gamedays.operations.by_hand import ask_about, resolve_by_hand
from gamedays.operations.findings import request_verification
from gamedays.operations.guards import pin_guard
from gamedays.operations.runs import abort_injection, start_gameday
from gamedays.pki import make_authority
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import NODES, Cast, book, make_cast

_S = InjectionState
SEEN = "sha256sum on qa-2: as before; etcd runs since 12:03"


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


def stuck(story: Story) -> Injection:
    story.to(_S.ACTIVE)
    story.fake.guards.machines["qa-2"].reachable = False
    return story.to(_S.UNDO_STUCK)


def test_a_lead_signs_and_the_cluster_is_free_again(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    injection = stuck(story)
    done = resolve_by_hand(actor=cast.lea, injection=injection, reason="qa-2 burnt", seen=SEEN)
    assert (done.state, done.verdict) == (_S.RESOLVED_BY_HAND, Verdict.INCONCLUSIVE)
    assert done.reason == "Resolved by hand by lea: qa-2 burnt"
    assert done.ended_at is not None
    entry = done.timeline.last()
    assert entry is not None
    assert (entry.actor, entry.data["seen"]) == (cast.lea, SEEN)
    assert not SlotClaim.objects.filter(released_at=None).exists()
    assert Gameday.objects.get().state == GamedayState.DONE
    # Whoever was still trying finds a newer fence, and changes nothing.
    asked = len(fake.guards.asked)
    assert story.conductor.advance() is None
    assert len(fake.guards.asked) == asked
    done.refresh_from_db()
    assert done.state == _S.RESOLVED_BY_HAND
    assert not Finding.objects.exists()
    assert start_gameday(actor=cast.erik, gameday=book(cast)).state == _S.PLANNED


def test_it_is_for_leads_and_needs_both_texts(cast: Cast, fake: FakeWorld) -> None:
    injection = stuck(begin(cast, fake))
    for person in (cast.erik, cast.vera):
        with pytest.raises(NotAllowed):
            resolve_by_hand(actor=person, injection=injection, reason="r", seen="s")
    with pytest.raises(NotFound):
        resolve_by_hand(actor=cast.otto, injection=injection, reason="r", seen="s")
    with pytest.raises(Invalid) as refusal:
        resolve_by_hand(actor=cast.lea, injection=injection, reason=" ", seen="x" * 4001)
    assert set(refusal.value.errors) == {"reason", "seen"}
    injection.refresh_from_db()
    assert injection.state == _S.UNDO_STUCK


@pytest.mark.parametrize("at", [_S.ACTIVE, _S.OBSERVING])
def test_nobody_signs_for_what_is_not_stuck(
    cast: Cast, fake: FakeWorld, at: InjectionState
) -> None:
    story = begin(cast, fake)
    injection = story.to(at)
    with pytest.raises(Conflict) as refusal:
        resolve_by_hand(actor=cast.lea, injection=injection, reason="r", seen="s")
    assert refusal.value.code == "not_stuck"
    assert injection.lease.fence == 1, "the refusal took nothing from the conductor"
    assert story.to_the_end().state == _S.CLEAN


def test_a_second_signature_finds_the_first(cast: Cast, fake: FakeWorld) -> None:
    injection = stuck(begin(cast, fake))
    resolve_by_hand(actor=cast.lea, injection=injection, reason="first", seen="s")
    with pytest.raises(Conflict):
        resolve_by_hand(actor=cast.olga, injection=injection, reason="second", seen="s")
    injection.refresh_from_db()
    assert "first" in injection.reason


def test_a_re_verification_that_ends_so_proves_nothing(cast: Cast) -> None:
    first = make_fake(cast.cluster)
    first.watch.failing = {"api-read": 1}
    finding = Finding.objects.get(injection=begin(cast, first).to_the_end())
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    injection = stuck(Story(asked.injection, make_fake(cast.cluster)))
    resolve_by_hand(actor=cast.lea, injection=injection, reason="qa-2 burnt", seen=SEEN)
    verification = Verification.objects.get(pk=asked.pk)
    assert verification.task == VerificationTask.EVALUATED
    assert verification.outcome == Outcome.INCONCLUSIVE
    assert "qa-2 burnt" in verification.explanation


def test_the_guards_silence_is_told_and_hides_nobody_else(cast: Cast, fake: FakeWorld) -> None:
    injection = stuck(begin(cast, fake))
    assert ask_about(actor=cast.vera, injection=injection) == {}, "no guard is installed yet"
    pin = make_authority("some cluster").certificate_pem
    for node in cast.cluster.nodes.all():
        pin_guard(actor=cast.olga, node=node, certificate_pem=pin, image="guard:1")
    Guard.objects.filter(node__name="qa-2").update(undo_key_encrypted="not a key of ours")
    said = ask_about(actor=cast.vera, injection=injection)
    assert [said[node].value for node in NODES] == [None, None, None]
    assert "its stored key cannot be used" in said["qa-2"].error
    assert all("the connection was refused" in said[node].error for node in ("qa-1", "qa-3")), said
    with pytest.raises(NotFound):
        ask_about(actor=cast.otto, injection=injection)


def test_by_hand_is_a_move_of_people_only() -> None:
    assert frozenset({_S.UNDO_STUCK}) == BY_HAND_WHERE_STUCK
    assert frozenset(ALLOWED) - FINAL - {_S.PLANNED, _S.PREFLIGHT} == BY_HAND_WHERE_GONE


@pytest.fixture
def committed(transactional_db: None) -> Iterator[Cast]:
    """People and a cluster that other connections see."""
    yield make_cast()
    connection.close()


@dataclass
class Beside:
    """One verb on a connection of its own, beside the test's transaction."""

    thread: threading.Thread
    errors: list[Exception]

    def join(self) -> list[Exception]:
        self.thread.join(20)
        assert not self.thread.is_alive(), "it still waits"
        return self.errors


def beside(verb: Callable[[], object]) -> Beside:
    """Begin `verb`, and return when it waits for a lock that we hold."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            verb()
        except (DatabaseError, Conflict) as error:
            errors.append(error)
        finally:
            connection.close()

    begun = Beside(threading.Thread(target=run), errors)
    begun.thread.start()
    with connection.cursor() as cursor:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return begun
            time.sleep(0.02)
    raise AssertionError("nobody waits for a lock")


@pytest.mark.django_db(transaction=True)
def test_who_begins_locks_the_cluster_first_as_who_retires_it_does(committed: Cast) -> None:
    cast = committed
    gameday = book(cast)
    with transaction.atomic():
        Cluster.objects.select_for_update().get()
        starting = beside(lambda: start_gameday(actor=cast.lea, gameday=gameday))
        # In the other order each would now have what the other waits for.
        assert Gameday.objects.update(state=GamedayState.CANCELLED) == 1
    [error] = starting.join()
    assert isinstance(error, Conflict)
    assert error.code == "gameday_over"


@pytest.mark.django_db(transaction=True)
def test_who_aborts_locks_the_lease_first_as_who_retires_its_cluster_does(
    committed: Cast,
) -> None:
    cast = committed
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    with transaction.atomic():
        Lease.objects.select_for_update().get()
        aborting = beside(lambda: abort_injection(actor=cast.vera, injection=injection))
        assert Injection.objects.select_for_update().get().state == _S.PLANNED
    assert aborting.join() == []
    injection.refresh_from_db()
    assert injection.state == _S.REFUSED


@pytest.mark.django_db(transaction=True)
def test_an_abort_waits_for_no_conductors_lease(committed: Cast) -> None:
    cast = committed
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    assert shell.claim_first(injection.pk) == 1
    done = threading.Event()

    def abort() -> None:
        abort_injection(actor=cast.vera, injection=injection)
        done.set()
        connection.close()

    with transaction.atomic():
        Lease.objects.select_for_update().get()
        thread = threading.Thread(target=abort)
        thread.start()
        assert done.wait(20), "a conductor that stands still in its transaction kept an abort away"
    thread.join(20)
