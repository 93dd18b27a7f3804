"""A person with a browser, as far as the figures need one: logs in, books, clicks Abort."""

from __future__ import annotations

import datetime as dt
import http.cookiejar
import re
import secrets
import urllib.parse
import urllib.request
from collections.abc import Mapping

CSRF_COOKIE = "belay_csrf"
TIMEOUT_S = 15
LONG_S = 300


class Person:
    """One signed-in person."""

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self._base_url = base_url
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )
        self._get("/login/")
        self._post("/login/", {"username": username, "password": password})

    def book(
        self,
        *,
        cluster_id: int,
        facilitator_id: int,
        starts_at: dt.datetime,
        scenario: str,
        parameters: Mapping[str, str],
    ) -> int:
        """Book a gameday that starts by itself; returns its id. `starts_at`: whole seconds, UTC."""
        agenda = {f"agenda-0-{name}": value for name, value in parameters.items()}
        landed = self._post(
            "/gamedays/book/",
            {
                "book": "1",
                "title": "Bench",
                "cluster": str(cluster_id),
                "facilitator": str(facilitator_id),
                "date": f"{starts_at:%Y-%m-%d}",
                "time": f"{starts_at:%H:%M:%S}",
                "time_zone": "UTC",
                "duration_min": "10",
                "autostart": "on",
                "agenda-0-scenario": scenario,
                **agenda,
            },
        )
        found = re.search(r"/gamedays/(\d+)/", landed)
        if found is None:
            raise AssertionError(f"the booking led to {landed}")
        return int(found[1])

    def abort(self, run_id: str) -> None:
        """The click on Abort: the very request that htmx sends."""
        self._post(f"/runs/{run_id}/abort/", {}, {"HX-Request": "true"})

    def read(self, path: str) -> bytes:
        """All of what is answered at that address. What is refused is an HTTPError."""
        with self._opener.open(f"{self._base_url}{path}", timeout=LONG_S) as answer:
            return bytes(answer.read())

    def send(self, path: str, fields: Mapping[str, str]) -> str:
        """Send a form, and read the page that it led to."""
        return self._sent(path, urllib.parse.urlencode(fields).encode(), {})[1]

    def send_file(self, path: str, name: str, content: bytes) -> tuple[str, str]:
        """Upload a file in the field `file`; the path that it led to, and the page there."""
        parting = secrets.token_hex(16)
        disposition = f'form-data; name="file"; filename="{name}"'
        head = f"--{parting}\r\nContent-Disposition: {disposition}\r\n\r\n"
        body = head.encode() + content + f"\r\n--{parting}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={parting}"}
        return self._sent(path, body, kind)

    def _sent(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[str, str]:
        request = urllib.request.Request(  # noqa: S310  our own loopback address
            f"{self._base_url}{path}", data=body, headers={"X-CSRFToken": self._token, **headers}
        )
        with self._opener.open(request, timeout=LONG_S) as answer:
            return urllib.parse.urlsplit(answer.url).path, answer.read().decode()

    @property
    def _token(self) -> str:
        return next(cookie.value or "" for cookie in self._cookies if cookie.name == CSRF_COOKIE)

    def _get(self, path: str) -> str:
        with self._opener.open(f"{self._base_url}{path}", timeout=TIMEOUT_S) as answer:
            return str(answer.url)

    def _post(
        self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> str:
        """Send a form; returns where it led. A refused form is an HTTPError (422)."""
        request = urllib.request.Request(  # noqa: S310  our own loopback address
            f"{self._base_url}{path}",
            data=urllib.parse.urlencode(fields).encode(),
            headers={"X-CSRFToken": self._token, **(headers or {})},
        )
        with self._opener.open(request, timeout=TIMEOUT_S) as answer:
            answer.read()
            return str(answer.url)
