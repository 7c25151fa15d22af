"""No text of a page, script or sentence lacks in a catalogue."""

import re
from pathlib import Path

import pytest

from diagnosis_tool import resources
from diagnosis_tool.cxr.findings import NIH_OUTPUTS, OTHER_FINDINGS, display_name
from diagnosis_tool.domain import language, wording
from diagnosis_tool.domain.studies import Reason
from diagnosis_tool.errors import DiagnosisToolError, UnreadableInput, UnsupportedImage
from diagnosis_tool.web import languages
from tests import translations

CODES = sorted(folder.name for folder in resources.translations_dir().iterdir())


def test_german_is_there() -> None:
    assert "de" in CODES


@pytest.mark.parametrize("code", CODES)
def test_every_text_is_in_the_catalogue_and_no_other(code: str) -> None:
    known = {m.id if isinstance(m.id, str) else m.id[0] for m in translations.catalogue(code) if m.id}
    found = translations.in_code()
    assert found - known == set(), "run `make messages` and translate what is new"
    assert known - found == set(), "run `make messages`: these texts are no longer in the code"


@pytest.mark.parametrize("code", CODES)
def test_every_text_is_translated_with_its_values(code: str) -> None:
    catalogue = translations.catalogue(code)
    for message in catalogue:
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        if not message.id:
            continue
        assert all(strings), f"{message.id!r} has no translation"
        assert not message.fuzzy, f"{message.id!r} is only guessed"
        for string in strings:
            assert _values(string) <= set().union(*map(_values, ids)), f"{message.id!r} has no such value"
            assert _values(string) >= set.intersection(*map(_values, ids)) - {"n"}, f"{message.id!r} loses a value"


def _values(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)s", text))


def test_python_asks_for_nothing_that_the_extraction_misses() -> None:
    found = translations.in_code()
    for file in (translations.ROOT / "diagnosis_tool").rglob("*.py"):
        assert set(translations.called_for(file.read_text())) <= found, f"{file.name}: not inside an f-string"


@pytest.mark.parametrize("file", translations.TEMPLATES, ids=lambda file: file.name)
def test_templates_show_no_untranslated_words(file: Path) -> None:
    assert translations.unmarked_in_template(file.read_text()) == []


@pytest.mark.parametrize("file", translations.SCRIPTS, ids=lambda file: file.name)
def test_scripts_show_no_untranslated_words(file: Path) -> None:
    assert translations.unmarked_in_script(file.read_text()) == []


def test_the_checks_find_what_they_look_for() -> None:
    template = (
        '<p title="Lost words">{{ _("Found") }} also lost{% trans %} found{% endtrans %}<b>diagnosis-tool</b></p>'
    )
    assert translations.unmarked_in_template(template) == ["Lost words", "also lost"]
    script = 'say(tr("Found.")); say("Lost words"); say(`Lost ${n}`); x = "#chart .ytick"; say(ntr("A %(n)s", "B", n));'
    assert translations.unmarked_in_script(script) == ["Lost words", "Lost 0"]
    assert sorted(translations.called_for("f'{_(1)}' + wording.gettext(2) + other(3)")) == ["1", "2"]


def test_sentences_come_in_the_language_in_use() -> None:
    with language.speaking(languages.language_of("de")):
        assert wording.finding_name("Effusion") == "Erguss"
        assert language.ngettext("%(n)s image", "%(n)s images", 2) == "2 Bilder"
        assert language.gettext("not in the catalogue %(n)s", n=1) == "not in the catalogue 1"
    assert wording.finding_name("Effusion") == "Effusion"


def test_every_finding_has_a_word_in_every_language() -> None:
    assert [display_name(name) for name in (*NIH_OUTPUTS, *OTHER_FINDINGS)] == list(wording._FINDINGS)
    assert wording.finding_name("new_finding") == "new finding"


_VIEW = "This is a %(view)s view; the model reads %(views)s only. Nothing was read."
_SMALL = (
    "The image has only %(width)s x %(height)s pixels; at least %(least)s x %(least)s are needed. "
    "Upload the original, not a preview."
)


@pytest.mark.parametrize(
    ("error", "german"),
    [
        (UnsupportedImage(_VIEW, view="LL", views="PA, AP"), "Dies ist eine LL-Aufnahme; das Modell liest nur PA, AP."),
        (UnsupportedImage(_SMALL, width=8, height=9, least=64), "nur 8 x 9 Pixel; mindestens 64 x 64 sind nötig."),
        (UnreadableInput("The file is empty (0 bytes). Export the image again."), "Die Datei ist leer"),
    ],
)
def test_a_reason_that_was_kept_is_worded_when_it_is_shown(error: DiagnosisToolError, german: str) -> None:
    kept = Reason.of(error)
    assert str(kept) == str(error)
    assert language.gettext(kept.message, **kept.values) == str(error)
    with language.speaking(languages.language_of("de")):
        assert german in language.gettext(kept.message, **kept.values)


def test_errors_say_what_the_extraction_finds() -> None:
    """Their first argument is the text itself, or a constant that is marked: no f-string, nothing put together."""
    for file in (translations.ROOT / "diagnosis_tool").rglob("*.py"):
        assert translations.made_up_errors(file.read_text()) == [], file.name
    assert translations.made_up_errors('raise NotFound(f"lost {x}")') == ["raise NotFound(f'lost {x}')"]
    assert translations.made_up_errors("raise NotFound(_GONE, name=name)") == []
