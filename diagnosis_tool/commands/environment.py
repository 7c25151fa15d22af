"""What commands work on, as the environment says it."""

import os

from diagnosis_tool import resources
from diagnosis_tool.domain.access import ALL_PROJECTS
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.wiring import make_context
from diagnosis_tool.settings import Settings


def settings_with(*, bundle: str | None = None, workers: str | None = None) -> Settings:
    """The environment's settings; what an option says (not None) goes before. Raises SettingsInvalid."""
    said = {"BUNDLE": bundle, "WORKERS": workers}
    return Settings.from_env({**os.environ, **{key: value for key, value in said.items() if value is not None}})


def context_of(settings: Settings) -> Context:
    """The stores of the settings' data folder, whose database has been migrated."""
    return make_context(
        data_dir=settings.data_dir,
        database_file=settings.database_file,
        projects=ALL_PROJECTS,
        audit_key=settings.audit_key,
    )


def existing_context() -> Context:
    """The stores of DATA_DIR. Raises NotFound when it holds no database, DatabaseInvalid for one of another release."""
    settings = settings_with()
    if not settings.database_file.is_file():
        raise NotFound("%(folder)s holds no database. Set DATA_DIR to the data folder.", folder=settings.data_dir)
    context = context_of(settings)
    context.inventory.require_newest(resources.migrations_dir())
    return context
