"""Marks: the one word, icon and tone of every state, the same on every page.

A state is never told by colour alone, and a state that this table does not know is shown as
*unknown*, never as something good. The keys are the plain values that the models' choices hold,
so that this module needs to know no application.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Tone = Literal["calm", "live", "care", "work", "quiet", "unknown"]
"""calm: proved good. live: broken on purpose, or stuck. care: needs a person. work: under way.
quiet: nothing to say yet. unknown: we could not look."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How one state is written."""

    word: str
    icon: str
    tone: Tone
    meaning: str


UNKNOWN: Final = Mark("Unknown", "help-circle", "unknown", "We could not look.")

MARKS: Final[dict[str, Mark]] = {
    # What a probe, a cluster or a guard shows now.
    "steady": Mark("Steady", "activity", "calm", "Every probe is within its bound, now."),
    "failing": Mark("Failing", "circle-x", "live", "The last look did not pass."),
    "passing": Mark("Passes", "circle-check", "calm", "The last look passed."),
    "unknown": UNKNOWN,
    "alert_silent": Mark("Not firing", "circle-minus", "quiet", "The alert does not fire."),
    "alert_firing": Mark("Firing", "flag", "care", "The alert fires: somebody is told."),
    "no_fault": Mark("No fault", "circle-check", "quiet", "Belay has nothing live on it."),
    "reachable": Mark("Reachable", "circle-check", "calm", "The guard answered within a minute."),
    "installed": Mark("Installed", "shield-check", "quiet", "Nobody has asked it lately."),
    "silent": Mark("Unknown", "help-circle", "unknown", "The guard never answered us."),
    "no_guard": Mark("No guard", "shield-off", "care", "No guard is installed on this node."),
    # One fault, from planned to clean.
    "planned": Mark("Planned", "clock", "quiet", "Waits for its conductor; nothing is touched."),
    "preflight": Mark("Checking", "stethoscope", "work", "Is the cluster steady before we begin?"),
    "arming": Mark("Arming", "shield-check", "work", "The way back is being put on the nodes."),
    "armed": Mark(
        "Armed", "shield-check", "care", "The way back is on the nodes and was read back."
    ),
    "injecting": Mark("Injecting", "bolt", "live", "The fault is asked for, not yet seen to bite."),
    "active": Mark("Fault live", "bolt", "live", "The fault was seen to bite."),
    "undoing": Mark("Restoring", "arrow-back-up", "care", "Undo is asked for, not yet proved."),
    "verifying": Mark("Restoring", "arrow-back-up", "care", "Undone; the proof is being taken."),
    "undo_stuck": Mark(
        "Stuck", "alert-octagon", "live", "Undo did not succeed; a person is needed."
    ),
    "observing": Mark("Restored", "eye", "calm", "Proved restored; we watch what comes after."),
    "clean": Mark("Clean", "circle-check", "calm", "Restored and watched to the end."),
    "refused": Mark("Refused", "ban", "care", "Refused before anything was touched."),
    "resolved_by_hand": Mark(
        "Resolved by hand", "tool", "care", "A person restored it and signed for it."
    ),
    # Verdicts and outcomes.
    "held": Mark("Held", "circle-check", "calm", "The steady state held as we believed."),
    "broke": Mark("Broke", "alert-triangle", "live", "A probe broke its bound."),
    "inconclusive": Mark("Inconclusive", "help-circle", "unknown", "The run cannot tell."),
    "recurs": Mark("Recurs", "alert-triangle", "live", "The same fault shows the same symptom."),
    "does_not_recur": Mark(
        "Does not recur",
        "rosette-discount-check",
        "calm",
        "The fault bit; the symptom stayed away.",
    ),
    "invalid": Mark("Invalid", "ban", "unknown", "This run proves nothing about the finding."),
    # Findings.
    "open": Mark("Open", "circle-dot", "live", "Known; no work on it has begun."),
    "acknowledged": Mark("Acknowledged", "eye", "care", "Somebody has looked and agrees."),
    "fix_in_progress": Mark("Fix in progress", "tool", "work", "Somebody is mending it."),
    "fix_ready": Mark(
        "Fix ready", "clipboard-check", "care", "A fix is recorded; it is not proved yet."
    ),
    "verified_fixed": Mark(
        "Verified fixed", "rosette-discount-check", "calm", "Proved by a later run of this fault."
    ),
    "low": Mark("Low", "circle-minus", "quiet", "A nuisance."),
    "medium": Mark("Medium", "circle-dot", "care", "Users could notice."),
    "high": Mark("High", "alert-triangle", "live", "Users would notice."),
    "critical": Mark("Critical", "alert-octagon", "live", "The service would be away."),
    # Gamedays, and work that is waited for.
    "booked": Mark("Booked", "calendar-event", "quiet", "Waits for its time."),
    "running": Mark("Running", "progress", "work", "Under way."),
    "done": Mark("Done", "circle-check", "quiet", "Over."),
    "cancelled": Mark("Cancelled", "calendar-x", "quiet", "Taken back before it began."),
    "missed": Mark("Missed", "calendar-x", "care", "Nobody started it in its time."),
    "waiting": Mark("Waiting", "hourglass", "quiet", "Not begun yet."),
    "evaluated": Mark("Evaluated", "clipboard-check", "quiet", "The outcome is beside it."),
    "ready": Mark("Ready", "circle-check", "calm", "Raised and registered."),
    "failed": Mark("Failed", "circle-x", "live", "It stopped; the message says why."),
    "unavailable": Mark("Not possible here", "ban", "care", "This machine cannot hold it."),
    # A migration step, and one attempt at it.
    "rolled_back": Mark("Rolled back", "arrow-back-up", "care", "Undone; it can be done again."),
    "unrehearsed": Mark("Not rehearsed", "rotate-clockwise-2", "care", "Its way back is untried."),
    "rehearsal_stale": Mark("Rehearsal stale", "clock", "care", "Its rehearsal counts no more."),
    "not_confirmed": Mark("Not confirmed", "hourglass", "care", "Nobody vouches for it now."),
    "on_track": Mark("On track", "circle-check", "calm", "Nothing holds its next step."),
    "late": Mark("Late", "clock", "care", "A date that was planned is over."),
    "blocked": Mark("Blocked", "hand-stop", "live", "Something holds its next step."),
    "not_planned": Mark("Nothing promised", "circle-minus", "quiet", "It has no plan and no wave."),
    "skipped": Mark("Skipped", "circle-minus", "quiet", "Left out, with a reason."),
    "step_planned": Mark("Planned", "clock", "quiet", "Waits for a worker; nothing is touched."),
    "preparing": Mark("Preparing", "stethoscope", "work", "How it is is being written down."),
    "changing": Mark("Changing", "bolt", "care", "The change is being made."),
    "judging": Mark("Watching", "eye", "work", "The change stands, and is being judged."),
    "interrupted": Mark("Waits for a person", "hand-stop", "care", "Continue it, or go back."),
    "returning": Mark("Going back", "arrow-back-up", "care", "The former state is put back."),
    "proving": Mark("Going back", "arrow-back-up", "care", "Put back; the proof is being taken."),
    "return_stuck": Mark("Stuck", "alert-octagon", "live", "It did not come back by itself."),
    "step_done": Mark("Done", "circle-check", "calm", "Judged and accepted."),
    "returned": Mark("Back as before", "circle-check", "calm", "Proved to be as it was before."),
    "step_refused": Mark("Refused", "ban", "care", "Refused before anything was changed."),
    "returned_by_hand": Mark("Resolved by hand", "tool", "care", "A person answers for it."),
    "within_reach": Mark("Within reach", "circle-check", "calm", "Looked at, and there."),
    "not_within_reach": Mark("Not within reach", "alert-triangle", "live", "Looked at, and lost."),
    "reach_unknown": Mark("Reach unknown", "help-circle", "unknown", "We could not look."),
    # A step of a run, and the asking for something against its having been done.
    "requested": Mark("Requested", "hourglass", "care", "Asked for; not done yet."),
    "confirmed": Mark("Confirmed", "check", "calm", "Seen to be done."),
    # Pods.
    "steady_pod": Mark("Running", "circle-check", "quiet", "There before, and still the same."),
    "finished": Mark("Finished", "check", "quiet", "Its work is done; it is not meant to run."),
    "born": Mark("Born", "plus", "work", "New since the run began."),
    "restarted": Mark("Restarted", "rotate-clockwise-2", "care", "A container started again."),
    "dying": Mark("Not ready", "hourglass", "care", "There, but not ready."),
    "dead": Mark("Gone", "x", "live", "It was there and is gone."),
}


def mark_of(state: object) -> Mark:
    """The mark of a state; *unknown* for one that this table does not know."""
    return MARKS.get(str(state), UNKNOWN)
