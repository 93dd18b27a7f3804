"""Invariants that Django's models cannot express, so that no code path can talk round them."""

from django.db import migrations

_QA_ONLY_UP = """
ALTER TABLE gamedays_injection ADD CONSTRAINT injection_cluster_is_qa
    FOREIGN KEY (cluster_id, cluster_stage) REFERENCES core_cluster (id, stage)
    DEFERRABLE INITIALLY IMMEDIATE;
"""
_QA_ONLY_DOWN = "ALTER TABLE gamedays_injection DROP CONSTRAINT injection_cluster_is_qa;"

# `verified_fixed` is a statement about a run, so the run has to say it: the proof belongs to
# this finding, it showed that the symptom does not recur, and it ran after a fix.
_PROOF_UP = """
CREATE FUNCTION gamedays_finding_needs_proof() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'verified_fixed' AND NOT EXISTS (
        SELECT 1 FROM gamedays_verification v
        WHERE v.id = NEW.proof_id AND v.finding_id = NEW.id
          AND v.outcome = 'does_not_recur' AND v.after_fix_id IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'a finding is verified fixed only by a run after its fix'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gamedays_finding_needs_proof BEFORE INSERT OR UPDATE ON gamedays_finding
    FOR EACH ROW EXECUTE FUNCTION gamedays_finding_needs_proof();

CREATE FUNCTION gamedays_verification_is_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.outcome <> '' AND (NEW.outcome <> OLD.outcome OR NEW.measured <> OLD.measured
        OR NEW.after_fix_id IS DISTINCT FROM OLD.after_fix_id
        OR NEW.injection_id IS DISTINCT FROM OLD.injection_id) THEN
        RAISE EXCEPTION 'what a re-verification showed is never changed afterwards'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gamedays_verification_is_for_good BEFORE UPDATE ON gamedays_verification
    FOR EACH ROW EXECUTE FUNCTION gamedays_verification_is_for_good();
"""
_PROOF_DOWN = """
DROP TRIGGER gamedays_finding_needs_proof ON gamedays_finding;
DROP FUNCTION gamedays_finding_needs_proof();
DROP TRIGGER gamedays_verification_is_for_good ON gamedays_verification;
DROP FUNCTION gamedays_verification_is_for_good();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("gamedays", "0001_initial"),
        ("core", "0002_stage_is_for_good"),
    ]
    operations = [
        migrations.RunSQL(_QA_ONLY_UP, _QA_ONLY_DOWN),
        migrations.RunSQL(_PROOF_UP, _PROOF_DOWN),
    ]
