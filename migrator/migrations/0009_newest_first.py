"""Pages show the newest entries of one plan: found without sorting all of its past."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("migrator", "0008_first_templates")]
    operations = [
        migrations.AddIndex(
            model_name="historyentry",
            index=models.Index(fields=["plan", "-at", "-id"], name="plan_history_newest"),
        ),
        migrations.AddIndex(
            model_name="ropecheck",
            index=models.Index(fields=["plan", "-at", "-id"], name="rope_check_newest"),
        ),
        migrations.AlterField(
            model_name="historyentry",
            name="plan",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="history",
                to="migrator.plan",
            ),
        ),
        migrations.AlterField(
            model_name="ropecheck",
            name="plan",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="rope_checks",
                to="migrator.plan",
            ),
        ),
    ]
