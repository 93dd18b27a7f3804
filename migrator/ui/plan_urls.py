"""Addresses of plans, their steps, and what holds them back."""

from __future__ import annotations

from django.urls import path

from migrator.ui import attempts, holds, plans, steps, templates

urlpatterns = [
    path("plans/", plans.plans, name="plans"),
    path("services/<slug:slug>/plan/", plans.new_plan, name="new_plan"),
    path("plans/<int:plan_id>/", plans.plan, name="plan"),
    path("plans/<int:plan_id>/live/", plans.plan_live, name="plan_live"),
    path("plans/<int:plan_id>/clone/", plans.clone_plan, name="clone_plan"),
    path("plans/<int:plan_id>/archive/", plans.archive, name="archive_plan"),
    path("plans/<int:plan_id>/back/", plans.go_back, name="go_back"),
    path("plans/<int:plan_id>/rope/", plans.check_the_rope, name="check_rope"),
    path("plans/<int:plan_id>/steps/new/", steps.new_step, name="new_step"),
    path("steps/<int:step_id>/edit/", steps.edit_step, name="edit_step"),
    path("steps/<int:step_id>/start/", steps.start, name="start_step"),
    path("steps/<int:step_id>/rehearse/", steps.rehearse, name="rehearse_step"),
    path("steps/<int:step_id>/walk-through/", steps.walk_through, name="walk_through"),
    path("steps/<int:step_id>/skip/", steps.skip, name="skip_step"),
    path("steps/<int:step_id>/unskip/", steps.take_skip_back, name="take_skip_back"),
    path("steps/<int:step_id>/sign-off/", steps.sign_off, name="sign_off"),
    path("steps/<int:step_id>/move/", steps.move, name="move_step"),
    path("steps/<int:step_id>/remove/", steps.remove, name="remove_step"),
    path("steps/<int:step_id>/override/", steps.override, name="sign_override"),
    path(
        "overrides/<int:override_id>/withdraw/", steps.withdraw_override, name="withdraw_override"
    ),
    path("attempts/<uuid:attempt_id>/", attempts.attempt, name="attempt"),
    path("attempts/<uuid:attempt_id>/live/", attempts.attempt_live, name="attempt_live"),
    path("attempts/<uuid:attempt_id>/back/", attempts.turn_round, name="turn_round"),
    path("attempts/<uuid:attempt_id>/continue/", attempts.go_on, name="continue_step"),
    path("attempts/<uuid:attempt_id>/by-hand/", attempts.by_hand, name="return_by_hand"),
    path("attempts/<uuid:attempt_id>/tick/", attempts.tick, name="tick"),
    path("templates/", templates.templates, name="templates"),
    path("templates/new/", templates.new_template, name="new_template"),
    path("templates/<slug:slug>/", templates.template, name="template"),
    path("templates/<slug:slug>/archive/", templates.archive, name="archive_template"),
    path("templates/<slug:slug>/steps/<int:index>/", templates.template_step, name="template_step"),
    path(
        "templates/<slug:slug>/steps/<int:index>/arrange/", templates.arrange, name="arrange_step"
    ),
    path("freezes/", holds.freezes, name="freezes"),
    path("freezes/<int:freeze_id>/lift/", holds.lift_freeze, name="lift_freeze"),
    path("rehearsal-policy/", holds.rehearsal_policy, name="rehearsal_policy"),
    path("clusters/<slug:slug>/envoys/", holds.envoys, name="cluster_envoys"),
]
