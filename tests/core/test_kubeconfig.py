"""A stored kubeconfig is data: whatever would run, read or weaken something of ours is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from core.errors import ClusterRefused
from core.kube import parse_kubeconfig
from gamedays.pki import make_authority

CA = base64.b64encode(make_authority("test").certificate_pem.encode()).decode()


def config(
    cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **whole: Any
) -> str:
    good = {
        "current-context": "qa",
        "contexts": [{"name": "qa", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": "https://10.0.0.1:6443",
                    "certificate-authority-data": CA,
                }
                | (cluster or {}),
            }
        ],
        "users": [{"name": "u", "user": {"token": "abc.def"} | (user or {})}],
    }
    return yaml.safe_dump(good | whole)


def code_of(text: str) -> str:
    with pytest.raises(ClusterRefused) as refused:
        parse_kubeconfig(text)
    assert refused.value.field == "kubeconfig"
    assert len(refused.value.message) > 40, "it says what to do"
    return refused.value.code


def test_plain_data_is_taken_and_the_token_is_in_no_repr() -> None:
    found = parse_kubeconfig(config())
    assert (found.server, found.token) == ("https://10.0.0.1:6443", "abc.def")
    assert "abc.def" not in repr(found)


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"command": "/bin/sh"}},
        {"exec": None},
        {"auth-provider": {"name": "gcp"}},
        {"tokenFile": "/etc/shadow"},
        {"client-certificate": "/etc/ssl/x.pem"},
        {"client-key": "/root/.ssh/id"},
    ],
)
def test_what_would_run_or_read_something_of_ours_is_refused(user: dict[str, Any]) -> None:
    assert code_of(config(user=user)) == "kubeconfig_not_data"


def test_a_ca_in_a_file_is_refused() -> None:
    assert code_of(config({"certificate-authority": "/etc/passwd"})) == "kubeconfig_not_data"


@pytest.mark.parametrize(
    "cluster", [{"insecure-skip-tls-verify": True}, {"proxy-url": "http://10.0.0.9:3128"}]
)
def test_what_weakens_the_connection_is_refused(cluster: dict[str, Any]) -> None:
    assert code_of(config(cluster)) == "kubeconfig_insecure"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just words",
        "[]",
        "a: [",
        "!!python/object/apply:os.system ['id']",
        config(contexts=None),
        config(users=[{"name": "u", "user": None}]),
        config(users=[{"name": "u", "user": "exec"}]),
        config(users=["u"]),
        config(clusters=[{"name": "c", "cluster": ["server"]}]),
        config({"certificate-authority-data": "bm90IGEgY2VydGlmaWNhdGU="}),
        config({"certificate-authority-data": "$$$"}),
        config({"certificate-authority-data": 7}),
    ],
)
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    assert code_of(text) == "kubeconfig_malformed"


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({"server": "http://10.0.0.1"}, {}),
        ({"server": "https://"}, {}),
        ({"server": "https://10.0.0.1:port"}, {}),
        ({"server": "https://[10.0.0.1"}, {}),
        ({"server": "https://somebody:word@10.0.0.1"}, {}),
        ({}, {"token": ""}),
        # Would end the header that it is sent in.
        ({}, {"token": "abc\r\nX-Remote-User: admin"}),
        ({}, {"token": "tökën"}),
        ({}, {"token": ["abc"]}),
        ({"certificate-authority-data": ""}, {}),
    ],
)
def test_what_cannot_be_spoken_to_is_refused(cluster: dict[str, Any], user: dict[str, Any]) -> None:
    assert code_of(config(cluster, user)) == "kubeconfig_incomplete"
