"""Services from before the inventory named a workload without its kind, or without a namespace."""

from django.db import migrations

_UP = """
UPDATE migrator_service SET workload_kind = 'Deployment' WHERE workload <> '';
UPDATE migrator_service SET namespace = 'default'
    WHERE namespace = '' AND (workload <> '' OR route <> '');
"""


class Migration(migrations.Migration):
    dependencies = [("migrator", "0002_inventory")]
    operations = [migrations.RunSQL(_UP, migrations.RunSQL.noop)]
