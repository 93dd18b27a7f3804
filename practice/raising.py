"""Raising a range, step by step. Every step looks first, so that a half-made range goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol

from practice import (
    bootstrap,
    cluster,
    components,
    images,
    machine,
    network,
    nodes,
    owner,
    packages,
    preflight,
    proxy,
    registry,
    route_canary,
    trickle,
    versions,
    weaknesses,
    workloads,
)
from practice.components import Built
from practice.facts import NodeFacts, RangeFacts, Reporter
from practice.imagefile import Image
from practice.keeper import Service
from practice.plan import (
    ENVOY_STATS_PORT,
    LEGACY_PORT,
    REGISTRY_NODE_PORT,
    SHOP_HOST,
    Node,
    Plan,
)
from practice.steps import join_step, steps_of
from practice.system import SYSTEM_PATH, CommandError, RangeError, wait_until


class Hands(Protocol):
    """Whoever owns the range's processes."""

    def keep(self, service: Service) -> None: ...

    def stop(self, name: str) -> None: ...


class Raising:
    """One attempt to raise one range."""

    def __init__(self, plan: Plan, hands: Hands, *, echo: Callable[[str], None]) -> None:
        self.plan, self.hands = plan, hands
        self.report = Reporter(plan.dir / "progress.json", steps_of(plan), echo=echo)
        self.built: Built
        self.archives: list[str] = []
        self.guard_image = ""

    def run(self) -> bool:
        """Raise the range; False when that failed, with the reason in the progress file."""
        began = time.monotonic()
        try:
            self._save_facts("raising")
            self._prepare()
            self._start_nodes()
            self._make_cluster()
            self._fill()
            self._finish()
            self.report.finish(f"ready after {time.monotonic() - began:.0f} s")
        except RangeError as error:
            self._save_facts("failed")
            self.report.fail(str(error))
            return False
        except Exception as error:
            # Whoever waits for this range must hear of it; the traceback goes to the log.
            self._save_facts("failed")
            self.report.fail(f"unexpected: {type(error).__name__}: {error}")
            raise
        return True

    def _prepare(self) -> None:
        self.report.begin("look at this machine")
        if found := preflight.problems():
            raise RangeError("; ".join(found))
        packages.ensure(self.report.say)
        machine.prepare()
        self.report.begin("build the programs")
        self.built = components.build_all(self.report.say, self.report.foresee)
        link = self.plan.dir / "bin"
        link.unlink(missing_ok=True)
        link.symlink_to(self.built.bin)
        self.report.begin("write the images")
        self.archives = images.system_archives(self.built, self.report.say)

    def _start_nodes(self) -> None:
        plan = self.plan
        self.report.begin("start the nodes")
        network.ensure_bridge(plan)
        if proxy.ask_admin(plan, "/ready") is None:
            preflight.check_ports(plan)
        proxy.write_config(plan, check_readyz=proxy.checks_readyz(plan))
        env = plan.mark() | {"PATH": SYSTEM_PATH}
        self.hands.keep(
            Service(
                name="proxy",
                argv=lambda: proxy.argv(plan, self.built.bin / "envoy"),
                log=plan.logs / "proxy.log",
                env=env,
            )
        )
        self.hands.keep(
            Service(
                name="legacy",
                argv=lambda: [str(self.built.bin / "shop")],
                log=plan.logs / "legacy.log",
                env=env
                | {"SHOP_NAME": "legacy", "SHOP_ADDR": f"{plan.gateway}:{LEGACY_PORT}",
                   "SHOP_DRAIN": "0s"},
            )
        )  # fmt: skip
        if not any(bootstrap.has_joined(node) for node in plan.control_plane_nodes):
            for node in plan.nodes:
                self._make_fresh(node)
        for node in plan.nodes:
            self._start(node)

    def _make_cluster(self) -> None:
        plan, first = self.plan, self.plan.nodes[0]
        with ThreadPoolExecutor(max_workers=2) as pool:
            imports: dict[str, Future[None]] = {}
            self._ready_to_run(first)
            for node in plan.nodes[1:]:
                imports[node.name] = pool.submit(self._ready_to_run, node)
            self.report.begin("make the first node a cluster")
            planes = plan.control_plane_nodes
            made_now = not any(bootstrap.has_joined(node) for node in planes)
            if made_now:
                bootstrap.init_cluster(plan)
            via = next(node for node in planes if bootstrap.has_joined(node))
            bootstrap.write_owner_files(plan, via)
            try:
                cluster.wait_for_api(via, timeout=180)
            except RangeError:
                if all(bootstrap.has_joined(node) for node in planes):
                    raise
                # A half-made cluster without a quorum is cheaper to make again than to mend.
                self.report.say("the half-made cluster does not answer: making it again")
                for node in plan.nodes:
                    self._make_fresh(node)
                    self._start(node)
                    self._ready_to_run(node)
                bootstrap.init_cluster(plan)
                via, made_now = first, True
                bootstrap.write_owner_files(plan, via)
            self._spread_dns()
            self._apply_once("projectcontour/envoy", "daemonset", workloads.contour(self.built))
            self._apply_once("registry/registry", "deployment", workloads.registry(plan))
            for node in plan.nodes[1:]:
                self.report.begin(join_step(node))
                imports[node.name].result()
                if not bootstrap.has_joined(node):
                    self._join(node, via, fresh=made_now)
            if not bootstrap.has_joined(first):
                self._join(first, via, fresh=False)
            self._mend(via)

    def _spread_dns(self) -> None:
        """Keep CoreDNS's two pods apart, for the same reason as Contour's."""
        affinity = workloads.apart({"k8s-app": "kube-dns"})
        patch = json.dumps({"spec": {"template": {"spec": {"affinity": affinity}}}})
        argv = ["patch", "deployment", "coredns", "-n", "kube-system", "--patch", patch]
        cluster.kubectl(self.plan, argv)

    def _join(self, node: Node, via: Node, *, fresh: bool) -> None:
        """Join a node, forgetting first whatever an earlier attempt left of it."""
        if bootstrap.has_tried(node):
            self.report.say(f"{node.name} was half joined: making it again")
            bootstrap.forget_node(self.plan, node, via)
            self._make_fresh(node)
            self._start(node)
            self._ready_to_run(node)
        if not fresh:
            bootstrap.renew_invitation(self.plan, via)
        bootstrap.join_node(self.plan, node)

    def _mend(self, via: Node) -> None:
        """Make nodes again whose kubelet does not come up.

        An API server or etcd that is away is no reason: somebody may be breaking it on purpose.
        """
        for node in self.plan.nodes:
            try:
                wait_until(
                    partial(nodes.kubelet_healthy, node),
                    timeout=180, what=f"kubelet of {node.name} healthy", every=1.0,
                )  # fmt: skip
            except RangeError:
                if self.plan.control_plane_nodes == [node]:
                    name = self.plan.name
                    raise RangeError(
                        f"{node.name} does not come up, and it is the only control-plane node: "
                        f"the cluster is lost; `range down --name {name}`, then up again"
                    ) from None
                self.report.say(f"{node.name} does not come up: making it again")
                planes = self.plan.control_plane_nodes
                other = next((n for n in planes if n != node and cluster.api_ready(n)), via)
                (node.root / bootstrap.DONE).unlink(missing_ok=True)
                self._join(node, other, fresh=False)
        for node in self.plan.control_plane_nodes:
            cluster.wait_for_api(node, timeout=240)

    def _fill(self) -> None:
        plan = self.plan
        self.report.begin("fill the registry")
        host = plan.registry_node.address
        cluster.wait_rolled_out(plan, "registry", "deployment", "registry", timeout=180)
        shop = images.shop_image(self.built)
        for name in workloads.PUSHED:
            wait_until(
                partial(self._pushed, shop, host, name),
                timeout=60, what=f"{name}:1 in the registry", every=1.0,
            )  # fmt: skip
        self.report.begin("start the workloads")
        with ThreadPoolExecutor(max_workers=1) as pool:
            guard = pool.submit(self._load_guard)
            self._apply_once("shop/shop", "httpproxy", workloads.shop(plan))
            self._apply_once("shop/vouchers", "httpproxy", workloads.neighbours())
            guard.result()
        for namespace, kind, name in (
            ("kube-system", "deployment", "coredns"),
            ("projectcontour", "deployment", "contour"),
            ("projectcontour", "daemonset", "envoy"),
            ("shop", "deployment", "shop"),
            ("shop", "deployment", "prices"),
            ("shop", "deployment", "vouchers"),
        ):
            cluster.wait_rolled_out(plan, namespace, kind, name, timeout=240)

    def _apply_once(self, name: str, kind: str, objects: list[cluster.Object]) -> None:
        """Apply objects unless the last of them, named `namespace/name`, is there.

        What people changed since (a fix, a route's weights) must outlive the next `up`.
        """
        namespace, _, own = name.partition("/")
        look = ["get", kind, own, "-n", namespace, "--ignore-not-found", "-o", "name"]
        try:
            if cluster.kubectl(self.plan, look):
                return
        except CommandError:
            pass  # a kind that the cluster does not know yet: its definition is among the objects
        cluster.apply(self.plan, objects)

    def _pushed(self, image: Image, host: str, name: str) -> bool:
        place = (host, REGISTRY_NODE_PORT)
        if registry.has(place, name, "1"):
            return True
        try:
            registry.push(image, place, name, "1")
        except RangeError:
            return False  # its NodePort is not in the nodes' rules yet
        return registry.has(place, name, "1")

    def _load_guard(self) -> None:
        try:
            self.guard_image = nodes.load_guard(self.plan)
        except (RangeError, OSError) as error:
            self.report.say(f"no guard image yet: {error}")

    def _finish(self) -> None:
        plan = self.plan
        self.report.begin("introduce Belay")
        owner.introduce(plan)
        self.report.begin("wait until traffic flows")
        wait_until(lambda: trickle.shop_answers(plan), timeout=120, what=f"shop at {plan.shop_url}")
        self._save_facts("ready")

    def _start(self, node: Node) -> None:
        self.hands.keep(
            nodes.service(
                self.plan, node, programs=self.built.bin, images=images.archives_dir()
            )
        )  # fmt: skip

    def _ready_to_run(self, node: Node) -> None:
        wait_until(
            lambda: nodes.runtime_answers(node), timeout=90, what=f"containerd of {node.name}"
        )
        self.report.say(f"{node.name} is up, importing images")
        nodes.import_images(node, self.archives)

    def _make_fresh(self, node: Node) -> None:
        self.hands.stop(node.name)
        nodes.cut_power(node)
        nodes.wipe(node)

    def _save_facts(self, phase: str) -> None:
        facts(self.plan, phase, guard_image=self.guard_image).save()


def facts(plan: Plan, phase: str, *, guard_image: str) -> RangeFacts:
    """The facts of a range in that phase."""
    states = weaknesses.states(plan) if phase == "ready" else {}
    return RangeFacts(
        name=plan.name,
        index=plan.slot,
        phase=phase,
        kubernetes_version=versions.KUBERNETES,
        api_endpoint=plan.api_endpoint,
        ca_file=str(plan.ca_file),
        kubeconfig=str(plan.kubeconfig),
        admin_kubeconfig=str(plan.admin_kubeconfig),
        nodes=[
            NodeFacts(
                name=node.name,
                address=node.address,
                api_server=node.api_server,
                control_plane=node.is_control_plane,
            )
            for node in plan.nodes
        ],
        shop_url=plan.shop_url,
        shop_host=SHOP_HOST,
        canary_host=route_canary.HOST,
        envoy_stats=[f"http://{node.address}:{ENVOY_STATS_PORT}" for node in plan.nodes],
        legacy_url=plan.legacy_url,
        guard_image=guard_image,
        proxy_admin=plan.proxy_admin,
        weaknesses={name: bool(state) for name, state in states.items()},
    )
