"""Every customer has an e-mail address: those without get one that nobody reads."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    connection = op.get_bind()
    missing = connection.execute(sa.text("SELECT id FROM customers WHERE email IS NULL")).scalars().all()
    for customer in missing:
        connection.execute(
            sa.text("UPDATE customers SET email = :email WHERE id = :id"),
            {"id": customer, "email": f"unknown-{customer}@example.invalid"},
        )
    op.alter_column("customers", "email", nullable=False)
    op.create_index("customers_email", "customers", ["email"], unique=True)


def downgrade() -> None:
    op.drop_index("customers_email")
    op.alter_column("customers", "email", nullable=True)
