"""What was written into a service's history is never rewritten."""

from django.db import migrations

_UP = """
CREATE FUNCTION migrator_servicechange_is_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history of a service is never rewritten'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER migrator_servicechange_is_for_good BEFORE UPDATE ON migrator_servicechange
    FOR EACH ROW EXECUTE FUNCTION migrator_servicechange_is_for_good();
"""
_DOWN = """
DROP TRIGGER migrator_servicechange_is_for_good ON migrator_servicechange;
DROP FUNCTION migrator_servicechange_is_for_good();
"""


class Migration(migrations.Migration):
    dependencies = [("migrator", "0004_inventory_constraints")]
    operations = [migrations.RunSQL(_UP, _DOWN)]
