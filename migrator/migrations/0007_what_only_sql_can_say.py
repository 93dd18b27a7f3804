"""Invariants that Django's models cannot express, so that no code path can talk round them."""

from django.db import migrations

_STAGE_UP = """
ALTER TABLE migrator_plan ADD CONSTRAINT plan_stage_is_its_clusters
    FOREIGN KEY (cluster_id, stage) REFERENCES core_cluster (id, stage)
    DEFERRABLE INITIALLY IMMEDIATE;
"""
_STAGE_DOWN = "ALTER TABLE migrator_plan DROP CONSTRAINT plan_stage_is_its_clusters;"

# No step starts without its way back, or, where it has none, without the signature of somebody
# other than who starts it, under the step as it is now.
_WAY_BACK_UP = """
CREATE FUNCTION migrator_attempt_has_a_way_back() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE kind text; current_version integer;
BEGIN
    IF NEW.direction = 'back' THEN
        RETURN NEW;
    END IF;
    SELECT reversibility, version INTO kind, current_version
        FROM migrator_step WHERE id = NEW.step_id;
    IF kind = 'one_way' THEN
        IF NOT EXISTS (SELECT 1 FROM migrator_signoff s
            WHERE s.step_id = NEW.step_id AND s.step_version = current_version
              AND s.signed_by_id <> NEW.asked_by_id) THEN
            RAISE EXCEPTION 'a one-way step is signed off by a second person first'
                USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NOT EXISTS (SELECT 1 FROM migrator_rollbackplan r WHERE r.step_id = NEW.step_id) THEN
        RAISE EXCEPTION 'no step starts without its way back' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER migrator_attempt_has_a_way_back BEFORE INSERT ON migrator_attempt
    FOR EACH ROW EXECUTE FUNCTION migrator_attempt_has_a_way_back();

CREATE FUNCTION migrator_before_is_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.before <> '{}'::jsonb AND NEW.before <> OLD.before THEN
        RAISE EXCEPTION 'what was written down before a change is never written over'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state = 'changing' AND NEW.before = '{}'::jsonb THEN
        RAISE EXCEPTION 'nothing is changed before it is written down how it was'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER migrator_before_is_for_good BEFORE UPDATE ON migrator_attempt
    FOR EACH ROW EXECUTE FUNCTION migrator_before_is_for_good();

CREATE FUNCTION migrator_versions_are_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of a template is never changed; save a new one'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER migrator_versions_are_for_good BEFORE UPDATE OF steps, number, template_id
    ON migrator_templateversion
    FOR EACH ROW EXECUTE FUNCTION migrator_versions_are_for_good();
"""
_WAY_BACK_DOWN = """
DROP TRIGGER migrator_attempt_has_a_way_back ON migrator_attempt;
DROP FUNCTION migrator_attempt_has_a_way_back();
DROP TRIGGER migrator_before_is_for_good ON migrator_attempt;
DROP FUNCTION migrator_before_is_for_good();
DROP TRIGGER migrator_versions_are_for_good ON migrator_templateversion;
DROP FUNCTION migrator_versions_are_for_good();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("migrator", "0006_plans_and_steps"),
        ("core", "0003_emergency_stop"),
    ]
    operations = [
        migrations.RunSQL(_STAGE_UP, _STAGE_DOWN),
        migrations.RunSQL(_WAY_BACK_UP, _WAY_BACK_DOWN),
    ]
