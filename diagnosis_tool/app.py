"""The one place where the web process is wired. It loads no model and never imports torch."""

from flask import Flask

from diagnosis_tool import resources
from diagnosis_tool.services.bundles import find_bundles
from diagnosis_tool.services.wiring import make_context
from diagnosis_tool.settings import Settings
from diagnosis_tool.storage.secret import stored_secret
from diagnosis_tool.viewer import mount
from diagnosis_tool.web import (
    errors,
    exports,
    health,
    images,
    languages,
    models,
    readers,
    reviews,
    security,
    studies,
    templating,
    worklist,
)
from diagnosis_tool.web.current import attach_context
from diagnosis_tool.web.uploads import UploadRequest


def create_app(settings: Settings) -> Flask:
    """The Flask app with the viewer mounted at /viewer/, on a database that has been migrated."""
    app = Flask(
        "diagnosis_tool", template_folder=str(resources.templates_dir()), static_folder=str(resources.static_dir())
    )
    app.request_class = UploadRequest
    app.secret_key = settings.secret_key or stored_secret(settings.data_dir)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the order of findings and keys is meant
    context = make_context(
        data_dir=settings.data_dir,
        database_file=settings.database_file,
        bundles=find_bundles(settings.models_dir, settings.bundle),
    )
    context.blobs.sweep()  # what uploads left that a crash cut off
    attach_context(app, context)
    languages.install(app)
    templating.install(app)
    errors.install(app)
    for blueprint in (
        worklist.blueprint,
        exports.blueprint,
        studies.blueprint,
        images.blueprint,
        models.blueprint,
        reviews.blueprint,
        readers.blueprint,
        health.blueprint,
    ):
        app.register_blueprint(blueprint)
    security.install(app, mount.mount_viewer(app, context))
    return app


def from_env() -> Flask:
    """create_app with the environment's settings: what gunicorn is started with."""
    return create_app(Settings.from_env())
