"""Terms of a routing, voided votes, memberships and keys that end, claims, tasks for people.

In: revision 0002. Out: revision 0003.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from errata.db import Utc

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table; every routing so far asked for one person's word."""
    with op.batch_alter_table("routing") as routing:
        # A default only for the rows that are there: the code always states the terms.
        routing.add_column(sa.Column("terms", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("routing") as routing:
        routing.alter_column("terms", server_default=None)
    op.add_column("routing", sa.Column("lot", sa.String(), nullable=True))
    op.add_column("review", sa.Column("void", sa.String(), nullable=True))
    op.add_column("key", sa.Column("expires_at", Utc(), nullable=True))
    op.add_column("proposal", sa.Column("claimed_by", sa.String(), nullable=True))
    op.add_column("proposal", sa.Column("claimed_until", Utc(), nullable=True))
    op.create_table(
        "task",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("sort", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("opened_at", Utc(), nullable=False),
        sa.Column("closed_at", Utc(), nullable=True),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_task_proposal_id"), "task", ["proposal_id"])
    op.create_index(op.f("ix_task_status"), "task", ["status"])
    _rewrite_groups(lambda groups: dict.fromkeys(groups))
    _add_alarms()
    _add_runs()


def downgrade() -> None:
    """Drop them; when memberships end is forgotten."""
    _drop_runs()
    _drop_alarms()
    _rewrite_groups(sorted)
    op.drop_table("task")
    for table, column in (
        ("proposal", "claimed_until"),
        ("proposal", "claimed_by"),
        ("key", "expires_at"),
        ("review", "void"),
        ("routing", "lot"),
        ("routing", "terms"),
    ):
        op.drop_column(table, column)


def _rewrite_groups(change: Callable[[Any], Any]) -> None:
    rows = sa.table("principal", sa.column("id"), sa.column("groups", sa.JSON))
    bind = op.get_bind()
    for id_, groups in bind.execute(sa.select(rows.c.id, rows.c.groups)).all():
        bind.execute(sa.update(rows).where(rows.c.id == id_).values(groups=change(groups)))


def _add_alarms() -> None:
    """What is raised, what agents say they ran, and what the looking for both needs."""
    op.create_table(
        "alarm",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.Column("proposal_id", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("raised_at", Utc(), nullable=False),
        sa.Column("closed_at", Utc(), nullable=True),
        sa.Column("closed_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("alarm_open", "alarm", ["closed_at", "raised_at"])
    op.create_index(op.f("ix_alarm_proposal_id"), "alarm", ["proposal_id"])
    op.create_table(
        "execution",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("reported_by", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("received_at", Utc(), nullable=False),
        sa.Column("permit_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["reported_by"], ["principal.id"]),
        sa.ForeignKeyConstraint(["permit_id"], ["permit.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("permit_id"),
        sa.UniqueConstraint("agent_id", "fingerprint", "at", name="execution_once"),
    )
    op.create_index("permit_due", "permit", ["status", "expires_at"])
    op.create_index(op.f("ix_permit_digest"), "permit", ["digest"])
    op.drop_index(op.f("ix_proposal_agent_id"), "proposal")
    op.create_index("proposal_agent", "proposal", ["agent_id", "received_at"])
    op.create_index("decision_by", "decision", ["by", "decided_at"])


def _drop_alarms() -> None:
    op.drop_index("decision_by", "decision")
    op.drop_index("proposal_agent", "proposal")
    op.create_index(op.f("ix_proposal_agent_id"), "proposal", ["agent_id"])
    op.drop_index(op.f("ix_permit_digest"), "permit")
    op.drop_index("permit_due", "permit")
    op.drop_table("execution")
    op.drop_table("alarm")


def _add_runs() -> None:
    """Runs and their steps, what waits for what, feedback, and the texts of these."""
    op.create_table(
        "run",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("begun_by", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=True),
        sa.Column("word", sa.String(), nullable=True),
        sa.Column("word_by", sa.String(), nullable=True),
        sa.Column("word_at", Utc(), nullable=True),
        sa.Column("begun_at", Utc(), nullable=False),
        sa.Column("changed_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["begun_by"], ["principal.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("run_newest", "run", ["begun_at"])
    op.create_index(op.f("ix_run_begun_by"), "run", ["begun_by"])
    op.create_table(
        "runstep",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=True),
        sa.Column("proposal_id", sa.String(), nullable=True),
        sa.Column("at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"]),
        sa.PrimaryKeyConstraint("run_id", "id"),
    )
    op.create_index(op.f("ix_runstep_proposal_id"), "runstep", ["proposal_id"])
    op.create_table(
        "dependency",
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("needed_id", sa.String(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"]),
        sa.ForeignKeyConstraint(["needed_id"], ["proposal.id"]),
        sa.PrimaryKeyConstraint("proposal_id", "needed_id"),
    )
    op.create_index(op.f("ix_dependency_needed_id"), "dependency", ["needed_id"])
    op.create_index(op.f("ix_dependency_open"), "dependency", ["open"])
    _add_feedback()


def _add_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("thumb", sa.String(), nullable=False),
        sa.Column("given_by", sa.String(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"]),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.ForeignKeyConstraint(["given_by"], ["principal.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("proposal_id", "run_id", "task_id", "at"):
        op.create_index(op.f(f"ix_feedback_{column}"), "feedback", [column])
    op.create_table(
        "note",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("proposal_id", sa.String(), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"]),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposal.id"]),
        sa.PrimaryKeyConstraint("owner", "id"),
    )
    for column in ("run_id", "proposal_id"):
        op.create_index(op.f(f"ix_note_{column}"), "note", [column])


def _drop_runs() -> None:
    for table in ("note", "feedback", "dependency", "runstep", "run"):
        op.drop_table(table)
