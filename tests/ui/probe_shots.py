"""Pictures of the pages about probes: `.venv/bin/pytest tests/ui/probe_shots.py`."""

from __future__ import annotations

import datetime as dt
import socket
from typing import Any

import pytest
from playwright.sync_api import Browser

from gamedays.choices import ProbeKind, Verdict
from gamedays.execution.judge_alerts import judge_alert
from gamedays.models import Probe, SampleBlock
from gamedays.operations.metrics import set_metrics_source
from gamedays.operations.probe_drafts import ProbeDraft
from gamedays.operations.probe_editing import create_probe, set_probe_enabled
from tests.people import make_cast
from tests.ui import factories
from tests.ui.shots import OUT, SIZES, _shoot, browser  # noqa: F401  (a fixture)

MIXED: tuple[tuple[ProbeKind, str, dict[str, object], dict[str, Any]], ...] = (
    (ProbeKind.TCP, "Orders database", {"host": "10.12.0.5", "port": 5432}, {"abort_after_s": 15}),
    (
        ProbeKind.KUBERNETES_FIELD,
        "Contour has two ready replicas",
        {
            "kind": "Deployment",
            "namespace": "projectcontour",
            "name": "contour",
            "path": "status.readyReplicas",
            "comparison": "at_least",
            "value": "2",
        },
        {},
    ),
    (
        ProbeKind.PROMETHEUS,
        "Share of failed orders",
        {
            "query": 'sum(rate(orders_total{code=~"5.."}[1m])) / sum(rate(orders_total[1m]))',
            "comparison": "at_most",
            "value": "0.01",
        },
        {"felt_by_users": True},
    ),
    (ProbeKind.ALERT_EXPECTED, "Somebody is paged", {"alert": "ShopIsDown", "within_s": 60}, {}),
    (ProbeKind.ENVOY_STAT, "Envoy on qa-1 is connected", {"url": "http://10.12.0.11:8002"}, {}),
)


@pytest.mark.django_db(transaction=True)
def test_probes(live_server: Any, browser: Browser, settings: Any) -> None:  # noqa: F811
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True
    cast = make_cast()
    factories.make_probes(cast)
    cast.cluster.probes.filter(kind=ProbeKind.HTTP).update(
        parameters={"url": "http://10.12.0.1:8080/", "host": "shop.example", "status": 200}
    )
    for kind, title, parameters, more in MIXED:
        made = create_probe(
            actor=cast.lea,
            cluster=cast.cluster,
            draft=ProbeDraft(kind=kind, title=title, parameters=parameters, **more),
        )
    set_probe_enabled(actor=cast.lea, probe=made, enabled=False)
    base = "/clusters/qa-range"
    _shoot(browser, live_server.url, {"probe-no-metrics": f"{base}/probes/somebody-is-paged/"})
    set_metrics_source(actor=cast.lea, cluster=cast.cluster, url="http://127.0.0.1:9", token="t")
    paths = {
        "probes": f"{base}/",
        "probe-choose": f"{base}/probes/new/",
        "probe-http": f"{base}/probes/new/?kind=http",
        "probe-field": f"{base}/probes/contour-has-two-ready-replicas/",
        "probe-alert": f"{base}/probes/somebody-is-paged/",
        "probe-fixed": f"{base}/probes/readyz-qa-1/",
        "metrics": f"{base}/metrics/",
    }
    _shoot(browser, live_server.url, paths)
    _shoot_tried(browser, live_server.url)


@pytest.mark.django_db(transaction=True)
def test_an_alert_in_a_run(live_server: Any, browser: Browser) -> None:  # noqa: F811
    cast = make_cast()
    probes = [p for p in factories.make_probes(cast) if p.key in ("shop", "api-read")]
    alert = Probe.objects.create(
        cluster=cast.cluster,
        key="paged",
        title="Somebody is paged",
        kind=ProbeKind.ALERT_EXPECTED,
        parameters={"alert": "ShopIsDown", "within_s": 60},
        position=1,
    )
    run = factories.make_run(cast, ago_s=90_000)
    factories.make_samples(run, [*probes, alert])
    fires_from = (run.bitten_at or run.asked_at) + dt.timedelta(seconds=23)
    for block in SampleBlock.objects.filter(injection=run, probe=alert):
        for row in block.samples:
            at = block.started_at + dt.timedelta(milliseconds=row[0])
            fires = fires_from <= at < fires_from + dt.timedelta(seconds=60)
            row[1:] = [int(fires), 1, 12.0, "" if fires else "not firing"]
        block.save()
    run.judgement = [judge_alert(run, alert, ended_at=run.ended_at or run.asked_at)]
    run.verdict = Verdict.HELD
    run.save()
    _shoot(browser, live_server.url, {"run-alert": f"/runs/{run.pk}/"})


def _shoot_tried(browser: Browser, base: str) -> None:  # noqa: F811
    """The form and the list after a look."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{base}/login/")
    page.fill("#id_username", "lea")
    page.fill("#id_password", "rope and harness")
    page.get_by_test_id("login").click()
    page.wait_for_url(f"{base}/")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        page.goto(f"{base}/clusters/qa-range/probes/new/?kind=tcp")
        page.get_by_label("Name").fill("Orders database")
        page.get_by_label("Host").fill("127.0.0.1")
        page.get_by_label("Port").fill(str(listener.getsockname()[1]))
        page.get_by_test_id("try-now").click()
        page.locator('[data-testid="trial"][data-state="passing"]').wait_for()
        _picture(page, "probe-tried")
        page.get_by_label("Port").fill("none")
        page.get_by_test_id("try-now").click()
        page.get_by_test_id("form-errors").wait_for()
        _picture(page, "probe-wrong")
    page.goto(f"{base}/clusters/qa-range/")
    page.get_by_test_id("try-somebody-is-paged").click()
    page.locator('[data-testid="trial"][data-state="unknown"]').wait_for()
    page.locator("#standard-probes > summary").click()
    page.get_by_test_id("try-readyz").click()
    page.locator('[data-testid="trial"][data-state="failing"]').wait_for()
    _picture(page, "probes-tried")
    context.close()


def _picture(page: Any, name: str) -> None:
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.wait_for_timeout(120)
            page.screenshot(path=OUT / f"{name}-{size}-{theme}.png", full_page=True)
