"""Wherever something of a service is written, it is marked to be looked at again.

Triggers, because verbs, engine, imports and whatever comes later write these tables, and a board that
one of them forgot would tell an untruth. They only add rows to a table that nothing refers to: no
verb waits for another because of them.
"""

from django.db import migrations

_STANDING_UP = """
CREATE FUNCTION migrator_service_has_a_standing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO migrator_servicestanding (service_id, stage, health, sentence, clears, link,
            steps, behind, looked_at, look_again_at)
        SELECT id, 'unplanned', 'not_planned', '', '', '', 0, 0, now(), now() FROM made;
    RETURN NULL;
END $$;
CREATE TRIGGER migrator_service_has_a_standing AFTER INSERT ON migrator_service
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION migrator_service_has_a_standing();
INSERT INTO migrator_servicestanding (service_id, stage, health, sentence, clears, link,
        steps, behind, looked_at, look_again_at)
    SELECT id, 'unplanned', 'not_planned', '', '', '', 0, 0, now(), now() FROM migrator_service;
"""
_STANDING_DOWN = """
DROP TRIGGER migrator_service_has_a_standing ON migrator_service;
DROP FUNCTION migrator_service_has_a_standing();
DELETE FROM migrator_servicestanding;
"""


def _marks(name: str, table: str, after: str, select: str) -> tuple[str, str]:
    """A trigger that marks what `select` finds among the rows `written`."""
    rows = "OLD" if after == "DELETE" else "NEW"
    up = f"""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO migrator_standingmark (service_id) {select};
    RETURN NULL;
END $$;
CREATE TRIGGER {name} AFTER {after} ON {table}
    REFERENCING {rows} TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION {name}();
"""
    return up, f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();"


_ON_CLUSTER = """SELECT DISTINCT p.service_id FROM written w
    JOIN migrator_plan p ON p.cluster_id = w.cluster_id AND p.archived_at IS NULL"""
_IN_WAVE = "SELECT m.service_id FROM written w JOIN migrator_waveservice m ON m.wave_id = w.id"
# Every verb on a plan and every move of the engine leaves a row in the plan's history.
_MARKS = (
    _marks(
        "migrator_history_marks",
        "migrator_historyentry",
        "INSERT",
        "SELECT DISTINCT p.service_id FROM written w JOIN migrator_plan p ON p.id = w.plan_id",
    ),
    _marks("migrator_service_marks", "migrator_service", "UPDATE", "SELECT id FROM written"),
    _marks(
        "migrator_dependency_marks",
        "migrator_dependency",
        "INSERT",
        "SELECT DISTINCT service_id FROM written",
    ),
    _marks(
        "migrator_no_dependency_marks",
        "migrator_dependency",
        "DELETE",
        "SELECT DISTINCT service_id FROM written",
    ),
    _marks("migrator_freeze_marks", "migrator_freezewindow", "INSERT", _ON_CLUSTER),
    _marks("migrator_thaw_marks", "migrator_freezewindow", "UPDATE", _ON_CLUSTER),
    _marks(
        "migrator_put_in_marks", "migrator_waveservice", "INSERT", "SELECT service_id FROM written"
    ),
    _marks(
        "migrator_taken_out_marks",
        "migrator_waveservice",
        "DELETE",
        "SELECT service_id FROM written",
    ),
    _marks("migrator_wave_marks", "migrator_wave", "UPDATE", _IN_WAVE),
)

_FOR_GOOD_UP = """
CREATE FUNCTION migrator_wavechange_is_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history of a wave is never rewritten'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER migrator_wavechange_is_for_good BEFORE UPDATE ON migrator_wavechange
    FOR EACH ROW EXECUTE FUNCTION migrator_wavechange_is_for_good();
"""
_FOR_GOOD_DOWN = """
DROP TRIGGER migrator_wavechange_is_for_good ON migrator_wavechange;
DROP FUNCTION migrator_wavechange_is_for_good();
"""


class Migration(migrations.Migration):
    dependencies = [("migrator", "0010_overview")]
    operations = [
        migrations.RunSQL(_STANDING_UP, _STANDING_DOWN),
        *(migrations.RunSQL(up, down) for up, down in _MARKS),
        migrations.RunSQL(_FOR_GOOD_UP, _FOR_GOOD_DOWN),
    ]
