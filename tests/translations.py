"""Reads the texts of the code, as `make messages` does, and what it would miss."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.jslexer import tokenize
from babel.messages.pofile import read_po
from jinja2 import Environment

from diagnosis_tool.errors import BundleInvalid, DiagnosisToolError, SettingsInvalid

ROOT: Final = Path(__file__).resolve().parents[1]
TEMPLATES: Final = sorted((ROOT / "templates").glob("**/*.html"))
SCRIPTS: Final = sorted((ROOT / "static" / "js").rglob("*.js"))
_SPOKEN: Final = {"alt", "aria-label", "aria-description", "aria-roledescription", "placeholder", "title"}
_NAMES: Final = {"diagnosis-tool", "px"}
"""Stand in every language as they are."""
_TECHNICAL: Final = {"Accept", "Escape", "Files"}
"""Names of HTTP and of the browser that scripts use."""


@cache
def in_code() -> set[str]:
    """The message ids of all texts that `make messages` finds (of plurals the one for one thing)."""
    with (ROOT / "babel.cfg").open() as file:
        mapping, options = parse_mapping_cfg(file)
    words = re.search(r"^KEYWORDS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words is not None
    keywords = {**DEFAULT_KEYWORDS, **parse_keywords(words[1].split())}
    found = set()
    for folder in ("diagnosis_tool", "templates", "static/js"):
        for _, _, message, _, _ in extract_from_dir(ROOT / folder, mapping, options, keywords):
            found.add(message if isinstance(message, str) else message[0])
    return found


def catalogue(code: str) -> Catalog:
    """The language's catalogue."""
    with (ROOT / "translations" / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=code)


def called_for(source: str) -> Iterator[str]:
    """What Python code asks a translation for, also inside f-strings, which Babel does not read."""
    for node in ast.walk(ast.parse(source)):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute) and node.args
        if not named or not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        first = node.args[0]
        if name in {"_", "gettext", "ngettext", "gettext_noop"} and isinstance(first, ast.Constant):
            yield str(first.value)


def made_up_errors(source: str) -> list[str]:
    """Where Python code raises an error for readers whose text the extraction cannot find."""
    classes = {kind.__name__ for kind in _spoken_errors(DiagnosisToolError)}
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    faults = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id in classes]
    plain = (ast.Constant, ast.Name, ast.Attribute)
    return [f"raise {ast.unparse(call)}" for call in faults if not isinstance(call.args[0], plain)]


def _spoken_errors(kind: type[DiagnosisToolError]) -> Iterator[type[DiagnosisToolError]]:
    for child in kind.__subclasses__():
        if child not in {BundleInvalid, SettingsInvalid}:  # for who runs the server
            yield child
            yield from _spoken_errors(child)


def unmarked_in_template(source: str) -> list[str]:
    """Words that a template shows or speaks without asking for a translation."""
    reader = _Shown()
    inside = False
    for _, kind, value in Environment(trim_blocks=True).lex(source):
        if kind == "name" and value in {"trans", "endtrans"}:
            inside = value == "trans"
        if kind == "data" and not inside:
            reader.feed(value)
        elif kind == "variable_begin":
            reader.feed("0")
    return reader.words


class _Shown(HTMLParser):
    """Gathers text and spoken attributes that hold words."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in _SPOKEN:
                self.handle_data(value or "")

    def handle_data(self, data: str) -> None:
        for word in re.findall(r"[^\W\d_][\w-]*", data):
            if word not in _NAMES:
                self.words.append(data.strip())
                return


def unmarked_in_script(source: str) -> list[str]:
    """Strings of a script that read like a sentence or a label and are not given to tr() or ntr()."""
    before: list[str] = []
    words = []
    depth_of_call: list[bool] = []
    for token in tokenize(source):
        if token.value == "(":
            depth_of_call.append(bool(before) and before[-1] in {"tr", "ntr"})
        elif token.value == ")" and depth_of_call:
            depth_of_call.pop()
        elif token.type in {"string", "template_string"} and not any(depth_of_call):
            text = re.sub(r"\$\{.*?\}", "0", token.value[1:-1])
            if re.match(r"[A-Z][a-z]+([ .…!?]|$)", text) and before[-1:] != ["==="] and text not in _TECHNICAL:
                words.append(text)
        if token.type not in {"linecomment", "multilinecomment"}:
            before.append(token.value)
    return words
