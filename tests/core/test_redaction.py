"""What could be a secret is not written down; what merely looks technical is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.redaction import HIDDEN, redact, redact_shapes, redact_text
from gamedays.choices import EntryKind, InjectionState
from gamedays.models import Injection, TimelineEntry
from gamedays.operations.runs import add_note
from gamedays.scenarios.plan import NodeFault, ObjectTarget, faults_of
from tests.gamedays.test_conductor import begin, make_fake
from tests.people import make_cast

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJiZWxheSJ9.c2lnbmF0dXJl"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"the API said: Authorization: Bearer {JWT}", JWT),
        ("Authorization: Basic YmVsYXk6aHVudGVyMg==", "YmVsYXk6aHVudGVyMg=="),
        ("postgres://belay:hunter2@db/belay refused", "hunter2"),
        (f"key:\n{PEM}\nend", "MHcCAQEE"),
        ("-----BEGIN PRIVATE KEY-----\nMHcCAQEE (cut off", "MHcCAQEE"),
        ('DB_PASSWORD="hunter2" was not accepted', "hunter2"),
        ("GET /?api_key=hunter2&x=1", "hunter2"),
        ("--token=hunter2", "hunter2"),
        ("aws AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghij"),
    ],
)
def test_a_secret_is_known_by_its_shape(text: str, secret: str) -> None:
    assert secret not in redact_text(text)
    assert HIDDEN in redact_text(text)
    assert secret not in str(redact({"deep": [{"er": (text,)}]}))


@pytest.mark.parametrize(
    "text",
    [
        "qa-2: hold of etcd is undone.",
        "sha256 3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea",
        "50 of 150 attempts failed in the 50 s after the grace; the bound is 99 %.",
        "https://10.0.0.1:6443/readyz gave no answer within 2 s",
        "Secret is a kind that no fault can touch",
        "the token expired",
    ],
)
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert redact_text(text) == text


def test_a_secret_is_known_by_its_name() -> None:
    given_value = {
        "DB_PASSWORD": "hunter2",
        "token": {"value": "hunter2"},
        "undo_key_pem": "hunter2",
        "kubeconfig": ["hunter2"],
        "tokens_used": 3,
        "secret_allowed": False,
        "key": "LOG_LEVEL",
        "name": "shop",
    }
    hidden = redact(given_value)
    assert "hunter2" not in str(hidden)
    assert (hidden["tokens_used"], hidden["secret_allowed"]) == (3, False)
    assert (hidden["key"], hidden["name"]) == ("LOG_LEVEL", "shop")


@given(st.text())
def test_hiding_twice_hides_no_more(text: str) -> None:
    assert redact_text(redact_text(text)) == redact_text(text)


def test_a_recipe_is_acted_on_and_so_keeps_its_names() -> None:
    """A node may be called what it likes: what undoes its fault must still be found."""
    target = ObjectTarget(
        kind="config-map",
        namespace="secret-shop",
        name="token-service",
        uid="u",
        resource_version="7",
        change="bad-config",
        key="API_TOKEN",
    )
    faults = {"token-1": NodeFault(kind="object", hold_s=60, objects=(target,))}
    recipe = {"order": "o", "faults": {node: fault.as_data() for node, fault in faults.items()}}
    assert faults_of(redact_shapes(recipe)) == faults


@pytest.mark.django_db
def test_the_journal_writes_no_secret_down() -> None:
    cast = make_cast()
    fake = make_fake(cast.cluster)
    story = begin(cast, fake)
    injection = story.to(InjectionState.ACTIVE)
    run = fake.rows.read(injection.pk, 1)
    assert run
    fake.rows.write_entry(
        run,
        kind=EntryKind.EVIDENCE,
        text=f"the API said: Bearer {JWT}",
        data={"token": "hunter2", "said": f"password={'hunter2'}", "node": "qa-2"},
    )
    moved = fake.rows.move(
        run, InjectionState.UNDOING, text="x", doubt="login at https://a:hunter2@b failed"
    )
    assert moved
    note = add_note(actor=cast.vera, injection=injection, text="I used password: hunter2")
    written = [f"{entry.text} {entry.data}" for entry in TimelineEntry.objects.all()]
    written += [Injection.objects.get().doubt, note.text]
    assert not any("hunter2" in text or JWT in text for text in written), written
    assert any("'node': 'qa-2'" in text for text in written)
