"""Static files, always whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whitenoise.middleware import WhiteNoiseMiddleware

if TYPE_CHECKING:
    from django.http import FileResponse, HttpRequest
    from whitenoise.responders import StaticFile


class WholeFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # untyped library
    """A browser that left a page in mid-download asks for the rest of the file later. Of a file
    that it has whole there is no rest, and the answer 416 costs the page its icons; our files
    are small, so they are always sent from the beginning."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> FileResponse:
        request.META.pop("HTTP_RANGE", None)
        answer: FileResponse = WhiteNoiseMiddleware.serve(static_file, request)
        return answer
