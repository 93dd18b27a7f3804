"""What a re-verification has judged is not changed afterwards: neither its answer nor the question."""

from django.db import migrations

_UP = """
CREATE FUNCTION gamedays_judged_symptom_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.symptom IS DISTINCT FROM OLD.symptom AND EXISTS (
        SELECT 1 FROM gamedays_verification v
        WHERE v.finding_id = NEW.id AND v.outcome IN ('recurs', 'does_not_recur')
    ) THEN
        RAISE EXCEPTION 'a symptom that a re-verification has judged stays as it was judged'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gamedays_judged_symptom_stays BEFORE UPDATE ON gamedays_finding
    FOR EACH ROW EXECUTE FUNCTION gamedays_judged_symptom_stays();
"""
_DOWN = """
DROP TRIGGER gamedays_judged_symptom_stays ON gamedays_finding;
DROP FUNCTION gamedays_judged_symptom_stays();
"""


class Migration(migrations.Migration):
    dependencies = [("gamedays", "0008_recurrences")]
    operations = [migrations.RunSQL(_UP, _DOWN)]
