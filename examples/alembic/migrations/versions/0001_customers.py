"""Customers, a few of them without an e-mail address."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    customers = op.create_table(
        "customers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
    )
    people = [{"name": f"customer {n}", "email": None if n % 100 == 0 else f"c{n}@example.org"} for n in range(1, 1001)]
    op.bulk_insert(customers, people)


def downgrade() -> None:
    op.drop_table("customers")
