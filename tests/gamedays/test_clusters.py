"""Clusters: what is refused before anything is stored, who asks guards, and how one ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from core import kube
from core.choices import Stage
from core.crypto import decrypt, encrypt
from core.errors import DomainError, NotAllowed, NotFound
from core.models import Cluster, SlotClaim, User
from core.operations.clusters import rotate_token
from gamedays.choices import GamedayState, InjectionState
from gamedays.execution import shell
from gamedays.operations.clusters import retire_cluster
from gamedays.operations.guards import ask_guards, uninstall_guards
from gamedays.operations.probes import create_standard_probes
from gamedays.operations.runs import abort_injection, start_gameday
from tests.people import Cast, book, make_cast, make_cluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.mark.parametrize(
    ("probes", "says"),
    [
        (["Shop"], "write TITLE=URL"),
        (["Shop=ftp://shop.example"], "write TITLE=URL"),
        (["Shop=http://a.example/", "shop=http://b.example/"], "another title"),
        (["API read=http://a.example/"], "one of Belay's own probes"),
        (["etcd qa 1=http://a.example/"], "one of Belay's own probes"),
        (["Shop=http://127.1/"], "names no host"),
        (["Shop=http://a.example/"], "no-such-kubeconfig cannot be read"),
    ],
)
def test_a_wrong_word_of_register_stores_nothing(
    cast: Cast, tmp_path: Path, probes: list[str], says: str
) -> None:
    words = [f"--probe={probe}" for probe in probes]
    kubeconfig = f"--kubeconfig={tmp_path / 'no-such-kubeconfig'}"
    with pytest.raises(CommandError, match=says):
        call_command("cluster", "register", "other", kubeconfig, "--team=Payments", *words)
    assert not Cluster.objects.filter(name="other").exists()


def test_only_who_may_run_faults_asks_the_guards(cast: Cast) -> None:
    assert ask_guards(actor=cast.erik, cluster=cast.cluster) == []
    with pytest.raises(NotAllowed):
        ask_guards(actor=cast.vera, cluster=cast.cluster)
    with pytest.raises(NotFound):
        ask_guards(actor=cast.otto, cluster=cast.cluster)


def test_an_owners_verbs_are_for_owners_who_are_still_here(cast: Cast) -> None:
    cast.olga.is_active = False
    cast.olga.save()
    for who in (cast.olga, cast.lea):
        with pytest.raises(NotAllowed, match="retire clusters"):
            retire_cluster(actor=who, cluster=cast.cluster, reason="It is gone.")
        with pytest.raises(NotAllowed, match="exchange a cluster's credential"):
            rotate_token(actor=who, cluster=cast.cluster, kubeconfig="")
        with pytest.raises(NotAllowed, match="set up a cluster's probes"):
            create_standard_probes(actor=who, cluster=cast.cluster, users=[])
        with pytest.raises(NotAllowed, match="install or remove guards"):
            uninstall_guards(actor=who, cluster=cast.cluster, owner_kubeconfig="", image="")


def test_production_credentials_have_a_key_of_their_own(cast: Cast, settings: Settings) -> None:
    production = make_cluster(cast.team, "checkout", Stage.PRODUCTION)
    with pytest.raises(DomainError, match="BELAY_PRODUCTION_CREDENTIALS_KEY is not set"):
        encrypt("a token", stage=Stage.PRODUCTION)
    settings.BELAY_PRODUCTION_CREDENTIALS_KEYS = [Fernet.generate_key().decode()]
    production.token_encrypted = encrypt("a token", stage=Stage.PRODUCTION)
    assert kube.credentials_of(production).token == "a token"
    with pytest.raises(DomainError, match="any key in BELAY_QA_CREDENTIALS_KEY"):
        decrypt(production.token_encrypted)


def test_retiring_answers_for_what_was_live_and_ends_its_conductor(cast: Cast) -> None:
    gameday = book(cast)
    injection = start_gameday(actor=cast.erik, gameday=gameday)
    assert shell.claim_first(injection.pk) == 1
    type(injection).objects.filter(pk=injection.pk).update(state=InjectionState.ACTIVE)
    retire_cluster(actor=cast.olga, cluster=cast.cluster, reason="the machine burnt")
    injection.refresh_from_db()
    gameday.refresh_from_db()
    assert injection.state == InjectionState.RESOLVED_BY_HAND
    assert "the machine burnt" in injection.reason
    assert injection.lease.fence == 2, "its conductor can change nothing any more"
    assert gameday.state == GamedayState.DONE
    assert not SlotClaim.objects.filter(cluster=cast.cluster, released_at=None).exists()


def test_an_abort_leaves_a_claimed_fault_to_its_conductor(cast: Cast) -> None:
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    assert shell.claim_first(injection.pk) == 1
    aborted = abort_injection(actor=cast.vera, injection=injection)
    assert aborted.state == InjectionState.PLANNED
    assert aborted.abort_requested_by == cast.vera
    assert SlotClaim.objects.filter(cluster=cast.cluster, released_at=None).exists()
    assert aborted.lease.fence == 1


def test_one_more_address_is_looked_at_from_the_shell(cast: Cast) -> None:
    call_command("cluster", "add-probe", "qa-range", "Cart=https://cart.example.org/healthz")
    probe = cast.cluster.probes.get(title="Cart")
    assert (probe.kind, probe.felt_by_users) == ("http", True)
    assert probe.parameters["url"] == "https://cart.example.org/healthz"
    with pytest.raises(CommandError, match="write TITLE=URL"):
        call_command("cluster", "add-probe", "qa-range", "Cart")


def test_an_owner_is_never_guessed_where_there_are_several(cast: Cast) -> None:
    User.objects.create_superuser("paul", password="rope and harness")
    words = ("add-probe", "qa-range", "Cart=https://cart.example.org/")
    with pytest.raises(CommandError, match="--as olga, paul"):
        call_command("cluster", *words)
    call_command("cluster", "--as", "paul", *words)
    with pytest.raises(CommandError, match="'lea' is no active platform owner"):
        call_command("cluster", "--as", "lea", *words)
