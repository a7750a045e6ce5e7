"""Versions of agents and their stages.

In: revision 0004. Out: revision 0005.
"""

import sqlalchemy as sa
from alembic import op

from errata.db import Utc

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "agentversion",
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("data", sa.String(), nullable=True),
        sa.Column("registered_at", Utc(), nullable=False),
        sa.Column("staged_at", Utc(), nullable=False),
        sa.Column("staged_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "version"),
    )


def downgrade() -> None:
    """Drop it; every version is as the policy alone says again."""
    op.drop_table("agentversion")
