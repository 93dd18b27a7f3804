"""An alert that has to fire when the fault bites: somebody is told.

One look says whether it fires now. Whether it fired in time is judged over the run
(`gamedays.execution.judge_alerts`): an alert that was there before the fault proves nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from core.fields import Field
from gamedays.probes.base import Attempt, Kind, ProbeSpec, Surroundings, shortened
from gamedays.probes.metrics import MetricsAnswer, NoMetricsError, ask

PENDING = "pending"
"""How the detail of a look begins that saw the alert wait out its `for` time."""
_STALE_INTERVALS = 3
_STALE_MIN_S = 30.0
_LABEL = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?:"([^"]*)"|([^",\s]+))\s*')


def probe_alert(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """Passed: it fires. Not passed: it is pending, or silent. Unknown: there is no such rule, or
    Prometheus does not evaluate it, so that its silence says nothing."""
    name = str(spec.parameters["alert"])
    wanted = parse_labels(str(spec.parameters.get("labels") or ""))
    try:
        answer = ask(
            surroundings.metrics,
            "/api/v1/rules",
            # Older servers know no filter by name and answer with every rule.
            {"type": "alert", "rule_name[]": name},
            timeout_s=spec.timeout_s,
        )
        rules = list(_rules(answer, name))
        if not rules:
            raise NoMetricsError(f"Prometheus has no alert rule {name!r}")
        alerts = [alert for rule in rules for alert in _alerts(rule, wanted)]
    except NoMetricsError as error:
        return Attempt(passed=None, detail=shortened(str(error)))
    firing = [alert for alert in alerts if alert.get("state") == "firing"]
    since = min((str(a.get("activeAt", "")) for a in firing or alerts), default="")
    at = since[11:19]
    if firing:
        seen = f"Firing, {len(firing)} of it, active since {at} UTC"
        return Attempt(passed=True, latency_ms=answer.latency_ms, seen=seen)
    detail = f"{PENDING} since {at} UTC" if alerts else "not firing"
    return Attempt(passed=False, latency_ms=answer.latency_ms, detail=detail, seen=detail)


def parse_labels(text: str) -> dict[str, str]:
    """`severity=critical, team="payments"` as a mapping; ValueError for what is none."""
    found: dict[str, str] = {}
    rest = text.strip()
    while rest:
        match = _LABEL.match(rest)
        if match is None or not (match.end() == len(rest) or rest[match.end()] == ","):
            raise ValueError(f"{rest!r} is no label; write severity=critical, team=payments.")
        found[match[1]] = match[2] if match[2] is not None else match[3]
        rest = rest[match.end() + 1 :].strip()
    return found


def _rules(answer: MetricsAnswer, name: str) -> Iterator[Mapping[str, Any]]:
    """The rules of that name. Raises NoMetricsError when one of them cannot be relied on."""
    for group in answer.data.get("groups") or []:
        for rule in group.get("rules") or []:
            if rule.get("type") != "alerting" or rule.get("name") != name:
                continue
            if rule.get("health") != "ok":
                why = rule.get("lastError") or "it was not evaluated yet"
                raise NoMetricsError(shortened(f"the rule {name!r} does not work: {why}"))
            age = _age_s(rule.get("lastEvaluation"), answer.at)
            interval = float(group.get("interval") or 0)
            if age is None or age > max(_STALE_MIN_S, _STALE_INTERVALS * interval):
                told = "at an unknown time" if age is None else f"{age:.0f} s ago"
                raise NoMetricsError(f"the rule {name!r} was last evaluated {told}")
            yield rule


def _alerts(rule: Mapping[str, Any], wanted: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    for alert in rule.get("alerts") or []:
        labels = alert.get("labels") or {}
        if all(labels.get(key) == value for key, value in wanted.items()):
            yield alert


def _age_s(evaluated: object, now: str) -> float | None:
    """Both times are of the same server, so that no difference between clocks matters."""
    try:
        then = dt.datetime.fromisoformat(str(evaluated))
        return (parsedate_to_datetime(now) - then).total_seconds()
    except (ValueError, TypeError):
        return None


def _in_words(parameters: Mapping[str, object]) -> str:
    labels = f" ({parameters['labels']})" if parameters.get("labels") else ""
    return f"{parameters.get('alert')}{labels} fires within {parameters.get('within_s')} s"


ALERT_EXPECTED = Kind(
    prober=probe_alert,
    summary="This alert has to fire soon after the fault bites: somebody is told.",
    in_words=_in_words,
    icon="flag",
    users_may_feel=False,
    steady=False,
    fields=(
        Field(name="alert", label="Alert", longest=200, placeholder="ShopIsDown"),
        Field(
            name="labels",
            label="With labels",
            required=False,
            check=parse_labels,
            help="Only where one rule makes several alerts: severity=critical, team=payments.",
        ),
        Field(
            name="within_s",
            label="Fires within",
            kind="integer",
            default="60",
            minimum=5,
            maximum=1800,
            unit="seconds",
            help="From the moment the fault bites. Count the rule's own “for” and the intervals "
            "of scraping and evaluation.",
        ),
    ),
)
