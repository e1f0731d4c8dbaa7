from django.db import migrations, models


def fill_in(apps, _editor):
    for customer in apps.get_model("shop", "Customer").objects.filter(email=None):
        customer.email = f"unknown-{customer.pk}@example.invalid"
        customer.save()


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_people")]
    operations = [
        migrations.RunPython(fill_in, migrations.RunPython.noop),
        migrations.AlterField("customer", "email", models.TextField(unique=True)),
    ]
