"""Templates are checked before anything is sent: every mistake has a file and a line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crmsync.configuration import packaged_folder
from crmsync.configuration_notices import EVENTS
from crmsync.errors import ConfigError
from crmsync.notices.speech import nearest_locale
from crmsync.notices.templates import Templates, open_templates, sample_values
from crmsync.notices.variables import audience_kind, texts, variables_of

PACKAGED = packaged_folder() / "notices"
LOCALES = ("en", "de")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of templates of one's own, in English."""
    folder = tmp_path / "notices"
    shutil.copytree(PACKAGED / "en", folder / "en")
    shutil.copy(PACKAGED / "layout.html.j2", folder)
    return folder


NONE = Path("no-other-folder")


@pytest.mark.parametrize("locale", LOCALES)
def test_every_event_has_a_text_for_everybody_who_is_told(templates: Templates, locale: str) -> None:
    for audience, events in EVENTS.items():
        kind = audience_kind(audience)
        for event in events:
            assert (event, kind) in texts()
            message = templates.render(locale, event, audience, kind, sample_values(variables_of(event, kind)))
            assert message.subject
            assert message.body
            assert "\n" not in message.subject
            assert "{" not in message.subject + message.body


def test_a_partner_gets_html_beside_the_text(templates: Templates) -> None:
    for event, kind in texts():
        message = templates.render("de", event, kind, kind, sample_values(variables_of(event, kind)))
        assert (message.html is not None) == (kind == "partner" or event == "digest")


def test_the_languages_say_days_and_words_in_their_own_way(templates: Templates) -> None:
    values = sample_values(variables_of("grace", "partner"))
    texts_ = {locale: templates.render(locale, "grace", "partner", "partner", values).body for locale in LOCALES}
    assert "January 31, 2027" in texts_["en"]
    assert "31. Januar 2027" in texts_["de"]


MISTAKES = {
    "{{ partner }} {{ reasns }}": ("`reasns` is no variable of this event and audience", 3),
    "{{ partner_id }}": ("`partner_id` is no variable of this event and audience", 3),  # the partner's text has it not
    "{% if until < as_of %}{{ secret }}{% endif %}": ("`secret` is no variable", 3),  # a branch that is not taken
    "{{ until.no_such_thing }}": ("has no attribute 'no_such_thing'", 3),
    "{{ days / 0 }}": ("cannot be rendered: division by zero", 3),
    "{{ partner": ("unexpected end of template", 3),
    "{% endif %}": ("Encountered unknown tag 'endif'", 3),
    "{{ partner | shout }}": ("No filter named 'shout'", 3),
    "{{ ''.__class__.__mro__ }}": ("unsafe", 3),
    "{{ range(10) }}": ("`range` is no variable", 3),
    "{{ lipsum.__globals__ }}": ("`lipsum` is no variable", 3),
    '{% include "nowhere.j2" %}': ("nowhere.j2", 3),
    '{% include "../../crmsync.yaml" %}': ("crmsync.yaml", 3),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_file_and_line_before_anything_is_sent(own: Path, mistake: str) -> None:
    file = own / "en" / "grace.partner.txt.j2"
    file.write_text(f"Dear {{{{ recipient }}}},\n\n{mistake}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        open_templates(own, NONE)
    words, line = MISTAKES[mistake]
    assert words in str(told.value)
    assert "grace.partner.txt.j2" in str(told.value)
    if "include" not in mistake:
        assert (told.value.file, told.value.line) == (str(file), line)


def test_an_own_text_goes_before_the_one_of_the_package_and_may_be_of_one_audience(own: Path) -> None:
    packaged = own.parent / "packaged"
    own.rename(packaged)
    (own / "en").mkdir(parents=True)
    (own / "en" / "promoted.owner.subject.j2").write_text("Hurrah: {{ partner }}", encoding="utf-8")
    found = open_templates(own, packaged)
    values = sample_values(variables_of("promoted", "team"))
    subjects = [found.render("en", "promoted", name, "team", values).subject for name in ("owner", "sales_ops")]
    assert subjects == ["Hurrah: [partner]", "[partner] is now [to_tier] as [category]"]


def test_a_new_language_is_a_folder_with_all_its_texts_and_words(own: Path) -> None:
    shutil.copytree(PACKAGED / "de", own / "fr")
    for file in (own / "fr").glob("*.j2"):
        file.write_text(file.read_text(encoding="utf-8").replace('"de/', '"fr/'), encoding="utf-8")
    shutil.rmtree(own / "en")
    assert set(open_templates(own, NONE).speeches) == {"fr"}
    (own / "fr" / "grace.team.txt.j2").unlink()
    with pytest.raises(ConfigError, match=r"fr/grace\.team\.txt\.j2: this template is missing"):
        open_templates(own, NONE)


@pytest.mark.parametrize(
    ("change", "words"),
    [("again: ", "`again:` is missing"), ("needs: ", "`needs:` is missing")],
)
def test_a_word_that_a_language_lacks_is_told(own: Path, change: str, words: str) -> None:
    file = own / "en" / "words.yaml"
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith(change)]
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        open_templates(own, NONE)


def test_a_folder_that_is_no_locale_is_refused(own: Path) -> None:
    (own / "en").rename(own / "english-texts")
    with pytest.raises(ConfigError, match="not named after a locale"):
        open_templates(own, NONE)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("de_AT", "de"), ("DE-at", "de"), ("de_DE_EURO", "de"), ("pt_br", "pt_BR"), ("pt_PT", "en"),
        ("zh_Hant", "zh_Hant"), ("zh-hant-TW", "zh_Hant"), ("zh_TW", "en"), (" fr ", "en"), ("", "en"), (None, "en"),
    ],
)  # fmt: skip
def test_a_person_is_told_in_the_nearest_language_there_is(asked: str | None, told: str) -> None:
    assert nearest_locale(asked, dict.fromkeys(["de", "en", "pt_BR", "zh_Hant"]), "en") == told
