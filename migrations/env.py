"""Alembic's environment: runs on the connection that diagnosis_tool.storage.migrate brings."""

from alembic import context

from diagnosis_tool.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
