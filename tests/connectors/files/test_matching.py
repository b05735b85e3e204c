"""Rows that name a partner by another system's number get the partner's own id."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.connectors.checks import check_rows
from crmsync.connectors.matching import match_partners
from crmsync.errors import ConfigError
from tests.connectors.files.folders import read

PARTNERS = "partner_id,account_number,code\np1,1001,A-1\np2,1002,A-2\np3,1003,A-2\np4,,\n"


def test_numbers_are_replaced_and_unknown_ones_rejected_with_their_line(tmp_path: Path) -> None:
    certificates = "certification_id,partner_id\na,1001\nb,9999\nc,\nd,1002\n"
    found = read(tmp_path, {"partners": PARTNERS, "certifications": certificates})
    rejected = match_partners(found.staging, "certifications", "account_number")
    assert [(bad.line, bad.column, bad.value) for bad in rejected] == [(3, "partner_id", "9999")]
    assert rejected[0].reason == "matches no partner by partners.account_number"
    assert found.column("certifications", "partner_id") == ["p1", "p2"]


def test_a_number_of_two_partners_matches_neither(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": PARTNERS, "certifications": "certification_id,partner_id\na,A-1\nb,A-2\n"})
    rejected = match_partners(found.staging, "certifications", "code")
    assert [bad.reason for bad in rejected] == ["matches 2 partners by partners.code; make it unique"]
    assert found.column("certifications", "partner_id") == ["p1"]


def test_a_number_of_blanks_only_is_nobodys(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": PARTNERS, "certifications": "certification_id,partner_id\na,1001\nb,  \n"})
    assert match_partners(found.staging, "certifications", "account_number") == ()
    assert check_rows(found.staging).direct == {"certifications": 1}


def test_lines_are_still_true_in_later_checks(tmp_path: Path) -> None:
    certificates = "certification_id,partner_id\na,A-1\nb,nobody\nc,A-1\nc,A-1\n"
    found = read(tmp_path, {"partners": PARTNERS, "certifications": certificates})
    match_partners(found.staging, "certifications", "code")
    assert [(bad.line, bad.value) for bad in check_rows(found.staging).rejected] == [(5, "c")]


def test_an_unknown_partner_column_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    found = read(tmp_path, {"partners": PARTNERS, "certifications": "certification_id,partner_id\na,1\n"})
    with pytest.raises(ConfigError, match=r"acount_number, which is not there; did you mean `account_number`"):
        match_partners(found.staging, "certifications", "acount_number")
