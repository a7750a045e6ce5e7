"""The first schema: proposals, decisions, permits, the event log, reviews, the Argilla bridge.

In: an empty database. Out: revision 0001.
"""

import sqlalchemy as sa
from alembic import op

from errata.db import Utc
from ingestion.events import GENESIS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the head of the empty log."""
    op.create_table(
        "argilladataset",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("questions", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "argillawebhook",
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("url"),
    )
    op.create_table(
        "chainhead",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "event",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("hash"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(op.f("ix_event_proposal_id"), "event", ["proposal_id"], unique=False)
    op.create_table(
        "halt",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("since", Utc(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("lifted_at", Utc(), nullable=True),
        sa.Column("lifted_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "policy",
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("applied_at", Utc(), nullable=False),
        sa.Column("applied_by", sa.String(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_index(op.f("ix_policy_active"), "policy", ["active"], unique=False)
    op.create_table(
        "principal",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("agents", sa.JSON(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("disabled_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "key",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("principal_id", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("revoked_at", Utc(), nullable=True),
        sa.ForeignKeyConstraint(
            ["principal_id"],
            ["principal.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_index(op.f("ix_key_principal_id"), "key", ["principal_id"], unique=False)
    op.create_table(
        "proposal",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("exclude", sa.String(), nullable=True),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("agent_version", sa.String(), nullable=True),
        sa.Column("model_id", sa.String(), nullable=True),
        sa.Column("proposed_by", sa.String(), nullable=True),
        sa.Column("requested_by", sa.String(), nullable=True),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("group_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("action_name", sa.String(), nullable=True),
        sa.Column("risk_level", sa.String(), nullable=True),
        sa.Column("urgency", sa.String(), nullable=False),
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("tool_schema", sa.String(), nullable=True),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("received_at", Utc(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=True),
        sa.Column("on_timeout", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["proposed_by"],
            ["principal.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_proposal_agent_id"), "proposal", ["agent_id"], unique=False)
    op.create_index(op.f("ix_proposal_parent_id"), "proposal", ["parent_id"], unique=False)
    op.create_index(op.f("ix_proposal_task_id"), "proposal", ["task_id"], unique=False)
    op.create_index("proposal_open", "proposal", ["status", "expires_at"], unique=False)
    op.create_index("proposal_received", "proposal", ["received_at"], unique=False)
    op.create_table(
        "decision",
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("got", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Boolean(), nullable=True),
        sa.Column("edit_distance", sa.Float(), nullable=True),
        sa.Column("decided_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.PrimaryKeyConstraint("proposal_id"),
    )
    op.create_index("decision_at", "decision", ["decided_at"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("principal_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["principal_id"],
            ["principal.id"],
        ),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.PrimaryKeyConstraint("principal_id", "key"),
    )
    op.create_index(
        op.f("ix_idempotency_proposal_id"), "idempotency", ["proposal_id"], unique=False
    )
    op.create_table(
        "payload",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.PrimaryKeyConstraint("owner", "id"),
    )
    op.create_index(op.f("ix_payload_proposal_id"), "payload", ["proposal_id"], unique=False)
    op.create_table(
        "permit",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("tool_schema", sa.String(), nullable=True),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("not_before", Utc(), nullable=False),
        sa.Column("expires_at", Utc(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("used_at", Utc(), nullable=True),
        sa.Column("used_by", sa.String(), nullable=True),
        sa.Column("used_key", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.ForeignKeyConstraint(
            ["used_by"],
            ["principal.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("proposal_id"),
    )
    op.create_table(
        "review",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("reviewer_id", sa.String(), nullable=True),
        sa.Column("reviewer_role", sa.String(), nullable=True),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("refusal", sa.String(), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("opened_at", Utc(), nullable=True),
        sa.Column("first_action_at", Utc(), nullable=True),
        sa.Column("decided_at", Utc(), nullable=True),
        sa.Column("received_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.ForeignKeyConstraint(
            ["reviewer_id"],
            ["principal.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_review_proposal_id"), "review", ["proposal_id"], unique=False)
    op.create_index(op.f("ix_review_reviewer"), "review", ["reviewer"], unique=False)
    op.create_table(
        "routing",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_routing_proposal_id"), "routing", ["proposal_id"], unique=False)
    op.create_table(
        "argillarecord",
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("server_id", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("answered", sa.String(), nullable=True),
        sa.Column("pushed_at", Utc(), nullable=True),
        sa.Column("removed_at", Utc(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", Utc(), nullable=False),
        sa.Column("claimed_until", Utc(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["answered"],
            ["review.id"],
        ),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.PrimaryKeyConstraint("external_id"),
    )
    op.create_index("argilla_due", "argillarecord", ["removed_at", "not_before"], unique=False)
    op.create_index(
        op.f("ix_argillarecord_proposal_id"), "argillarecord", ["proposal_id"], unique=False
    )
    op.create_index(
        op.f("ix_argillarecord_server_id"), "argillarecord", ["server_id"], unique=False
    )
    op.create_table(
        "inbox",
        sa.Column("response_id", sa.String(), nullable=False),
        sa.Column("updated_at", Utc(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("review_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.ForeignKeyConstraint(
            ["review_id"],
            ["review.id"],
        ),
        sa.PrimaryKeyConstraint("response_id", "updated_at"),
    )
    op.create_index(op.f("ix_inbox_proposal_id"), "inbox", ["proposal_id"], unique=False)
    op.create_table(
        "receipt",
        sa.Column("permit_id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("started_at", Utc(), nullable=False),
        sa.Column("finished_at", Utc(), nullable=False),
        sa.Column("received_at", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["permit_id"],
            ["permit.id"],
        ),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.PrimaryKeyConstraint("permit_id"),
    )
    op.create_index(op.f("ix_receipt_proposal_id"), "receipt", ["proposal_id"], unique=False)
    op.create_table(
        "reviewpayload",
        sa.Column("review_id", sa.String(), nullable=False),
        sa.Column("proposal_id", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposal.id"],
        ),
        sa.ForeignKeyConstraint(
            ["review_id"],
            ["review.id"],
        ),
        sa.PrimaryKeyConstraint("review_id"),
    )
    op.create_index(
        op.f("ix_reviewpayload_proposal_id"), "reviewpayload", ["proposal_id"], unique=False
    )
    op.bulk_insert(
        sa.table("chainhead", sa.column("id"), sa.column("seq"), sa.column("hash")),
        [{"id": 1, "seq": 0, "hash": GENESIS}],
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index(op.f("ix_reviewpayload_proposal_id"), table_name="reviewpayload")
    op.drop_table("reviewpayload")
    op.drop_index(op.f("ix_receipt_proposal_id"), table_name="receipt")
    op.drop_table("receipt")
    op.drop_index(op.f("ix_inbox_proposal_id"), table_name="inbox")
    op.drop_table("inbox")
    op.drop_index(op.f("ix_argillarecord_server_id"), table_name="argillarecord")
    op.drop_index(op.f("ix_argillarecord_proposal_id"), table_name="argillarecord")
    op.drop_index("argilla_due", table_name="argillarecord")
    op.drop_table("argillarecord")
    op.drop_index(op.f("ix_routing_proposal_id"), table_name="routing")
    op.drop_table("routing")
    op.drop_index(op.f("ix_review_reviewer"), table_name="review")
    op.drop_index(op.f("ix_review_proposal_id"), table_name="review")
    op.drop_table("review")
    op.drop_table("permit")
    op.drop_index(op.f("ix_payload_proposal_id"), table_name="payload")
    op.drop_table("payload")
    op.drop_index(op.f("ix_idempotency_proposal_id"), table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_index("decision_at", table_name="decision")
    op.drop_table("decision")
    op.drop_index("proposal_received", table_name="proposal")
    op.drop_index("proposal_open", table_name="proposal")
    op.drop_index(op.f("ix_proposal_task_id"), table_name="proposal")
    op.drop_index(op.f("ix_proposal_parent_id"), table_name="proposal")
    op.drop_index(op.f("ix_proposal_agent_id"), table_name="proposal")
    op.drop_table("proposal")
    op.drop_index(op.f("ix_key_principal_id"), table_name="key")
    op.drop_table("key")
    op.drop_table("principal")
    op.drop_index(op.f("ix_policy_active"), table_name="policy")
    op.drop_table("policy")
    op.drop_table("halt")
    op.drop_index(op.f("ix_event_proposal_id"), table_name="event")
    op.drop_table("event")
    op.drop_table("chainhead")
    op.drop_table("argillawebhook")
    op.drop_table("argilladataset")
