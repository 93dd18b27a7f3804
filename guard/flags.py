"""The fixed list of wrong flags: which component, and what the manifest says with it.

The manifest is text for a reader of lines: the standard library knows no YAML. Where the text is
not shaped as kubeadm writes it (one command per line), the fault is refused and nothing guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from guard.protocol import BadFlag, Component

CLOSED = "https://127.0.0.1:9"
"""The port of the discard service, where nothing listens."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    component: Component
    name: str
    value: str
    replaces: bool
    """The manifest has the flag already; only its value changes."""


FLAGS: dict[BadFlag, Flag] = {
    BadFlag.ETCD_ELSEWHERE: Flag(
        component=Component.KUBE_APISERVER, name="--etcd-servers", value=CLOSED, replaces=True
    ),
    BadFlag.UNKNOWN_APISERVER_FLAG: Flag(
        component=Component.KUBE_APISERVER, name="--belay-unknown", value="1", replaces=False
    ),
    BadFlag.UNKNOWN_SCHEDULER_FLAG: Flag(
        component=Component.KUBE_SCHEDULER, name="--belay-unknown", value="1", replaces=False
    ),
    BadFlag.UNKNOWN_CONTROLLER_MANAGER_FLAG: Flag(
        component=Component.KUBE_CONTROLLER_MANAGER,
        name="--belay-unknown",
        value="1",
        replaces=False,
    ),
}


def with_flag(text: str, flag: Flag) -> str:
    """The manifest's text with the wrong flag in it; ValueError when its shape is not known."""
    wanted = rf"^(?P<indent> *- ){re.escape(flag.name)}=[^\n]*$"
    found = list(re.finditer(wanted, text, re.MULTILINE))
    if flag.replaces:
        if len(found) != 1:
            raise ValueError(f"{flag.name} stands on {len(found)} lines of its own, not on one")
        line = f"{found[0]['indent']}{flag.name}={flag.value}"
        return text[: found[0].start()] + line + text[found[0].end() :]
    if found:
        raise ValueError(f"{flag.name} is there already")
    commands = list(
        re.finditer(rf"^(?P<indent> *- ){re.escape(flag.component)}$", text, re.MULTILINE)
    )
    if len(commands) != 1:
        raise ValueError(
            f"`- {flag.component}` stands on {len(commands)} lines of its own, not on one"
        )
    at = commands[0].end()
    return f"{text[:at]}\n{commands[0]['indent']}{flag.name}={flag.value}{text[at:]}"
