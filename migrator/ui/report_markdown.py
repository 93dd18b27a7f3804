"""A report as Markdown. Every text that people wrote is escaped: it stays text in any reader."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from core.ui.marks import mark_of
from core.ui.times import exact, plural
from migrator.selectors.standings import in_words

if TYPE_CHECKING:
    import datetime as dt

    from migrator.selectors.causes import Cause
    from migrator.selectors.report import Report

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+\-!|~@&$]|:(?=//)|\.(?=\S))")
"""Whatever CommonMark, tables, autolinks or HTML could read as more than a letter. A full stop and
a colon only where they could be part of an address."""
_BETWEEN: Final = re.compile(r"[\s\x00-\x1f\x7f\u2028\u2029]+")


def escape(text: object) -> str:
    """One line in which every sign stands for itself."""
    return _SPECIAL.sub(r"\\\1", _BETWEEN.sub(" ", str(text)).strip())


def as_markdown(report: Report) -> str:
    total = report.board.total
    summary = (
        f"{report.board.arrived} of {plural(total.services, 'service')} on Kubernetes; "
        f"{total.behind} of {plural(total.steps, 'step')} done ({total.percent}%)."
    )
    lines = [f"# {escape(report.title)}", "", f"As of {escape(exact(report.at))}.", ""]
    lines += [escape(summary), ""]
    if report.board.stop is not None:
        lines += ["**The emergency stop is set: no step goes forward.**", ""]
    lines += ["## Progress", "", *_progress(report), "", "## Health", "", *_health(report), ""]
    lines += [
        "## Waves",
        "",
        *_waves(report),
        "",
        "## What is blocked by what",
        "",
        *_causes(report),
    ]
    lines += ["", "## Burn-up", "", *_burn_up(report), ""]
    return "\n".join(lines)


def _progress(report: Report) -> list[str]:
    return _table(
        ("Stage", "Services", "Steps done", "Steps"),
        (
            (column.stage.label, column.tally.services, column.tally.behind, column.tally.steps)
            for column in report.board.columns
        ),
        "lrrr",
    )


def _health(report: Report) -> list[str]:
    total = report.board.total
    lines = _table(
        ("Health", "Services"),
        ((mark_of(health).word, number) for health, number in total.by_health),
        "lr",
    )
    if report.ailing:
        lines.append("")
        lines += _table(
            ("Service", "Team", "Health", "Why"),
            ((each.name, each.team, mark_of(each.now).word, _why(each)) for each in report.ailing),
            "llll",
        )
    if report.more_ailing:
        lines += ["", f"And {report.more_ailing} more."]
    return lines


def _why(service: Any) -> str:
    """Of a service with `now`: an emergency stop is in no row."""
    standing = service.standing
    if service.now != standing.health:
        return "The emergency stop is set."
    return str(standing.sentence)


def _waves(report: Report) -> list[str]:
    if not report.waves:
        return ["No wave is planned."]
    return _table(
        ("Wave", "State", "Planned", "Began", "Ended", "Services", "Arrived", "Steps done"),
        (
            (
                each.wave.name,
                mark_of(each.state).word,
                f"{in_words(each.wave.starts_on)} to {in_words(each.wave.ends_on)}",
                _day(each.began_on),
                _day(each.ended_on),
                each.services,
                each.arrived,
                f"{each.behind} of {each.steps}",
            )
            for each in report.waves
        ),
        "lllllrrr",
    )


def _causes(report: Report) -> list[str]:
    if not report.causes:
        return ["Nothing holds a next step."]
    return [
        f"- {plural(each.number, 'service')}: {escape(each.cause)}. {_link(each)}".rstrip()
        for each in report.causes
    ]


def _link(cause: Cause) -> str:
    """Whole, because the file is read elsewhere."""
    if not cause.link.startswith("/"):
        return ""
    return f"[{escape(cause.clears)}](<{settings.BELAY_PUBLIC_URL.rstrip('/')}{cause.link}>)"


def _burn_up(report: Report) -> list[str]:
    if not report.weeks:
        return ["No plan has steps yet."]
    return _table(
        ("Week of", "To be done", "Done", "Ahead"),
        ((in_words(w.monday), w.scope, w.done, w.ahead) for w in report.weeks),
        "lrrr",
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], align: str) -> list[str]:
    rule = "|".join("---:" if each == "r" else "---" for each in align)
    return [
        f"| {' | '.join(escape(each) for each in head)} |",
        f"|{rule}|",
        *(f"| {' | '.join(escape(each) for each in row)} |" for row in rows),
    ]


def _day(day: dt.date | None) -> str:
    return in_words(day) if day else "–"
