from django.db import migrations


def add_people(apps, _editor):
    customer = apps.get_model("shop", "Customer")
    customer.objects.bulk_create(
        customer(name=f"customer {n}", email=None if n % 100 == 0 else f"c{n}@example.org") for n in range(1, 1001)
    )


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(add_people, migrations.RunPython.noop)]
