"""Break-glass: one file, a real guard, no database: everything is undone."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from core.choices import Stage
from core.crypto import encrypt
from core.errors import ClusterRefused, Conflict, DomainError, Invalid, NotAllowed
from core.models import Cluster, Node
from gamedays.drivers import panic
from gamedays.drivers.bundle_file import Bundle, GuardEntry, read_bundle, sha256_of, write_bundle
from gamedays.drivers.guard_client import GuardClient, GuardRefused
from gamedays.models import BreakGlassBundle, ClusterAuthority, Guard
from gamedays.operations.bundle import drill_bundle, make_bundle
from gamedays.operations.emergency import set_emergency_stop
from gamedays.operations.runs import start_gameday
from gamedays.pki import issue_client
from guard.protocol import Code, Phase, Role, role_uri
from tests.guard.running import CLUSTER_UID, ROOT, GuardSite, await_true, guard_site, hold
from tests.people import API, Cast, book, make_cast, make_cluster

pytestmark = pytest.mark.long

ORDER = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GuardSite]:
    with guard_site(tmp_path / "node") as made:
        yield made


def entry(site: GuardSite) -> GuardEntry:
    undo = issue_client(site.authority, uri=role_uri(CLUSTER_UID, "qa-1", Role.UNDO))
    return GuardEntry(
        node="qa-1",
        address="127.0.0.1",
        port=site.policy.port,
        pin_pem=site.paths.certificate.read_text(encoding="ascii"),
        undo_certificate_pem=undo.certificate_pem,
        undo_key_pem=undo.key_pem,
    )


def bundle_of(*guards: GuardEntry) -> Bundle:
    return Bundle(
        cluster="qa-range",
        cluster_uid=CLUSTER_UID,
        made_at="2026-11-23T12:00:00Z",
        made_by="olga",
        guards=list(guards),
    )


def belay(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command as it is found after everything else is lost: no variable, another directory."""
    return subprocess.run(
        [str(ROOT / "belay"), *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_panic_undoes_a_live_fault_with_nothing_but_the_file(
    site: GuardSite, tmp_path: Path
) -> None:
    order = site.inject(site.client())
    assert not site.whole()
    # What somebody left in the directory they stand in is not imported.
    (tmp_path / "guard.py").write_text("raise SystemExit('not ours')")
    file = tmp_path / "bundle.json"
    write_bundle(file, bundle_of(entry(site)))
    done = belay("panic", str(file), cwd=tmp_path)
    assert done.returncode == panic.OK, done.stderr
    assert f"qa-1: hold of etcd (order {order}) is undone." in done.stdout
    await_true("the node is whole again", site.whole)
    assert site.journalled() == (Phase.UNDONE, "requested")
    again = belay("panic", "bundle.json", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (panic.OK, "")
    assert "qa-1: nothing is live." in again.stdout


def test_a_link_in_path_finds_its_belay(site: GuardSite, tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    write_bundle(file, bundle_of(entry(site)))
    link = tmp_path / "somewhere-in-path"
    link.symlink_to(ROOT / "belay")
    done = subprocess.run(
        [str(link), "panic", str(file), "--look"], cwd="/", check=False, timeout=60
    )
    assert done.returncode == panic.OK


def test_looking_undoes_nothing(site: GuardSite, tmp_path: Path) -> None:
    site.inject(site.client())
    [outcome] = panic.undo_everything(bundle_of(entry(site)), look_only=True)
    assert not outcome.clean
    assert "hold of etcd" in outcome.sentence
    assert site.journalled()[0] is Phase.INJECTED


def test_a_silent_guard_keeps_nothing_from_the_others(
    site: GuardSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.inject(site.client())
    values = entry(site)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        other = {**values.__dict__, "node": "qa-2", "port": silent.getsockname()[1]}
        broken = {**values.__dict__, "node": "qa-3", "undo_key_pem": "no key"}
        file = tmp_path / "bundle.json"
        write_bundle(file, bundle_of(GuardEntry(**other), GuardEntry(**broken), values))
        began = time.monotonic()
        code = panic.main([str(file), "--wait", "1"])
        assert time.monotonic() - began < 20
    said = capsys.readouterr().out
    assert code == panic.LEFT
    assert "is undone." in said
    assert "qa-2: the guard on qa-2 gave no answer" in said
    assert "qa-3: the bundle's key for it cannot be used" in said
    assert "NOT CLEAN: qa-2, qa-3." in said
    assert "guard undo-all" in said
    await_true("the node is whole again", site.whole)


@pytest.mark.long
def test_it_asks_until_the_guard_is_done(tmp_path: Path) -> None:
    """The undo takes as long as the kubelet takes, and a guard that is away comes back."""
    with guard_site(tmp_path / "node", stall_s=6) as site:
        site.inject(site.client())
        # Its parent ends a worker that stands still, and starts another one.
        os.kill(site.worker(), signal.SIGSTOP)
        [outcome] = panic.undo_everything(bundle_of(entry(site)), wait_s=60)
        assert outcome.clean, outcome.sentence
        await_true("the node is whole again", site.whole)


def test_the_bundles_credential_arms_nothing(site: GuardSite) -> None:
    values = entry(site)
    client = GuardClient(
        node="qa-1",
        address=values.address,
        port=values.port,
        pin_pem=values.pin_pem,
        certificate_pem=values.undo_certificate_pem,
        key_pem=values.undo_key_pem,
    )
    client.hello()
    with pytest.raises(GuardRefused) as refusal:
        client.arm(ORDER, hold(), 1)
    assert refusal.value.code is Code.FORBIDDEN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("{", "is no bundle"),
        ("[]", "is no bundle of format 1"),
        ('{"belay_bundle": 2}', "is no bundle of format 1"),
        ('{"belay_bundle": 1}', "is not whole"),
        ('{"belay_bundle": 1, "guards": [{"node": "qa-1"}]}', "is not whole"),
    ],
)
def test_a_file_that_is_no_bundle_is_told(
    tmp_path: Path, text: str | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bundle.json"
    if text is not None:
        file.write_text(text)
    assert panic.main([str(file)]) == panic.UNUSABLE
    assert says in capsys.readouterr().err


def test_a_bundle_without_guards_is_not_called_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bundle.json"
    write_bundle(file, bundle_of())
    assert panic.main([str(file)]) == panic.UNUSABLE


# -- making one, and drilling it -------------------------------------------------------------------


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def guarded(cast: Cast, site: GuardSite) -> Cluster:
    """The cast's cluster, on whose one node the real guard runs."""
    Node.objects.filter(cluster=cast.cluster).delete()
    Cluster.objects.filter(pk=cast.cluster.pk).delete()
    cast.cluster = cluster = Cluster.objects.create(
        name="qa-one",
        slug="qa-one",
        stage=Stage.QA,
        uid=CLUSTER_UID,
        team=cast.team,
        server="https://127.0.0.1:1",
        ca_pem="",
        token_encrypted=encrypt("no token"),
    )
    node = Node.objects.create(cluster=cluster, name="qa-1", address="127.0.0.1")
    full = issue_client(site.authority, uri=role_uri(CLUSTER_UID, "qa-1", Role.FULL))
    values = entry(site)
    ClusterAuthority.objects.create(
        cluster=cluster,
        ca_certificate_pem=site.authority.certificate_pem,
        ca_key_encrypted=encrypt(site.authority.key_pem),
        installation="belay-test",
    )
    Guard.objects.create(
        node=node,
        address="127.0.0.1",
        port=site.policy.port,
        certificate_pem=values.pin_pem,
        client_certificate_pem=full.certificate_pem,
        client_key_encrypted=encrypt(full.key_pem),
        undo_certificate_pem=values.undo_certificate_pem,
        undo_key_encrypted=encrypt(values.undo_key_pem),
        image="belay-guard:1",
        installed_at="2026-11-23T12:00:00Z",
    )
    return cluster


def test_made_private_drilled_for_real_and_noted(
    cast: Cast, guarded: Cluster, tmp_path: Path, site: GuardSite
) -> None:
    file = tmp_path / "bundle.json"
    old = os.umask(0)
    try:
        made = make_bundle(actor=cast.olga, cluster=guarded, path=file)
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    guard = Guard.objects.get()
    assert guard.client_certificate_pem not in file.read_text()
    [kept] = read_bundle(file).guards
    assert kept.undo_certificate_pem == guard.undo_certificate_pem
    assert "PRIVATE" not in json.dumps(made.guards)
    assert made.drilled_at is None
    drilled = drill_bundle(actor=cast.olga, cluster=guarded, path=file)
    assert drilled.pk == made.pk
    assert drilled.drill_passed, drilled.drill_said
    assert "qa-1: drill (order " in drilled.drill_said
    assert site.whole()
    assert site.journalled() == (Phase.UNDONE, "requested")


def test_a_drill_with_a_wrong_key_does_not_pass(
    cast: Cast, guarded: Cluster, tmp_path: Path, site: GuardSite
) -> None:
    file = tmp_path / "bundle.json"
    make_bundle(actor=cast.olga, cluster=guarded, path=file)
    other = issue_client(site.authority, uri=role_uri(CLUSTER_UID, "qa-2", Role.UNDO))
    data = json.loads(file.read_text())
    data["guards"][0] |= {
        "undo_certificate_pem": other.certificate_pem,
        "undo_key_pem": other.key_pem,
    }
    file.write_text(json.dumps(data))
    with pytest.raises(Invalid, match="no bundle that this Belay made"):
        drill_bundle(actor=cast.olga, cluster=guarded, path=file)
    row = BreakGlassBundle.objects.get()
    row.sha256 = sha256_of(file.read_text())
    row.save()
    drilled = drill_bundle(actor=cast.olga, cluster=guarded, path=file)
    assert drilled.drill_passed is False
    assert "NOT CLEAN: qa-1" in drilled.drill_said
    await_true("the drill is over all the same", lambda: site.journalled()[0] is Phase.UNDONE)


def test_what_is_refused(cast: Cast, guarded: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    with pytest.raises(NotAllowed):
        make_bundle(actor=cast.lea, cluster=guarded, path=file)
    production = make_cluster(cast.team, "checkout", Stage.PRODUCTION)
    with pytest.raises(ClusterRefused, match="no guards"):
        make_bundle(actor=cast.olga, cluster=production, path=file)
    with pytest.raises(ClusterRefused) as refusal:
        make_bundle(actor=cast.olga, cluster=make_cluster(cast.team, "qa-two"), path=file)
    assert refusal.value.code == "no_guards"
    with pytest.raises(DomainError, match="cannot be written"):
        make_bundle(actor=cast.olga, cluster=guarded, path=tmp_path / "no" / "such" / "folder")
    assert not file.exists()
    make_bundle(actor=cast.olga, cluster=guarded, path=file)
    start_gameday(actor=cast.erik, gameday=book(cast, scenario=API))
    with pytest.raises(Conflict, match="A fault is live"):
        drill_bundle(actor=cast.olga, cluster=guarded, path=file)
    set_emergency_stop(actor=cast.lea)
    with pytest.raises(Conflict, match="emergency stop"):
        drill_bundle(actor=cast.olga, cluster=guarded, path=file)


def test_the_commands(
    cast: Cast, guarded: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bundle.json"
    call_command("cluster", "bundle", "qa-one", str(file))
    assert "the undo on every guard (1)" in capsys.readouterr().out
    call_command("cluster", "drill", "qa-one", str(file))
    assert "The drill passed" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Known are: qa-one"):
        call_command("cluster", "bundle", "qa-none", str(file))
