"""The order of decisions in one index, so that an export is cut into parts without sorting them.

In: revision 0005. Out: revision 0006.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put the id into the index."""
    op.create_index("decision_order", "decision", ["decided_at", "proposal_id"])
    op.drop_index("decision_at", table_name="decision")


def downgrade() -> None:
    """Take it out."""
    op.create_index("decision_at", "decision", ["decided_at"])
    op.drop_index("decision_order", table_name="decision")
