"""Django's settings, all from the environment (config/env.py says what each variable means)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery.schedules import schedule
from csp.constants import NONE, SELF, UNSAFE_INLINE

from config.env import read_env
from config.logs import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent
ENV = read_env()

SECRET_KEY = ENV.secret_key
DEBUG = ENV.debug
ALLOWED_HOSTS = ENV.allowed_hosts
CSRF_TRUSTED_ORIGINS = [ENV.public_url]

# -- Belay's own ---------------------------------------------------------------------------------
BELAY_STATE_DIR = ENV.state_dir
BELAY_PUBLIC_URL = ENV.public_url
BELAY_EMBEDDED_DATABASE = ENV.embedded
"""With the embedded database only QA clusters can be registered."""
BELAY_QA_CREDENTIALS_KEYS = ENV.qa_credentials_keys
BELAY_PRODUCTION_CREDENTIALS_KEYS = ENV.production_credentials_keys
BELAY_DB_DEADLINE_S = ENV.db_deadline_s
BELAY_RANGE = ENV.qa_range
"""The name of the practice range that this installation raises."""
BELAY_PROBE_ALLOW_LOOPBACK = ENV.probe_allow_loopback
BELAY_STEP_GATES = ("gamedays.gates.hold_back",)
"""Who else may hold a migration step back: functions from a step to `migrator.gates.Reason`s. The
migrator knows them by their paths only."""
BELAY_REHEARSAL_HOURS = ENV.rehearsal_hours
"""For how long a rehearsed undo counts before a fault; beyond it the rehearsal is repeated."""
BELAY_OBSERVE_MIN_S = ENV.observe_min_s
"""How long a fault's run goes on looking at the least once the cluster is back. Less than the 20 s
of an installation that says nothing is for tests and for trying things out."""

# -- Applications --------------------------------------------------------------------------------
INSTALLED_APPS = [
    "core.apps.CoreConfig",
    "gamedays",
    "migrator",
    "practice",
    "config.apps.StackConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    # `runserver` must serve static files as gunicorn does.
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "rest_framework",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "core.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.static_files.WholeFilesMiddleware",
    "config.logs.request_id_middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Every page wants a login unless its view says otherwise, never the other way round.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "core.ui.timezone.timezone_middleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "core.ui.refusals.DomainErrorMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["core.ui.tags", "gamedays.ui.strip", "migrator.ui.tags"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "core.ui.session.look",
            ],
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

# -- Database ------------------------------------------------------------------------------------
# A statement's deadline on the server lies below the client's, so that a living server answers
# with a clear error before the client gives its connection up.
_SERVER_OPTIONS = "-c idle_in_transaction_session_timeout=60s"
if ENV.db_deadline_s:
    # A conductor that is stopped between its UPDATE and its COMMIT holds the locks of the lease
    # and of the injection: after two seconds the server takes them, and whoever undoes goes on.
    _SERVER_OPTIONS = "-c idle_in_transaction_session_timeout=2s"
    _SERVER_OPTIONS += f" -c statement_timeout={int(ENV.db_deadline_s * 800)}"
DATABASES: dict[str, dict[str, Any]] = {"default": ENV.database}
if "postgresql" in ENV.database["ENGINE"]:
    DATABASES["default"] |= {
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": ENV.database.get("OPTIONS", {})
        | {
            "connect_timeout": 3,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 5000,
            "application_name": "belay",
            "options": _SERVER_OPTIONS,
        },
    }

# -- Celery --------------------------------------------------------------------------------------
CELERY_BROKER_URL = ENV.redis_url
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
# A short task must not wait behind a long one.
CELERY_TASK_ROUTES = {
    "gamedays.tasks.conduct": {"queue": "faults"},
    "migrator.tasks.conduct_step": {"queue": "steps"},
    # It asks production clusters too, and only this queue's worker holds their key.
    "migrator.tasks.check_ropes": {"queue": "steps"},
    "migrator.tasks.check_rope": {"queue": "steps"},
}
# A message is only a hint: rows and their fences decide. It is taken off the queue when it is
# received, so a lost worker never makes an injection run a second time.
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 2
# Publishing gives up within about two seconds: a page never hangs on a broker that is down, and
# what it wanted to start is found by the next look for due work.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 2,
    "retry_on_timeout": False,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
    "connect_retries_timeout": 2,
}
CELERY_BEAT_SCHEDULE_FILENAME = str(ENV.state_dir / "beat-schedule")
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SCHEDULE = {
    "look-for-due": {
        "task": "gamedays.tasks.look_for_due",
        "schedule": schedule(run_every=1.0),
        # A worker that was away must not find an hour of looks waiting for it.
        "options": {"expires": 5},
    },
    "look-at-steps": {
        "task": "migrator.tasks.look_at_steps",
        "schedule": schedule(run_every=1.0),
        "options": {"expires": 5},
    },
    "look-at-standings": {
        "task": "migrator.tasks.look_at_standings",
        "schedule": schedule(run_every=2.0),
        "options": {"expires": 5},
    },
    "check-ropes": {
        "task": "migrator.tasks.check_ropes",
        "schedule": schedule(run_every=3600.0),
        "options": {"expires": 1800},
    },
    "remove-orphaned-accounts": {
        "task": "gamedays.tasks.remove_orphaned_accounts",
        "schedule": schedule(run_every=300.0),
        "options": {"expires": 300},
    },
}

# -- Language, time, files -----------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served from where the files are (static/), without a collecting step before each start.
STATIC_ROOT = None
WHITENOISE_USE_FINDERS = True

# -- What the browser may do ---------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        # The charts' tooltips set style attributes.
        "style-src-attr": [UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
_HTTPS = ENV.public_url.startswith("https://")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_NAME = "belay_session"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = _HTTPS
CSRF_COOKIE_NAME = "belay_csrf"

# -- Logs ----------------------------------------------------------------------------------------
LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = logging_config(log_format=ENV.log_format, level="DEBUG" if DEBUG else ENV.log_level)
