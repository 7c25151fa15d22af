"""Brings the database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine


def migrate(engine: Engine, migrations: Path, revision: str = "head") -> None:
    """Runs the numbered migrations up to `revision`; does nothing when the database is there already."""
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))  # Alembic interpolates
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
