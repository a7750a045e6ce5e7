"""The orders in which an export reads decisions and reviews, each in one index.

In: revision 0005. Out: revision 0006.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put into the indexes what was looked up besides."""
    op.create_index("decision_order", "decision", ["decided_at", "proposal_id"])
    op.drop_index("decision_at", table_name="decision")
    op.create_index("review_by", "review", ["reviewer", "accepted", "received_at", "id"])
    op.drop_index("ix_review_reviewer", table_name="review")


def downgrade() -> None:
    """Take it out."""
    op.create_index("ix_review_reviewer", "review", ["reviewer"])
    op.drop_index("review_by", table_name="review")
    op.create_index("decision_at", "decision", ["decided_at"])
    op.drop_index("decision_order", table_name="decision")
