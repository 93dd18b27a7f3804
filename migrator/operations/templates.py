"""Templates of plans: made and versioned in the browser. A version is never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from core.errors import Conflict, Invalid
from core.redaction import redact_text
from migrator import plan_policies as policies
from migrator.models import PlanTemplate, TemplateVersion
from migrator.operations.drafts import StepDraft, as_data, clean_draft, filled_in, from_data

if TYPE_CHECKING:
    from core.models import User

STEPS_MAX = 60
_EXAMPLE = {
    "namespace": "example",
    "route": "example",
    "workload": "example",
    "slug": "example",
    "legacy_service": "example-legacy",
    "kubernetes_service": "example",
    "legacy_address": "legacy.example",
}
"""Every placeholder filled in, to see whether a template could be a plan."""


def create_template(
    *, actor: User, title: str, description: str = "", steps: Sequence[StepDraft] = ()
) -> PlanTemplate:
    """A template with its first version.

    Raises:
        NotAllowed: team leads only; Invalid: title, or a step; Conflict: `template_exists`.
    """
    policies.require_template_author(actor)
    title, description = _texts(title, description)
    data = _checked(steps, actor)
    try:
        with transaction.atomic():
            made = PlanTemplate.objects.create(
                slug=slugify(title)[:60] or "template", title=title, description=description
            )
            TemplateVersion.objects.create(template=made, number=1, steps=data, made_by=actor)
    except IntegrityError:
        raise Conflict(
            f"There is a template “{title}” already. Change that one, or choose another title.",
            code="template_exists",
        ) from None
    return made


def save_template(
    *,
    actor: User,
    template: PlanTemplate,
    version: int,
    title: str,
    description: str,
    steps: Sequence[StepDraft],
    why: str = "",
) -> TemplateVersion:
    """Save a new version. Plans that were made of older ones stay as they are. `version` is the
    newest that the person saw.

    Raises:
        NotAllowed; Invalid; Conflict: `edited_meanwhile`, `template_exists`.
    """
    policies.require_template_author(actor)
    title, description = _texts(title, description)
    data = _checked(steps, actor)
    why = redact_text(why.strip())
    if len(why) > 300:
        raise Invalid(f"Why: at most 300 characters, not {len(why)}.", field="why")
    try:
        with transaction.atomic():
            rows = PlanTemplate.objects.filter(pk=template.pk, version=version).update(
                version=version + 1, title=title, description=description
            )
            if rows != 1:
                raise Conflict(
                    "Somebody else changed this template meanwhile. Look at it as it is now, and "
                    "change it again.",
                    code="edited_meanwhile",
                )
            return TemplateVersion.objects.create(
                template=template, number=version + 1, steps=data, why=why, made_by=actor
            )
    except IntegrityError:
        raise Conflict(
            f"There is another template “{title}”. Choose another title.", code="template_exists"
        ) from None


def archive_template(*, actor: User, template: PlanTemplate, archived: bool) -> PlanTemplate:
    """Take a template out of the list of those that plans are made of, or put it back.

    Raises: NotAllowed.
    """
    policies.require_template_author(actor)
    template.archived_at = timezone.now() if archived else None
    template.save(update_fields=["archived_at"])
    return template


def _texts(title: str, description: str) -> tuple[str, str]:
    title, description = redact_text(title.strip()), redact_text(description.strip())
    errors = {}
    if not title:
        errors["title"] = "Title: say which services go this way."
    elif len(title) > 80:
        errors["title"] = f"Title: at most 80 characters, not {len(title)}."
    if len(description) > 1000:
        errors["description"] = f"Description: at most 1000 characters, not {len(description)}."
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], field=first, errors=errors)
    return title, description


def _checked(steps: Sequence[StepDraft], actor: User) -> list[dict[str, Any]]:
    """The steps as data. `Invalid` names every wrong value as `STEP.FIELD`, counted from 0."""
    errors: dict[str, str] = {}
    if len(steps) > STEPS_MAX:
        errors["steps"] = f"A template has at most {STEPS_MAX} steps; this has {len(steps)}."
    data: list[dict[str, Any]] = []
    keys: set[str] = set()
    for index, draft in enumerate(steps):
        try:
            clean_draft(from_data(filled_in(as_data(draft), _EXAMPLE), owner=actor))
        except Invalid as error:
            errors |= {f"{index}.{name}": text for name, text in error.errors.items()}
        found = as_data(draft)
        base = found["key"] or f"step-{index + 1}"
        found["key"] = base if base not in keys else f"{base}-{index + 1}"
        keys.add(found["key"])
        data.append(found)
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], code="step_invalid", field=first, errors=errors)
    return data
