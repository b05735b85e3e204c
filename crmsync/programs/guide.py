"""The program guide for partners: the whole program in words, as Markdown or as one HTML page.

Everything is taken from the tree; the words of the YAML do not appear. Texts of the program are escaped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crmsync.errors import ConfigError
from crmsync.programs.guide_expressions import condition_words
from crmsync.programs.guide_movement import ReviewText, review_texts
from crmsync.programs.guide_rules import CountText, ScoreText, commission_table, count_texts, score_texts
from crmsync.programs.guide_tiers import PathText, Table, benefit_tables, family_words, path_text
from crmsync.programs.guide_words import Words, day, joined, sentence_case, stretch, title_of
from crmsync.programs.program import Headline, Program

ENDINGS = (".md", ".html")
_MARKS = re.compile(r"([\\`*_\[\]|#])")


@dataclass(frozen=True)
class CategoryText:
    """One category: who is in it, and which way up it has."""

    label: str
    means: str
    who: str
    path: str


@dataclass(frozen=True)
class Guide:
    """A program as its partners read it."""

    title: str
    means: str
    valid: str
    money: str
    takes_part: str
    categories: tuple[CategoryText, ...]
    category_notes: tuple[str, ...]
    paths: tuple[PathText, ...]
    scores: tuple[ScoreText, ...]
    counts: tuple[CountText, ...]
    reviews: tuple[ReviewText, ...]
    benefits: tuple[Table, ...]
    commission: Table | None
    commission_note: str


def guide_of(program: Program) -> Guide:
    """The guide of a program."""
    words = Words(program)
    commission = commission_table(words, program)
    return Guide(
        title_of(program.label, program.key),
        program.means,
        f"Valid from {day(program.effective_from)}" if program.effective_from else "",
        _money(program),
        sentence_case(condition_words(words, program.takes_part)),
        tuple(_categories(words)) if program.has_categories else (),
        tuple(_category_notes(program)),
        tuple(path_text(words, ladder, len(program.ladders) == 1) for ladder in program.ladders.values()),
        tuple(score_texts(words, program)),
        tuple(count_texts(words, program)),
        tuple(review_texts(words, program)),
        tuple(benefit_tables(words, program)),
        commission[0] if commission else None,
        commission[1] if commission else "",
    )


def _money(program: Program) -> str:
    return f"All amounts are in {program.currency}; other currencies are converted." if program.currency else ""


def _categories(words: Words) -> list[CategoryText]:
    several = len(words.program.ladders) > 1
    found = []
    for category in words.program.categories.values():
        ladder = words.program.ladders[category.ladder]
        who = condition_words(words, category.member)
        found.append(
            CategoryText(
                title_of(category.label, category.key),
                category.means,
                f"You belong to it if {who}." if who else "Every partner belongs to it.",
                title_of(ladder.label, ladder.key) if several else "",
            )
        )
    return found


def _category_notes(program: Program) -> list[str]:
    notes = []
    if len(program.categories) > 1:
        notes.append("A partner may belong to several categories at once and has a tier in each.")
        notes.append(
            {
                Headline.HIGHEST: "The highest of them is shown as the partner's tier.",
                Headline.LOWEST: "The lowest of them is shown as the partner's tier.",
                Headline.PRIMARY: "The tier of the partner's main category is shown as its tier.",
                Headline.NONE: "None of them stands for the others.",
            }[program.headline]
        )
    if program.reassess is not None:
        notes.append(f"Categories are looked at again every {stretch(program.reassess)}.")
    if program.family is not None:
        notes.append(family_words(Words(program), program.family))
    return notes


# --- rendering


def guide_text(program: Program, html: bool = False) -> str:
    """The guide as Markdown, or as one HTML page without anything from outside."""
    template = _environment().get_template("guide.html.j2" if html else "guide.md.j2")
    text = template.render(guide=guide_of(program))
    return text if html else re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def check_ending(out: Path) -> None:
    """Errors: ConfigError where the name says neither Markdown nor HTML."""
    if out.suffix not in ENDINGS:
        raise ConfigError(f"--out {out}: the name ends in {out.suffix or 'nothing'}; use {joined(ENDINGS, 'or')}")


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("crmsync", "templates/guide"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    made.filters["md"] = markdown_text
    made.filters["stop"] = _with_stop
    return made


def _with_stop(text: str) -> str:
    """A sentence with its full stop."""
    return text if text.rstrip()[-1:] in (*".!?:", "") else f"{text.rstrip()}."


def markdown_text(text: str) -> Markup:
    """A text of the program inside Markdown: on one line, its marks and tags without effect."""
    line = " ".join(text.split())
    safe = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Markup(_MARKS.sub(r"\\\1", safe))


__all__ = ["Guide", "check_ending", "guide_of", "guide_text"]
