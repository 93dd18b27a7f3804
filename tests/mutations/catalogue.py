"""What is broken on purpose, and which named test of the simulator must notice.

To add one: a name in plain words, the function with the text to change, and the test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulator import test_node_rows as node_rows
from tests.simulator import test_object_rows as object_rows
from tests.simulator import test_rows as rows
from tests.simulator.play import Stage
from tests.simulator.schedule import WRONG

Change = tuple[str, str]


def late_change(stage: Stage) -> None:
    object_rows.test_row_45_a_change_that_arrives_after_the_undo(stage, WRONG, object_rows.IMAGE)


def persons_edit(stage: Stage) -> None:
    row = object_rows.test_row_32_a_person_changes_the_object_in_mid_fault
    row(stage, WRONG, object_rows.IMAGE)


@dataclass(frozen=True)
class Mutation:
    name: str
    target: str
    """`module:function` or `module:Class.method`."""
    changes: tuple[Change, ...]
    noticed_by: Callable[[Stage], None]


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "the engine does not read back what it armed",
        "gamedays.execution.arming:arm_and_read_back",
        (("world.guards.status().items()", "dict[str, Any]().items()"),),
        rows.test_row_03_a_node_that_lost_power_right_after_arming,
    ),
    Mutation(
        "the guard does not read back what it armed",
        "guard.orders:Orders._read_back",
        (("stored = self._ledger.stored_sha256()", "stored = order.recipe.sha256()"),),
        rows.test_an_order_that_cannot_be_read_back_is_never_injected_anywhere,
    ),
    Mutation(
        "nothing is armed, only injected",
        "gamedays.execution.arming:arm_and_read_back",
        (("armed = world.guards.arm(run.order_id, faults, credential)", "return []"),),
        rows.test_a_run_that_nothing_disturbs_holds,
    ),
    Mutation(
        "inject before it is committed",
        "gamedays.execution.arming:arm_and_read_back",
        (("    return problems\n", "    return problems or inject(run, world)\n"),),
        rows.test_a_run_that_nothing_disturbs_holds,
    ),
    Mutation(
        "no tombstone",
        "guard.ledger:Ledger.bury",
        (("self._tombstones.add(order_id)", "return"),),
        node_rows.test_row_20_a_late_arm_meets_the_tombstone,
    ),
    Mutation(
        "a slot that expires",
        "gamedays.operations.runs:take_slot",
        (
            (
                "try:\n",
                (
                    "SlotClaim.objects.filter(cluster=cluster).update(released_at=timezone.now())\n"
                    "    try:\n"
                ),
            ),
        ),
        rows.test_row_28_a_second_fault_on_the_same_cluster,
    ),
    Mutation(
        "no fsync of the order",
        "guard.journal:Journal.save_order",
        (("_encode(order_to_json(order))", "_encode(order_to_json(order)), durable=False"),),
        rows.test_a_run_that_nothing_disturbs_holds,
    ),
    Mutation(
        "the guard strikes before its intent is on the disk",
        "guard.lifecycle:Lifecycle.intend",
        (("self.ledger.write_or_raise(order)", "self.ledger.order = order"),),
        rows.test_a_run_that_nothing_disturbs_holds,
    ),
    Mutation(
        "renewal without fence",
        "gamedays.journal:_prove_fence",
        (("injection_id=injection_id, fence=fence", "injection_id=injection_id"),),
        rows.test_row_18_conductor_stopped_before_its_renewal,
    ),
    Mutation(
        "requests are not bound to a session and a sequence",
        "guard.orders:Orders._fresh",
        (("check_freshness(", "(lambda *_: None)("),),
        node_rows.test_row_40_a_replayed_request_is_refused,
    ),
    Mutation(
        "inject may work twice",
        "guard.orders:check_inject",
        (
            ("(Phase.INJECTING, Phase.INJECTED)", "()"),
            ("order.phase is not Phase.ARMED", "order.phase is Phase.UNDONE"),
        ),
        node_rows.test_row_16_an_inject_that_is_asked_for_again,
    ),
    Mutation(
        "an old epoch is good enough",
        "guard.orders:check_arm",
        (("request.epoch < epoch", "False"),),
        rows.test_row_30_an_older_copy_of_belay_aims_at_the_cluster,
    ),
    Mutation(
        "the watchdog never takes over",
        "core.watchdog:Watchdog._is_dead",
        (("return now - since >= (ABORT_S if row.abort_underway else LEASE_S)", "return False"),),
        rows.test_row_07_during_active,
    ),
    Mutation(
        "the watchdog leaves aborts to the conductor",
        "core.watchdog:Watchdog._abort_is_stuck",
        (("return now - since >= ABORT_S", "return False"),),
        rows.test_row_37_an_abort_reaches_the_guards_in_time,
    ),
    Mutation(
        "the guard's lease never ends",
        "guard.lifecycle:Lifecycle.lease_end",
        (("return since + order.recipe.lease_s", "return since + 1e6"),),
        rows.test_row_10_every_process_of_ours_killed_and_the_api_down,
    ),
    Mutation(
        "the hard deadline moves with every renewal",
        "guard.lifecycle:Lifecycle.deadline",
        (("start = order.injected_boottime", "start = self.ledger.renewed_boottime"),),
        rows.test_the_hard_deadline_cannot_be_renewed,
    ),
    Mutation(
        "a new boot goes on with the old order",
        "guard.lifecycle:Lifecycle.take_up",
        (("order.recipe.boot != self.world.node.boot()", "False"),),
        node_rows.test_row_23_power_lost_with_all_of_ours_dead,
    ),
    Mutation(
        "restored is believed on the guard's word",
        "gamedays.execution.restoration:look",
        (("nodes = world.cluster.control_plane", "return []"),),
        rows.test_a_guard_that_says_undone_and_did_nothing_is_not_believed,
    ),
    Mutation(
        "without the database nothing is undone",
        "gamedays.execution.way_back:WayBack._without_rows",
        (("self._send_undo(run)", "pass"),),
        rows.test_row_13_postgresql_restarted,
    ),
    Mutation(
        "the conductor does not look for aborts",
        "gamedays.execution.conductor:Conductor._active",
        (("run.abort_requested_at", "False"),),
        rows.test_row_37_an_abort_reaches_the_guards_in_time,
    ),
    Mutation(
        "a fault that ended by itself is no doubt",
        "gamedays.execution.arming:undone_by_itself_says",
        (("for node, reply in sorted(replies.items())", "for node, reply in ()"),),
        node_rows.test_row_19_a_fault_that_the_guards_ended_early_holds_nothing,
    ),
    Mutation(
        "a doubt does not matter to the verdict",
        "gamedays.execution.judge:_verdict",
        (("if injection.doubt:", "if False:"),),
        rows.test_rows_15_and_37_abort_in_every_state,
    ),
    Mutation(
        "one marker check is enough",
        "gamedays.execution.arming:arm_and_read_back",
        (("world.cluster.require_marker()", "pass"),),
        rows.test_row_42_the_marker_goes_before_arming,
    ),
    Mutation(
        "a process that was never hit must be a new one",
        "gamedays.execution.restoration:_was_hit",
        ((" and order.bitten", ""),),
        node_rows.test_row_21_guard_killed_at_every_write,
    ),
    Mutation(
        "a change of an object is bound to no version",
        "guard.objects:_bound",
        (('| {"uid": target.uid, "resourceVersion": resource_version}', '| {"uid": target.uid}'),),
        late_change,
    ),
    Mutation(
        "an undo that finds nothing to restore leaves the version as it is",
        "guard.object_steps:OneObject._refuse_late_change",
        (("if version == target.resource_version:", "if False:"),),
        late_change,
    ),
    Mutation(
        "what a person made of an object is overwritten",
        "guard.object_steps:OneObject.restore",
        (("if report.state is ObjectState.FOREIGN:", "if False:"),),
        persons_edit,
    ),
    Mutation(
        "an object that may not be read is taken for restored",
        "guard.object_steps:OneObject.restore",
        (
            (
                'return dataclasses.replace(report, now_sha256="", detail=detail)',
                "return dataclasses.replace(report, state=ObjectState.RESTORED)",
            ),
        ),
        object_rows.test_row_34_the_guard_undoes_what_is_its_own_with_all_of_ours_gone,
    ),
    Mutation(
        "objects are restored on the guard's word",
        "gamedays.execution.restoration:look",
        ((" + restoration_objects.look(run, world)", ""),),
        object_rows.test_a_guard_that_says_undone_and_left_the_object_is_not_believed,
    ),
    Mutation(
        "the run's account is forgotten",
        "gamedays.execution.accounts:remove",
        (("world.cluster.unmint(run.order_id)", "pass"),),
        object_rows.test_an_api_that_is_away_only_delays_the_undo,
    ),
    Mutation(
        "the kernel never ends a cut",
        "guard.faults.cut:Cut.strike",
        (("fault.hold_s + int(DEADLINE_MARGIN_S)", "100_000"),),
        object_rows.test_the_kernel_itself_ends_a_cut,
    ),
)
