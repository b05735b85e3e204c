"""`notices:` of crmsync.yaml: one mistake each, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.configuration_notices import NoticeRules, read_notices
from crmsync.errors import ConfigError
from crmsync.notices.people import read_suppressed
from crmsync.settings import load_settings
from crmsync.strict_yaml import parse_yaml

PARTNER = "partner: {address: mail}\n"
MISTAKES = {
    "locale: en\n": "nobody is told anything: name at least one of partner, owner, sales_ops, operator",
    "partnr: {address: mail}\n": "unknown key `partnr`; did you mean `partner`?",
    "partner: {name: n}\n": "`address:` is missing here",
    "owner: {by: fax, address: mail}\n": "`fax` is not a way to tell an owner",
    "owner: {digest: daily, address: mail}\n": "`daily` is not a digest; known: `no`, `run`, `weekly`",
    "partner: {address: mail, digest: weekly}\n": "unknown key `digest`",
    "operator: {events: [promoted]}\n": "`promoted` is not an event of operator",
    "sales_ops: {address: mail}\n": "unknown key `address`",
    PARTNER + "locale: Klingon\n": "`Klingon` is not a locale; write en, de or pt_BR",
    PARTNER + "locale: de-AT\n": "`de-AT` is not a locale",
    PARTNER + "time_zone: CEST\n": "`CEST` is not a time zone",
    PARTNER + "quiet_hours: at night\n": "`at night` are no quiet hours; write 20:00-07:00, or no",
    PARTNER + "quiet_hours: 07:00-07:00\n": "`07:00-07:00` are no quiet hours",
    PARTNER + "weekend: [funday]\n": "`funday` is not a day of the week",
    PARTNER
    + "weekend: [monday, tuesday, wednesday, thursday, friday, saturday, sunday]\n": "nobody would ever be told",
    PARTNER + "lead_days: [30, 30]\n": "lead days are different numbers of days from 1 to 365",
    PARTNER + "lead_days: []\n": "lead days are different numbers of days",
    PARTNER + "approve: perhaps\n": "`perhaps` is not yes or no",
    PARTNER + "hold_days: 0\n": "`0` is not a number from 1 to 365",
    PARTNER + "caps: {per_recipient: 0}\n": "`0` is not a number from 1 to 1000",
    PARTNER + "caps: {per_week: 5}\n": "unknown key `per_week`",
    PARTNER + "suppress: nowhere.txt\n": "`nowhere.txt` does not exist in",
    PARTNER + "templates: nowhere\n": "`nowhere` does not exist in",
}


def read(text: str, folder: Path = Path()) -> NoticeRules | None:
    return read_notices(parse_yaml(text, "crmsync.yaml"), folder, "UTC")


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        read(text, tmp_path)
    assert MISTAKES[text] in str(told.value)
    assert told.value.line == len(text.splitlines())


def test_without_the_key_nobody_is_told() -> None:
    assert read_notices(None, Path(), "UTC") is None


def test_what_is_not_said_has_its_default_and_the_zone_is_that_of_the_configuration() -> None:
    found = read_notices(parse_yaml(PARTNER, "c"), Path("config"), "Europe/Berlin")
    assert found is not None
    assert (found.time_zone, found.approve, found.lead_days, found.weekend) == (
        "Europe/Berlin",
        True,
        (60, 30, 7),
        (5, 6),
    )
    assert found.templates == Path("config/notices")
    assert dict(found.audiences["partner"].columns) == {"address": "mail"}


def test_a_suppression_list_holds_addresses_domains_and_partners(tmp_path: Path) -> None:
    file = tmp_path / "no.txt"
    file.write_text(
        "# left us\nAnna@Nordlicht.example  # asked for it\n\n@south.example\npartner:P7\n", encoding="utf-8"
    )
    found = read_suppressed(file)
    assert found.why("anna@nordlicht.example", "P1") == "anna@nordlicht.example"
    assert found.why("bob@south.example", None) == "@south.example"
    assert found.why("c@d.example", "P7") == "partner:P7"
    assert found.why("c@d.example", "P1") is None
    file.write_text("ok@x.example\nnot an address\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no\.txt:2: `not an address` is no address"):
        read_suppressed(file)


def test_what_opens_a_channel_is_kept_out_of_logs_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMSYNC_NOTICES__MAIL", "mailtos://partners:correct%20horse@smtp.example.com?from=a@b.example")
    token = "TIiajkdnlazkcOXrIdevi7FQ"
    monkeypatch.setenv(
        "CRMSYNC_NOTICES__OPERATOR", f"json://ops.example/hook slack://T1JJ3T3L2/A1BRTD4JD/{token}/#alerts"
    )
    secrets = load_settings().secrets()
    assert {"correct%20horse", "correct horse", token, "json://ops.example/hook"} <= secrets
    assert not {"hook", "smtp.example.com", "partners"} & secrets
