from django.apps import AppConfig


class GamedaysConfig(AppConfig):
    name = "gamedays"
    default_auto_field = "django.db.models.BigAutoField"
