from django.urls import path


def v(request, **k): ...


urlpatterns = [
    path("plans/<int:plan_id>/", v, name="plan"),
    path("steps/<int:step_id>/edit/", v, name="edit_step"),
    path("freezes/", v, name="freezes"),
    path("services/<slug:slug>/plan/", v, name="new_plan"),
]
