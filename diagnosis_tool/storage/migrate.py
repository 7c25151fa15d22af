"""Brings the database to the newest schema, and says which one it has."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from diagnosis_tool.errors import DatabaseInvalid
from diagnosis_tool.storage.database import in_words

_NEWER: Final = (
    "The database has schema %(revision)s, which this release does not know: a newer release made it. "
    "Run that release, or restore a backup that this one made."
)
_NOT_MIGRATED: Final = (
    "The database has schema %(revision)s, this release works on %(newest)s. Run `diagnosis-tool migrate`."
)
_NO_SCHEMA: Final = "none"


def migrate(engine: Engine, migrations: Path, revision: str = "head") -> None:
    """Runs the numbered migrations up to `revision`; does nothing when the database is there already.

    Raises DatabaseInvalid for a database that is damaged or of a newer release; nothing is changed then.
    """
    config = _config(migrations)
    _known_revision(engine, ScriptDirectory.from_config(config))
    with in_words(), engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def require_newest(engine: Engine, migrations: Path) -> None:
    """Raises DatabaseInvalid unless the database has the schema that this release works on."""
    scripts = ScriptDirectory.from_config(_config(migrations))
    found, newest = _known_revision(engine, scripts), scripts.get_current_head()
    if found != newest:
        raise DatabaseInvalid(_NOT_MIGRATED, revision=found or _NO_SCHEMA, newest=newest)


def schema_revision(engine: Engine, migrations: Path) -> str:
    """The schema's number, or 'none'. Raises DatabaseInvalid for a database that is damaged or of a newer release."""
    return _known_revision(engine, ScriptDirectory.from_config(_config(migrations))) or _NO_SCHEMA


def _known_revision(engine: Engine, scripts: ScriptDirectory) -> str | None:
    with in_words(), engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise DatabaseInvalid(_NEWER, revision=found)
    return found


def _config(migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))  # Alembic interpolates
    return config
