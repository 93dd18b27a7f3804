"""Probes as rows: who may make and change them, when, and what the database keeps."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from core.choices import SlotKind
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.operations.slots import release_slot, take_slot
from gamedays.choices import MustHold, ProbeKind
from gamedays.models import MetricsSource, Probe
from gamedays.operations import probe_editing, probe_trials
from gamedays.operations.metrics import remove_metrics_source, set_metrics_source
from gamedays.operations.probe_drafts import ProbeDraft, clean_draft
from gamedays.operations.probe_editing import create_probe, edit_probe, set_probe_enabled
from gamedays.probes.metrics import NoMetricsError, ask
from gamedays.probes.sources import metrics_of, spec_of
from tests.people import Cast, make_cast
from tests.ui import factories

PROMETHEUS = "http://prometheus.example:9090"


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def draft(**changes: Any) -> ProbeDraft:
    values: dict[str, Any] = {
        "kind": ProbeKind.TCP,
        "title": "The shop's database",
        "parameters": {"host": "10.0.0.5", "port": "5432"},
        "abort_after_s": "15",
        "felt_by_users": True,
    }
    return ProbeDraft(**(values | changes))


def test_a_probe_is_made_and_looks_in_the_next_run(cast: Cast) -> None:
    probe = create_probe(actor=cast.erik, cluster=cast.cluster, draft=draft())
    probe.refresh_from_db()
    assert (probe.key, probe.parameters) == (
        "the-shops-database",
        {"host": "10.0.0.5", "port": 5432},
    )
    assert (probe.timeout_s, probe.attempts, probe.must_hold) == (4.0, 1, MustHold.THROUGHOUT)
    spec = spec_of(probe)
    assert (spec.abort_after_s, spec.felt_by_users) == (15, True)
    again = create_probe(actor=cast.lea, cluster=cast.cluster, draft=draft())
    assert again.key == "the-shops-database-2"
    assert again.position == probe.position + 1


@pytest.mark.parametrize(("who", "refused"), [("vera", NotAllowed), ("otto", NotFound)])
def test_who_may_not(who: str, refused: type[Exception], cast: Cast) -> None:
    actor, probe = getattr(cast, who), cast.cluster.probes.get(key="shop")
    verbs: tuple[Callable[[], object], ...] = (
        lambda: create_probe(actor=actor, cluster=cast.cluster, draft=draft()),
        lambda: edit_probe(actor=actor, probe=probe, version=1, draft=draft(kind="http")),
        lambda: set_probe_enabled(actor=actor, probe=probe, enabled=False),
        lambda: probe_trials.try_draft(actor=actor, cluster=cast.cluster, draft=draft()),
        lambda: probe_trials.try_probe(actor=actor, probe=probe),
        lambda: set_metrics_source(actor=actor, cluster=cast.cluster, url=PROMETHEUS),
        lambda: remove_metrics_source(actor=actor, cluster=cast.cluster),
    )
    for verb in verbs:
        with pytest.raises(refused):
            verb()
    assert not MetricsSource.objects.exists()


def test_only_a_lead_names_where_metrics_and_a_token_go(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        set_metrics_source(actor=cast.erik, cluster=cast.cluster, url=PROMETHEUS)


def test_every_wrong_value_of_a_draft_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        clean_draft(
            ProbeDraft(
                kind=ProbeKind.ALERT_EXPECTED,
                title=" ",
                parameters={"alert": "", "within_s": "2"},
                timeout_s="9",
                attempts="0",
                must_hold="sometimes",
                abort_after_s="1",
                felt_by_users=True,
            )
        )
    assert set(refused.value.errors) == {
        "title",
        "timeout_s",
        "attempts",
        "must_hold",
        "abort_after_s",
        "felt_by_users",
        "parameters.alert",
        "parameters.within_s",
    }


def test_no_kind_is_made_that_comes_with_the_cluster(cast: Cast) -> None:
    for kind in (ProbeKind.ETCD_HEALTH, ProbeKind.CANARY_WRITE, "no-such-kind"):
        with pytest.raises(Invalid):
            create_probe(
                actor=cast.lea, cluster=cast.cluster, draft=draft(kind=kind, parameters={})
            )


def test_nobody_overwrites_what_they_have_not_seen(cast: Cast) -> None:
    probe = create_probe(actor=cast.lea, cluster=cast.cluster, draft=draft())
    edit_probe(actor=cast.lea, probe=probe, version=1, draft=draft(title="Database"))
    with pytest.raises(Conflict) as late:
        edit_probe(actor=cast.erik, probe=probe, version=1, draft=draft(title="DB"))
    assert late.value.code == "edited_meanwhile"
    probe.refresh_from_db()
    assert (probe.title, probe.key, probe.version) == ("Database", "the-shops-database", 2)


def test_what_a_run_is_judged_by_does_not_change_in_it(cast: Cast) -> None:
    probe = create_probe(actor=cast.lea, cluster=cast.cluster, draft=draft())
    run = uuid.uuid4()
    take_slot(cluster=cast.cluster, kind=SlotKind.INJECTION, holder=run)
    verbs: tuple[Callable[[], object], ...] = (
        lambda: create_probe(actor=cast.lea, cluster=cast.cluster, draft=draft()),
        lambda: edit_probe(actor=cast.lea, probe=probe, version=1, draft=draft(title="DB")),
        lambda: set_probe_enabled(actor=cast.lea, probe=probe, enabled=False),
        lambda: set_metrics_source(actor=cast.lea, cluster=cast.cluster, url=PROMETHEUS),
        lambda: remove_metrics_source(actor=cast.lea, cluster=cast.cluster),
    )
    for verb in verbs:
        with pytest.raises(Conflict) as refused:
            verb()
        assert refused.value.code == "fault_live"
    assert not MetricsSource.objects.exists()
    release_slot(holder=run)
    assert not set_probe_enabled(actor=cast.lea, probe=probe, enabled=False).enabled


def test_what_a_finding_rests_on_goes_on_measuring_the_same(cast: Cast) -> None:
    """The proof runs the same fault again; it must not look through other glasses."""
    probe = create_probe(actor=cast.lea, cluster=cast.cluster, draft=draft())
    run = factories.make_run(cast)
    factories.make_finding(cast, run, symptom={"kind": "probe", "probe": probe.key})
    for change in ({"timeout_s": "5"}, {"parameters": {"host": "10.0.0.6", "port": "5432"}}):
        with pytest.raises(Conflict) as refused:
            edit_probe(actor=cast.lea, probe=probe, version=1, draft=draft(**change))
        assert refused.value.code == "probe_in_findings"
    edited = edit_probe(actor=cast.lea, probe=probe, version=1, draft=draft(title="Its database"))
    assert edited.title == "Its database"


def test_a_cluster_has_room_for_so_many(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_editing, "PROBES_MAX", 3)
    with pytest.raises(Invalid) as refused:
        create_probe(actor=cast.lea, cluster=cast.cluster, draft=draft())
    assert refused.value.code == "too_many_probes"


def test_the_database_bounds_when_a_probe_aborts(cast: Cast) -> None:
    for seconds in (0, 2, 601):
        with pytest.raises(IntegrityError), transaction.atomic():
            Probe.objects.filter(cluster=cast.cluster).update(abort_after_s=seconds)


def test_a_token_is_stored_encrypted_and_goes_to_one_server_only(cast: Cast) -> None:
    def put(**given: Any) -> str:
        set_metrics_source(actor=cast.lea, cluster=cast.cluster, **given)
        found = metrics_of(cast.cluster)
        assert found is not None
        assert "metrics-token" not in repr(found)
        return found.token

    assert put(url=PROMETHEUS, token="metrics-token") == "metrics-token"
    row = MetricsSource.objects.get()
    assert "metrics-token" not in row.token_encrypted
    assert put(url=f"{PROMETHEUS}/prefix") == "metrics-token"
    # Whoever may change the address must not thereby get the token sent elsewhere.
    assert put(url="http://collector.example:9090") == ""
    assert put(url=PROMETHEUS, token="metrics-token") == "metrics-token"
    assert put(url=PROMETHEUS, forget_token=True) == ""
    remove_metrics_source(actor=cast.lea, cluster=cast.cluster)
    assert metrics_of(cast.cluster) is None


def test_a_token_that_no_key_opens_leaves_its_probes_unknown_and_stops_no_undo(
    cast: Cast, settings: Any
) -> None:
    set_metrics_source(actor=cast.lea, cluster=cast.cluster, url=PROMETHEUS, token="t")
    settings.BELAY_QA_CREDENTIALS_KEYS = ["8Cq1iEAqIzE7tIhYHd9bWmNuqBBMw6MspiVn2mCv0Is="]
    with pytest.raises(NoMetricsError, match="cannot be read with any key"):
        ask(metrics_of(cast.cluster), "/api/v1/query", {}, timeout_s=1)


@pytest.mark.parametrize("url", ["prometheus:9090", "http://u:p@prom/", "http://prom/?x=1", ""])
def test_an_address_that_is_none_is_refused(url: str, cast: Cast) -> None:
    with pytest.raises(Invalid) as refused:
        set_metrics_source(actor=cast.lea, cluster=cast.cluster, url=url)
    assert set(refused.value.errors) == {"url"}
