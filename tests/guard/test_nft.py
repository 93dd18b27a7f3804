"""Packet rules in a real kernel: a node, its pod and a server, each a network namespace.

The namespaces have no names: each lives as long as the process that was started in it, and that
process ends by itself after five minutes whatever becomes of the test.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from guard.nft import NftRules
from guard.protocol import Endpoint
from tests.guard.running import await_true

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
SERVER = Endpoint(address="10.77.0.2", port=5000)
OTHER = Endpoint(address="10.77.0.2", port=5001)
_SERVE = """
import socket, threading
def serve(port):
    with socket.create_server(("10.77.0.2", port)) as listener:
        while True:
            one, _ = listener.accept()
            threading.Thread(target=echo, args=(one,), daemon=True).start()
def echo(one):
    while data := one.recv(100):
        one.sendall(data)
for port in (5000, 5001):
    threading.Thread(target=serve, args=(port,)).start()
"""
_DIAL = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.5).close()
except OSError:
    sys.exit(1)
"""


@dataclass(frozen=True)
class Net:
    node: int
    """The process that holds the node's namespace."""
    pod: int
    server: int

    def run(self, where: int, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--target", str(where), "--net", *words],
            capture_output=True, text=True, check=False, timeout=30, cwd=ROOT,
        )  # fmt: skip

    def do(self, where: int, *words: str) -> None:
        done = self.run(where, *words)
        assert done.returncode == 0, (words, done.stderr)

    def reaches(self, where: int, endpoint: Endpoint) -> bool:
        words = (sys.executable, "-c", _DIAL, endpoint.address, str(endpoint.port))
        return self.run(where, *words).returncode == 0

    @property
    def rules(self) -> NftRules:
        return NftRules(["nsenter", "--target", str(self.node), "--net", "nft"])


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    missing = [name for name in ("nft", "ip", "unshare", "nsenter") if shutil.which(name) is None]
    assert not missing, f"these tests need {', '.join(missing)}: apt-get install nftables iproute2"
    with contextlib.ExitStack() as stack:
        pids = [_namespace(stack) for _ in range(3)]
        net = Net(*pids)
        _wire(net)
        words = ["nsenter", "--target", str(net.server), "--net", sys.executable, "-c", _SERVE]
        server = subprocess.Popen(words)
        stack.callback(_end, server)
        await_true("the server answers", lambda: net.reaches(net.node, SERVER))
        await_true("the pod reaches it", lambda: net.reaches(net.pod, SERVER))
        yield net


def _namespace(stack: contextlib.ExitStack) -> int:
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec sleep 300"],
        stdout=subprocess.PIPE,
    )
    stack.callback(_end, holder)
    assert holder.stdout
    stack.callback(holder.stdout.close)
    said = holder.stdout.readline()
    assert said == b"up\n", "no network namespace can be made here: are these tests run as root?"
    return holder.pid


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _wire(net: Net) -> None:
    for name, other, subnet in (("server", net.server, "10.77.0"), ("pod", net.pod, "10.77.1")):
        net.do(net.node, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0",
               "netns", str(other))  # fmt: skip
        net.do(net.node, "ip", "address", "add", f"{subnet}.1/24", "dev", name)
        net.do(net.node, "ip", "link", "set", name, "up")
        net.do(other, "ip", "address", "add", f"{subnet}.2/24", "dev", "eth0")
        net.do(other, "ip", "link", "set", "eth0", "up")
        net.do(other, "ip", "route", "add", "default", "via", f"{subnet}.1")
    net.do(net.node, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")


@pytest.fixture
def rules(net: Net) -> Iterator[NftRules]:
    yield net.rules
    net.rules.clear()


def test_what_is_cut_is_listed_and_reached_by_nobody_on_the_node(net: Net, rules: NftRules) -> None:
    assert rules.listed() == []
    rules.cut([SERVER], 60)
    assert rules.listed() == [SERVER]
    assert not net.reaches(net.node, SERVER)
    assert not net.reaches(net.pod, SERVER), "what its pods send is dropped too"
    assert net.reaches(net.node, OTHER), "another port of the same address is not touched"
    rules.clear()
    assert rules.listed() == []
    assert net.reaches(net.node, SERVER)
    assert net.reaches(net.pod, SERVER)


def test_nothing_of_ours_is_left_in_the_kernel(net: Net, rules: NftRules) -> None:
    net.do(net.node, "nft", "add table inet somebody_elses")
    rules.cut([SERVER], 60)
    rules.clear()
    rules.clear()
    left = net.run(net.node, "nft", "list", "ruleset").stdout
    assert "belay" not in left
    assert "somebody_elses" in left
    net.do(net.node, "nft", "delete table inet somebody_elses")


def test_the_kernel_ends_it_by_itself(net: Net, rules: NftRules) -> None:
    rules.cut([SERVER], 2)
    assert not net.reaches(net.node, SERVER)
    await_true("the kernel forgets", lambda: net.reaches(net.node, SERVER))
    assert rules.listed() == []


def test_connections_that_were_open_before_are_cut_too(net: Net, rules: NftRules) -> None:
    words = (
        "import socket, sys\n"
        "one = socket.create_connection(('10.77.0.2', 5000), timeout=1)\n"
        "def echo():\n"
        "    one.sendall(b'x')\n"
        "    try: return one.recv(1) == b'x'\n"
        "    except TimeoutError: return False\n"
        "for _ in sys.stdin: print(echo(), flush=True)\n"
    )
    client = subprocess.Popen(
        ["nsenter", "--target", str(net.pod), "--net", sys.executable, "-c", words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert client.stdin
        assert client.stdout
        heard = []
        for cut in (False, True):
            if cut:
                rules.cut([SERVER], 60)
            client.stdin.write("\n")
            client.stdin.flush()
            heard.append(client.stdout.readline().strip())
        assert heard == ["True", "False"]
    finally:
        client.kill()
        client.communicate()


def test_both_families_and_many_at_once(rules: NftRules) -> None:
    many = [Endpoint(address=f"10.9.0.{n}", port=443) for n in range(1, 60)]
    both = sorted([*many, Endpoint(address="fd00::5", port=8001)], key=lambda one: one.address)
    rules.cut(both, 60)
    assert rules.listed() == both


def test_a_cut_takes_the_place_of_the_one_before(rules: NftRules) -> None:
    rules.cut([SERVER], 60)
    rules.cut([OTHER], 60)
    assert rules.listed() == [OTHER]


_JUDGE = """
import json, sys, time
from guard.dial import Dialler
from guard.protocol import Endpoint
dialler, until = Dialler(), time.monotonic() + 10
endpoints = [Endpoint(address=a, port=p) for a, p in json.loads(sys.argv[1])]
while (said := dialler.got_through(endpoints)) is None and time.monotonic() < until:
    time.sleep(0.01)
print(said)
"""


def judged(net: Net, *endpoints: Endpoint) -> str:
    asked = json.dumps([(one.address, one.port) for one in endpoints])
    return net.run(net.node, sys.executable, "-c", _JUDGE, asked).stdout.strip()


def test_whether_a_fresh_connection_gets_through_is_judged_without_waiting(
    net: Net, rules: NftRules
) -> None:
    closed = Endpoint(address=SERVER.address, port=5999)
    nowhere = Endpoint(address="192.0.2.1", port=80)
    assert judged(net, SERVER) == "True"
    assert judged(net, closed) == "True", "a refusal came back: packets go there"
    assert judged(net, nowhere) == "False"
    rules.cut([SERVER, closed], 60)
    assert judged(net, SERVER, closed) == "False"
    assert judged(net, SERVER, OTHER) == "True", "one that answers is enough"


def test_without_nft_it_says_so() -> None:
    with pytest.raises(OSError, match="no-such-nft"):
        NftRules(["/no-such-nft"]).listed()


def test_an_error_of_nft_is_told_in_its_words(net: Net) -> None:
    with pytest.raises(OSError, match=r"port|number|range"):
        net.rules.cut([Endpoint(address="10.0.0.1", port=700_000)], 60)
    assert net.rules.listed() == [], "all or nothing"


def test_what_is_no_address_never_reaches_nft(rules: NftRules) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        rules.cut([Endpoint(address="10.0.0.1; }", port=1)], 60)
    assert rules.listed() == []
