"""Orders, which belong to customers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("total", sa.Numeric(10, 2), nullable=False),
    )
    op.execute("INSERT INTO orders (customer_id, total) SELECT id, id * 1.5 FROM customers")


def downgrade() -> None:
    op.drop_table("orders")
