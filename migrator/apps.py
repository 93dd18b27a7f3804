from django.apps import AppConfig


class MigratorConfig(AppConfig):
    name = "migrator"
    default_auto_field = "django.db.models.BigAutoField"
