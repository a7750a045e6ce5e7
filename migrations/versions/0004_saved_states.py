"""Saved states of agents, and what they wait for.

In: revision 0003. Out: revision 0004.
"""

import sqlalchemy as sa
from alembic import op

from errata.db import Utc

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "savedstate",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("agent_version", sa.String(), nullable=True),
        sa.Column("owner_id", sa.String(), nullable=False),
        sa.Column("framework_name", sa.String(), nullable=False),
        sa.Column("framework_version", sa.String(), nullable=False),
        sa.Column("tools", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("request_key", sa.String(), nullable=False),
        sa.Column("taken_by", sa.String(), nullable=True),
        sa.Column("taken_key", sa.String(), nullable=True),
        sa.Column("taken_until", Utc(), nullable=True),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["principal.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner_id", "request_key", name="savedstate_once"),
    )
    op.create_index("savedstate_own", "savedstate", ["owner_id", "status", "created_at"])
    op.create_index("savedstate_due", "savedstate", ["status", "expires_at"])
    op.create_table(
        "statewait",
        sa.Column("state_id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["state_id"], ["savedstate.id"]),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"]),
        sa.PrimaryKeyConstraint("state_id", "proposal_id"),
    )
    op.create_index(op.f("ix_statewait_proposal_id"), "statewait", ["proposal_id"])


def downgrade() -> None:
    """Drop them; what is saved is lost."""
    op.drop_table("statewait")
    op.drop_table("savedstate")
