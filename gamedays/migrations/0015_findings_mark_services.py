"""A finding that is logged, or proved fixed, is seen on the board of migrations at once.

The board keeps its rows ready (migration 0010 of the migrator); a finding holds the service that it
names, or every service that moves on its cluster.
"""

from django.db import migrations

_SELECT = """INSERT INTO migrator_standingmark (service_id)
        SELECT service_id FROM written WHERE service_id IS NOT NULL
        UNION
        SELECT p.service_id FROM written w JOIN migrator_plan p
            ON p.cluster_id = w.cluster_id AND p.archived_at IS NULL
            WHERE w.service_id IS NULL;"""


def _marks(name: str, after: str) -> tuple[str, str]:
    up = f"""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {_SELECT}
    RETURN NULL;
END $$;
CREATE TRIGGER {name} AFTER {after} ON gamedays_finding
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION {name}();
"""
    return up, f"DROP TRIGGER {name} ON gamedays_finding; DROP FUNCTION {name}();"


class Migration(migrations.Migration):
    dependencies = [
        ("gamedays", "0014_findings_about_services"),
        ("migrator", "0011_standings_are_marked"),
    ]
    operations = [
        migrations.RunSQL(*_marks("gamedays_finding_marks", "INSERT")),
        migrations.RunSQL(*_marks("gamedays_fixed_finding_marks", "UPDATE")),
    ]
