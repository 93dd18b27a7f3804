"""A cluster's stage never changes: everything that keeps faults off production rests on it."""

from django.db import migrations

_UP = """
CREATE FUNCTION core_cluster_stage_is_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.stage <> OLD.stage OR NEW.uid <> OLD.uid THEN
        RAISE EXCEPTION 'the stage and the UID of a cluster are fixed at registration'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER core_cluster_stage_is_for_good BEFORE UPDATE ON core_cluster
    FOR EACH ROW EXECUTE FUNCTION core_cluster_stage_is_for_good();
"""
_DOWN = """
DROP TRIGGER core_cluster_stage_is_for_good ON core_cluster;
DROP FUNCTION core_cluster_stage_is_for_good();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [migrations.RunSQL(_UP, _DOWN)]
