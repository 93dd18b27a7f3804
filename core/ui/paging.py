"""Long lists, a page at a time: plain links that keep every other part of the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from django.core.paginator import Page, Paginator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import Model, QuerySet
    from django.http import HttpRequest

T = TypeVar("T")
ROWS = 50


def page_of(
    request: HttpRequest,
    rows: QuerySet[Model] | Sequence[T],
    *,
    param: str = "page",
    size: int = ROWS,
) -> Page[T]:
    """The page of `rows` that `?param=` asks for; what is no page is the first, or the last.

    `rows` in an order in which no two are equal, or one could be seen twice. Two queries.
    """
    pages: Paginator[T] = Paginator(rows, size)  # type: ignore[arg-type]
    return pages.get_page(request.GET.get(param))
