"""Strict YAML: scalars stay text, every value knows its line, whatever is doubtful is refused."""

from __future__ import annotations

import contextlib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.errors import ConfigError
from crmsync.strict_yaml import MAX_BYTES, Node, parse_yaml, read_yaml


def parsed(text: str) -> Node:
    return parse_yaml(text, "f.yaml")


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    return str(caught.value)


def test_scalars_stay_text_and_know_their_line() -> None:
    top = parsed("country: NO\nlist:\n  - 010\n  - 1.50\nend: {a: 'x, y'}\n").mapping()
    assert (top["country"].text(), top["country"].line) == ("NO", 1)
    assert [(item.text(), item.line) for item in top["list"].sequence()] == [("010", 3), ("1.50", 4)]
    assert top["end"].mapping()["a"] == Node("f.yaml", 5, "x, y", quoted=True)


def test_values_are_read_when_asked_for() -> None:
    top = parsed("{n: 12, d: 100000.50, p: 30%, y: yes, t: 2026-01-31, f: false}").mapping()
    assert top["n"].integer() == 12
    assert top["d"].decimal() == Decimal("100000.50")
    assert top["p"].decimal() == Decimal("0.3")
    assert top["y"].yes_no() is True
    assert top["f"].yes_no() is False
    assert top["t"].date() == date(2026, 1, 31)


@pytest.mark.parametrize("text", ["1e5", "1,000", "1_000", ".5", "+1", "0x1", "30 %", "ten", "1" * 40, "٣"])
def test_other_notations_of_numbers_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a number"):
        Node("f.yaml", 1, text).decimal()


def test_a_quoted_yes_is_a_text() -> None:
    with pytest.raises(ConfigError, match="is not yes or no"):
        parsed("{a: 'yes'}").mapping()["a"].yes_no()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "f.yaml:2: duplicate key `a` (first on line 1)"),
        ("a: &x 1", "f.yaml:1: an anchor `&x`"),
        ("a: *x", "f.yaml:1: an alias `*x`"),
        ("a: !!int 1", "f.yaml:1: a tag"),
        ("a: {<<: {b: 1}}", "f.yaml:1: `<<`"),
        ("a: 1\n---\nb: 2", "f.yaml:2: a second document"),
        ("%YAML 1.1\n---\na: 1", "f.yaml:1: a `%` directive"),
        ("a: 1\n\tb: 2", "f.yaml:2: a tab"),
        ("a: 1\nb:\nc: 2", "f.yaml:2: `b:` has no value"),
        ("a: {b: c, d}", "f.yaml:1: `d:` has no value; in {} or [] a value with a comma needs quotes"),
        ("a:\n  - b\n  -\n", "f.yaml:3: an empty list item"),
        ("a: [1", "needs quotes"),
        ("a: b: c", "f.yaml:1: is not valid YAML (column 5)"),
        ("a: > 4", 'a comparison needs quotes, like "> 4"'),
        ("a: {b: >= 4}", 'a comparison needs quotes, like "> 4"; at least 4 is written 4'),
        ("a: @b", "a value that begins with it needs quotes"),
        ("a: {b: 1 c: 2}", "a comma is missing before this entry"),
        ("? [a]\n: 1", "f.yaml:1: a key must be a single word"),
        ("", "f.yaml:1: is empty"),
        ("# only a comment\n", "f.yaml:1: is empty"),
        ("a: \x07", "f.yaml:1: a control character"),
        ('a: "\\x07"', "f.yaml:1: an escape"),
        ("a: b\u2028c", "f.yaml:1: an unusual line-break"),
        ("[" * 60, "f.yaml:1: is nested deeper than 40 levels"),
    ],
)
def test_what_is_doubtful_is_refused_with_its_line(text: str, message: str) -> None:
    assert message in refused(text)


def test_unknown_and_missing_keys_are_named() -> None:
    top = parsed("a: 1\nlabell: x\n")
    with pytest.raises(ConfigError, match=r"f.yaml:2: unknown key `labell`; did you mean `label`\?"):
        top.mapping(required=("a",), optional=("label",))
    with pytest.raises(ConfigError, match=r"f.yaml:1: `b:` is missing"):
        top.mapping(required=("a", "b"), optional=("labell",))


def test_a_shape_that_does_not_fit_is_named() -> None:
    top = parsed("a: [1]\nb: {c: 1}\nd: x\n").mapping()
    for node, ask in ((top["a"], Node.text), (top["b"], Node.sequence), (top["d"], Node.mapping)):
        with pytest.raises(ConfigError, match="is needed here, not"):
            ask(node)


def test_files_are_bounded_and_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(file).mapping()["b"].line == 2
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"f.yaml:2: is not UTF-8"):
        read_yaml(file)
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="is larger than"):
        read_yaml(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "missing.yaml")


@given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@`,? \n0.\\Ux", max_size=40))
def test_no_text_raises_anything_but_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parsed(text)


def test_the_same_text_is_parsed_once_for_each_file() -> None:
    text = "a: 1\n"
    assert parse_yaml(text, "one.yaml") is parse_yaml(text, "one.yaml")
    assert parse_yaml(text, "other.yaml").file == "other.yaml"
    assert parse_yaml("a: 2\n", "one.yaml") != parse_yaml(text, "one.yaml")
