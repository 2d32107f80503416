"""Makes Letta's tables from its ORM, because its wheel carries no migrations. Runs with Letta's own Python."""

import os

from letta.orm import Base  # type: ignore[import-not-found]
from sqlalchemy import create_engine, text

engine = create_engine(os.environ["LETTA_PG_URI"].replace("postgresql://", "postgresql+pg8000://"))
with engine.begin() as database:
    database.execute(text("create extension if not exists vector"))
Base.metadata.create_all(engine)
with engine.begin() as database:
    # The one column whose default lives in the migrations only.
    database.execute(text("create sequence if not exists message_seq_id owned by messages.sequence_id"))
    database.execute(text("alter table messages alter column sequence_id set default nextval('message_seq_id')"))
