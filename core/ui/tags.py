"""Template tags that every page may use without loading them (settings: `builtins`)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core import texts
from core.ui import times
from core.ui.marks import mark_of
from core.ui.timezone import zone_or_utc

if TYPE_CHECKING:
    from django.template.context import Context

register = template.Library()


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """One icon of the sprite. It is decoration: the word stands beside it."""
    return format_html(
        '<svg class="icon {}" width="20" height="20" aria-hidden="true" focusable="false">'
        '<use href="#i-{}"></use></svg>',
        extra,
        name,
    )


@register.simple_tag(takes_context=True)
def page_address(context: Context, param: str, number: int) -> str:
    """This address with another page of one list; filters and the pages of others are kept."""
    query = context["request"].GET.copy()
    query[param] = str(number)
    return f"?{query.urlencode()}"


@register.simple_tag
def status_mark(state: object, word: str = "", testid: str = "") -> SafeString:
    """A state as word, icon and tone together. `word` replaces the usual word."""
    mark = mark_of(state)
    return format_html(
        '<span class="mark mark-{}" title="{}"{}>{}<span>{}</span></span>',
        mark.tone,
        mark.meaning,
        format_html(' data-testid="{}" data-state="{}"', testid, state) if testid else "",
        icon(mark.icon),
        word or mark.word,
    )


@register.filter
def mark_word(state: object) -> str:
    return mark_of(state).word


@register.filter
def mark_meaning(state: object) -> str:
    return mark_of(state).meaning


@register.filter
def mark_tone(state: object) -> str:
    return mark_of(state).tone


@register.filter
def mark_icon(state: object) -> str:
    return mark_of(state).icon


@register.simple_tag
def when(at: dt.datetime | str | None, empty: str = "–") -> SafeString | str:
    """Relative text, the exact time on hover and for machines."""
    # A missing link on the way to the time is an empty string to the template language.
    if not isinstance(at, dt.datetime):
        return empty
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        at.isoformat(),
        times.exact_seconds(at),
        times.relative(at),
    )


@register.simple_tag
def begins(at: dt.datetime) -> SafeString:
    """The verb and its time, for what has not begun: `begins in 14 hours`."""
    verb = "begins" if at > timezone.now() else "was to begin"
    return format_html("{} {}", verb, when(at))


@register.simple_tag
def at_exactly(at: dt.datetime, zone: str = "") -> SafeString:
    """The exact time in the person's zone, or in `zone`."""
    return format_html(
        '<time datetime="{}">{}</time>',
        at.isoformat(),
        times.exact(at, zone_or_utc(zone) if zone else None),
    )


@register.simple_tag
def at_clock(at: dt.datetime | None) -> SafeString | str:
    """The time of day with seconds, for what happens in front of our eyes."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(),
        times.exact_seconds(at),
        f"{local:%H:%M:%S}",
    )


@register.filter
def clock(seconds: float | None) -> str:
    return "" if seconds is None else times.clock(seconds)


@register.filter
def duration(seconds: float | None) -> str:
    return "" if seconds is None else texts.duration(seconds)


@register.filter
def plural(number: int, noun: str) -> str:
    return times.plural(number, noun)


@register.filter
def percent(share: float | None) -> str:
    """`0.667` as `66.7%`; nothing measured as a dash."""
    if share is None:
        return "–"
    value = share * 100
    # Rounding must never turn "almost all" into "all".
    text = f"{value:.1f}"
    if text == "100.0" and value < 100:
        text = "99.9"
    return f"{text.removesuffix('.0')}%"


@register.filter
def get(mapping: dict[Any, Any], key: object) -> Any:
    """A value of a mapping by a key that is known only now; empty where there is none."""
    return mapping.get(key, "")
