"""A finding may be about one service; it then holds back nobody else's steps."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gamedays", "0013_required_proofs"),
        ("migrator", "0008_first_templates"),
    ]

    operations = [
        migrations.AddField(
            model_name="finding",
            name="service",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="findings",
                to="migrator.service",
            ),
        ),
    ]
