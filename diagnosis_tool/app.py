"""The one place where the web process is wired. It loads no model and never imports torch."""

import atexit
import os

from flask import Flask

from diagnosis_tool import logs, resources
from diagnosis_tool.cxr.types import Decoder
from diagnosis_tool.decoding.pool import Pool
from diagnosis_tool.domain.access import NO_PROJECTS
from diagnosis_tool.domain.identity import LocalSignIn
from diagnosis_tool.front.headers import ENV_KEY
from diagnosis_tool.services.accounts import Limits
from diagnosis_tool.services.bundles import find_bundles
from diagnosis_tool.services.wiring import make_context
from diagnosis_tool.settings import Settings
from diagnosis_tool.storage.private import keep_private
from diagnosis_tool.storage.secret import stored_secret
from diagnosis_tool.viewer import mount
from diagnosis_tool.web import (
    account,
    accounts,
    audit,
    auth,
    errors,
    exports,
    front,
    health,
    hosts,
    images,
    languages,
    local_sign_in,
    metrics,
    models,
    oidc,
    request_id,
    reviews,
    security,
    sign_in,
    static,
    studies,
    templating,
    worklist,
)
from diagnosis_tool.web.current import attach_context, current_context
from diagnosis_tool.web.uploads import UploadRequest


def create_app(settings: Settings, decoder: Decoder | None = None, *, front_key: str = "") -> Flask:
    """The Flask app with the viewer mounted at /viewer/, on a database that has been migrated.

    decoder: makes films of files; None for processes of its own, started with the first film that is asked for.
    front_key: what a front before it proves itself by (diagnosis_tool.front).
    """
    app = Flask(
        "diagnosis_tool", template_folder=str(resources.templates_dir()), static_folder=str(resources.static_dir())
    )
    app.request_class = UploadRequest
    app.secret_key = settings.secret_key or stored_secret(settings.data_dir)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the order of findings and keys is meant
    context = make_context(
        data_dir=settings.data_dir,
        database_file=settings.database_file,
        projects=NO_PROJECTS,
        bundles=find_bundles(settings.models_dir, settings.bundle),
        audit_key=settings.audit_key,
        quota_bytes=settings.quota_bytes,
        decoder=decoder or _decoders(settings),
    )
    context.inventory.require_newest(resources.migrations_dir())
    context.blobs.sweep()  # what uploads left that a crash cut off
    attach_context(app, context)
    request_id.install(app, is_behind_proxy=settings.trusted_proxies > 0)
    names = hosts.answered_names(settings.host, settings.allowed_hosts)
    hosts.install(app, names=names, proxies=settings.trusted_proxies)
    metrics.install(app, context)
    languages.install(app)
    limits = Limits(idle=settings.session_idle, absolute=settings.session_lifetime)
    may_set_up = settings.local_sign_in is not LocalSignIn.NONE  # else the provider says who administers
    auth.install(app, limits, needs_setup=settings.setup_link and may_set_up)
    front.install(app, front_key)
    templating.install(app)
    static.install(app)
    errors.install(app)
    for blueprint in (
        worklist.blueprint,
        exports.blueprint,
        studies.blueprint,
        images.blueprint,
        models.blueprint,
        reviews.blueprint,
        account.blueprint,
        accounts.blueprint,
        health.blueprint,
        metrics.blueprint,
    ):
        app.register_blueprint(blueprint)
    sign_in.install(app)
    local_sign_in.install(app, settings.local_sign_in)
    oidc.install(app, settings.identity_provider)
    mount.mount_viewer(app, current_context)
    security.install(app)
    audit.install(app)
    return app


def from_env() -> Flask:
    """create_app with the environment's settings: what gunicorn is started with."""
    settings = Settings.from_env()
    logs.configure(settings.log_format)
    keep_private(settings.data_dir)
    front_key = os.environ.pop(ENV_KEY, "")  # no process that decodes inherits it
    decoders = _decoders(settings)
    decoders.start()
    return create_app(settings, decoders, front_key=front_key)


def _decoders(settings: Settings) -> Pool:
    pool = Pool(slow=max(1, settings.web_threads - 2))  # two threads at least answer everybody else
    atexit.register(pool.close)
    return pool
