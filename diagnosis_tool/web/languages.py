"""Which language a request is answered in, and the catalogue behind it: the one place that meets Babel.

A cookie keeps what the reader chose; without it the browser's wish (Accept-Language) decides, then English.
"""

import json
from functools import cache
from io import BytesIO
from typing import Final
from urllib.parse import urlsplit

from babel import Locale, negotiate_locale
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from flask import Blueprint, Flask, Response, redirect, request
from flask_babel import Babel, get_locale
from werkzeug.wrappers import Response as AnyResponse

from diagnosis_tool import resources
from diagnosis_tool.domain import language
from diagnosis_tool.domain.language import ENGLISH, Language
from diagnosis_tool.errors import NotFound

blueprint = Blueprint("languages", __name__)

COOKIE: Final = "language"
_YEAR_S: Final = 365 * 24 * 3600


def install(app: Flask) -> None:
    """Has every request answered in its reader's language, in templates and in Python."""
    Babel(app, locale_selector=_wanted, configure_jinja=False)
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # put there by the extension
        gettext=language.gettext, ngettext=language.ngettext, newstyle=True
    )
    app.jinja_env.globals.update(language=language, available=available, texts_address=resources.texts_address)
    app.register_blueprint(blueprint)
    app.before_request(lambda: language.choose(language_of(str(get_locale()))))
    app.teardown_request(lambda _error: language.choose(ENGLISH))


@blueprint.get("/language/<code>")
def choose(code: str) -> AnyResponse:
    """Keeps the choice in a cookie and goes back to the page it was made on."""
    if code not in available():
        raise NotFound("There is no translation into this language. Go back to the worklist.")
    response = redirect(_page_before(), 303)
    response.set_cookie(COOKIE, code, max_age=_YEAR_S, samesite="Lax", httponly=True)
    return response


@blueprint.get("/texts/<code>.js")
def texts(code: str) -> Response:
    """The catalogue as a script, for the texts of scripts (static/js/texts.js): inline scripts are not allowed."""
    if code not in available():
        raise NotFound("There is no translation into this language. Go back to the worklist.")
    catalogue = _catalogue(code)
    messages = {_key(message): message.string for message in catalogue or () if message.id}
    plural = catalogue.plural_expr if catalogue is not None else "n != 1"  # C's expression is one of JavaScript's, too
    script = f"window.texts = {{ plural: (n) => Number({plural}), messages: {json.dumps(messages)} }};\n"
    response = Response(script, mimetype="text/javascript")
    response.add_etag()
    response.make_conditional(request)
    if request.args.get("v") == resources.texts_version(code):
        response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
    return response


def _page_before() -> str:
    try:
        before = urlsplit(request.referrer or "")
    except ValueError:  # no address at all
        return "/"
    if before.netloc != request.host or before.path.startswith("//"):
        return "/"
    return f"{before.path}?{before.query}" if before.query else before.path


@cache
def available() -> dict[str, str]:
    """Code and own name of each language there is, English first."""
    codes = sorted(folder.name for folder in resources.translations_dir().iterdir() if folder.is_dir())
    return {code: (Locale.parse(code).get_language_name() or code).capitalize() for code in (ENGLISH.code, *codes)}


def _wanted() -> str:
    chosen = request.cookies.get(COOKIE, "")
    if chosen in available():
        return chosen
    wishes = [wish.replace("-", "_") for wish in request.accept_languages.values()]
    return negotiate_locale(wishes, available()) or ENGLISH.code


@cache
def language_of(code: str) -> Language:
    """The language with its catalogue as gettext reads it."""
    catalogue = _catalogue(code)
    if catalogue is None:
        return ENGLISH
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Language(code=code, translations=Translations(compiled))


def _catalogue(code: str) -> Catalog | None:
    """The .po file itself, so that no compiled copy of it is kept anywhere; None for English."""
    if code == ENGLISH.code:
        return None
    with (resources.translations_dir() / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=code, abort_invalid=True)


def _key(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]
