"""Records that only say that an answer did not count leave after a time.

In: revision 0001. Out: revision 0002.
"""

import sqlalchemy as sa
from alembic import op

from errata.db import Utc

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the time; every record so far asks something."""
    op.add_column("argillarecord", sa.Column("leaves_at", Utc(), nullable=True))


def downgrade() -> None:
    """Drop the time."""
    op.drop_column("argillarecord", "leaves_at")
