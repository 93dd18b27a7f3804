"""All kinds of steps. To add one: copy a file beside this one and add its line here."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import Invalid, NotFound
from core.fields import Value, clean_all
from migrator.runners.apply import Apply
from migrator.runners.base import Runner
from migrator.runners.checks import CHECKS
from migrator.runners.decommission import Decommission
from migrator.runners.manual import Manual
from migrator.runners.observe import Observe
from migrator.runners.scale import Scale
from migrator.runners.traffic import Traffic

_RUNNERS: tuple[Runner, ...] = (
    Apply(),
    Scale(),
    Traffic(),
    Observe(),
    Manual(),
    Decommission(),
)
RUNNERS: dict[str, Runner] = {runner.key: runner for runner in _RUNNERS}
RESTORE = "restore"
"""The way back that is no runner of its own: what the step wrote down is put back."""


def runner_of(kind: str) -> Runner:
    """The runner of that kind; `NotFound` lists the known ones."""
    try:
        return RUNNERS[kind]
    except KeyError:
        raise NotFound(
            f"There is no kind of step {kind!r}. Known are: {', '.join(sorted(RUNNERS))}.",
            code="unknown_kind",
        ) from None


def clean_parameters(kind: str, given: Mapping[str, object]) -> dict[str, Value]:
    """The typed parameters of a step. `Invalid` (`step_invalid`) holds every wrong one at once."""
    runner = RUNNERS.get(kind)
    if runner is None:
        raise Invalid(
            f"There is no kind of step {kind!r}; choose one of {', '.join(sorted(RUNNERS))}.",
            code="step_invalid",
            field="kind",
        )
    errors: dict[str, str] = {}
    values: dict[str, Value] = {}
    try:
        values = clean_all(runner.title, runner.fields, dict(given), code="step_invalid")
    except Invalid as error:
        errors = dict(error.errors)
        values = _readable(runner, given)
    errors = runner.check_together(values) | errors
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], code="step_invalid", field=first, errors=errors)
    return values


def clean_check(kind: str, given: Mapping[str, object]) -> dict[str, Value]:
    """The typed parameters of a check; `Invalid` as `clean_parameters`."""
    found = CHECKS.get(kind)
    if found is None:
        raise Invalid(
            f"There is no kind of check {kind!r}; choose one of {', '.join(sorted(CHECKS))}.",
            code="step_invalid",
            field="check_kind",
        )
    return clean_all(found.title, found.fields, dict(given), code="step_invalid")


def _readable(runner: Runner, given: Mapping[str, object]) -> dict[str, Value]:
    """What could be read is looked at together all the same, so that nobody comes twice."""
    values: dict[str, Value] = {}
    for field in runner.fields:
        try:
            values[field.name] = field.clean(given.get(field.name))
        except ValueError:
            continue
    return {name: value for name, value in values.items() if value != ""}
