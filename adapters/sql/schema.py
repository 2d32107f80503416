"""The tables. How each version of them became the next one: migrations.py."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
)

metadata = MetaData()

schema_version = Table("lettabot_schema", metadata, Column("version", Integer, primary_key=True))

conversations = Table(
    "lettabot_conversations",
    metadata,
    Column("agent_id", String, primary_key=True),
    Column("chat", String, primary_key=True),
    Column("conversation", String, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

conversations_by_chat = Index("lettabot_conversations_by_chat", conversations.c.chat)

conversations_of_agent = Index(
    "lettabot_conversations_of_agent", conversations.c.agent_id, conversations.c.conversation
)

# When somebody last gave a conversation to a chat, or took one from it.
assignments = Table(
    "lettabot_assignments",
    metadata,
    Column("agent_id", String, primary_key=True),
    Column("chat", String, primary_key=True),
    Column("assigned_at", Float, nullable=False),
)

turns = Table(
    "lettabot_turns",
    metadata,
    Column("key", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("delivery_id", String, nullable=False),
    Column("deduplicated", Boolean, nullable=False),
    Column("began_at", Float, nullable=False),
    Column("forget_at", Float, nullable=False),
    Column("lane", String, nullable=False),
    Column("message_digest", LargeBinary, nullable=False),
    Column("user_message_id", String),
    Column("run_id", String),
    Column("ended_at", Float),
    Column("events", LargeBinary),
    Column("remembered_events", LargeBinary),
    Column("answered", Boolean, nullable=False),
    Column("highest_retry_answered", Integer, nullable=False),
    Column("response_id", String),
)
turns_by_end = Index("lettabot_turns_by_end", turns.c.forget_at)
turns_by_lane = Index("lettabot_turns_by_lane", turns.c.lane, turns.c.began_at)

tickets = Table(
    "lettabot_tickets",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("lane", String, nullable=False),
    Column("key", String, nullable=False),
    Column("holder", String, nullable=False),
    # Of a process that has died: it stays until a turn that came after it has been carried out.
    Column("crashed", Boolean, nullable=False),
    # A number is never used again, even if it was the last one.
    sqlite_autoincrement=True,
)
tickets_by_lane = Index("lettabot_tickets_by_lane", tickets.c.lane, tickets.c.number)

jobs = Table(
    "lettabot_jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("key", String, unique=True),
    Column("body", LargeBinary, nullable=False),
    Column("state", String, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("ended_at", Float),
    Column("job", LargeBinary, nullable=False),
    Column("owner", String),
)
jobs_by_body = Index("lettabot_jobs_by_body", jobs.c.body)
jobs_by_state = Index("lettabot_jobs_by_state", jobs.c.open, jobs.c.ended_at)
jobs_by_owner = Index("lettabot_jobs_by_owner", jobs.c.owner, jobs.c.id)

# Open jobs only, so that whoever looks for them need not read what else is known of a job.
open_jobs = Table(
    "lettabot_open_jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("lane", String, nullable=False),
    # Only its callback is left.
    Column("finished", Boolean, nullable=False),
    # In bytes, of the message; 0 when that is of no more use.
    Column("size", BigInteger, nullable=False),
    Column("message", LargeBinary),
)
open_jobs_by_owner = Index("lettabot_open_jobs_by_owner", open_jobs.c.owner, open_jobs.c.size)

# Only in PostgreSQL: keys that are for one machine are in files.
keys = Table(
    "lettabot_keys",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("name", String, nullable=False, unique=True),
    Column("content", LargeBinary, nullable=False),
)


approvals = Table(
    "lettabot_approvals",
    metadata,
    Column("agent_id", String, primary_key=True),
    Column("call_id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("asked_at", Float, nullable=False),
)

histories = Table(
    "lettabot_histories",
    metadata,
    Column("conversation", String, primary_key=True),
    Column("messages", LargeBinary, nullable=False),
    Column("updated_at", Float, nullable=False),
    # What is older than these columns is in no list; when it was made is not known.
    Column("list", String, nullable=False, server_default=""),
    Column("created_at", Float, nullable=False, server_default="0"),
    Column("summary", String, nullable=False, server_default=""),
    Column("message_count", Integer, nullable=True),
)
histories_by_list = Index("lettabot_histories_by_list", histories.c.list, histories.c.created_at)

responses = Table(
    "lettabot_responses",
    metadata,
    Column("id", String, primary_key=True),
    Column("lane", String, nullable=False),
    # Of all that was said in it, in bytes.
    Column("size", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    # The items that were sent.
    Column("input", LargeBinary),
    # What was said, if it was written all at once.
    Column("events", LargeBinary),
)
# So that nobody has to read what was said to see how much it is.
responses_by_size = Index("lettabot_responses_by_size", responses.c.id, responses.c.size)

# What was said in responses in the background, in pieces.
response_events = Table(
    "lettabot_response_events",
    metadata,
    Column("response_id", String, primary_key=True),
    # The number of the first event in this piece.
    Column("position", Integer, primary_key=True),
    Column("events", LargeBinary, nullable=False),
)

heads = Table(
    "lettabot_conversation_heads",
    metadata,
    Column("lane", String, primary_key=True),
    # Or the beginning of an id, a moment: something else was said then, after the last response.
    Column("response_id", String, nullable=False),
)

client_conversations = Table(
    "lettabot_client_conversations",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("conversation", LargeBinary, nullable=False),
)

conversation_items = Table(
    "lettabot_conversation_items",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
items_by_conversation = Index("lettabot_items_by_conversation", conversation_items.c.conversation_id)

# What processes tell each other of their turns.
turn_reports = Table(
    "lettabot_turn_reports",
    metadata,
    Column("id", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("has_ended", Boolean, nullable=False),
    Column("is_to_stop", Boolean, nullable=False),
    Column("report", LargeBinary, nullable=False),
)
turn_reports_by_holder = Index("lettabot_turn_reports_by_holder", turn_reports.c.holder, turn_reports.c.has_ended)
