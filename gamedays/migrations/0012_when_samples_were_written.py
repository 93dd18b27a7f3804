"""Samples tell when they were written, whoever writes them: who has read a run reads only on."""

from django.db import migrations, models
from django.db.models.functions import Now

# The clock and not the beginning of the transaction: it never goes back within one.
_UP = """
CREATE FUNCTION gamedays_samples_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.written_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER gamedays_samples_written BEFORE INSERT OR UPDATE ON gamedays_sampleblock
    FOR EACH ROW EXECUTE FUNCTION gamedays_samples_written();
"""
_DOWN = """
DROP TRIGGER gamedays_samples_written ON gamedays_sampleblock;
DROP FUNCTION gamedays_samples_written();
"""


class Migration(migrations.Migration):
    dependencies = [("gamedays", "0011_newest_ended_run")]

    operations = [
        migrations.AddField(
            model_name="sampleblock",
            name="written_at",
            field=models.DateTimeField(db_default=Now(), editable=False),
        ),
        migrations.AddIndex(
            model_name="sampleblock",
            index=models.Index(fields=["injection", "written_at"], name="sample_block_written"),
        ),
        migrations.RunSQL(_UP, _DOWN),
    ]
