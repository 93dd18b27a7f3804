"""A person at the pages: signs in once, then clicks."""

from __future__ import annotations

import http.cookiejar
import time
import urllib.error
import urllib.parse
import urllib.request


class Person:
    """One browser session, without the browser."""

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self._base_url = base_url
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._jar)
        )
        self.get("/login/")
        status = self.post("/login/", username=username, password=password)
        assert status == 200, f"{username} could not sign in: {status}"
        assert self._cookie("belay_session"), f"{username} could not sign in"

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        try:
            with self._opener.open(f"{self._base_url}{path}", timeout=15) as answer:
                assert "/login/" in path or "/login/" not in answer.url, "signed out"
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def post(self, path: str, **fields: str) -> int:
        """Send a form; the status of where it led to."""
        data = {"csrfmiddlewaretoken": self._cookie("belay_csrf"), **fields}
        request = urllib.request.Request(  # noqa: S310  the stack's own address
            f"{self._base_url}{path}",
            data=urllib.parse.urlencode(data).encode(),
            headers={"HX-Request": "true"} if path.endswith("/abort/") else {},
        )
        try:
            with self._opener.open(request, timeout=15) as answer:
                assert "/login/" in path or "/login/" not in answer.url, "signed out"
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def click_abort(self, run_id: str) -> float:
        """Click Abort on a run; the time (seconds since 1970) of the click."""
        clicked = time.time()
        status = self.post(f"/runs/{run_id}/abort/")
        assert status == 200, f"the click on Abort was answered {status}"
        return clicked

    def _cookie(self, name: str) -> str:
        return next((str(c.value) for c in self._jar if c.name == name), "")
