"""What is worth knowing about rows that were left out names the place to look at."""

from __future__ import annotations

import pytest

from tests.belt.conftest import AS_OF, PROGRAM, Crmsync, Folder


@pytest.mark.parametrize(
    ("deals", "said"),
    [
        (("O-8,P2,true,true,5,2026-05-01,XXX",), "1 record (O-8)"),
        (("O-8,P2,true,true,5,2026-05-01,XXX", "O-9,P2,true,true,5,2026-05-01,XXX"), "2 records (O-8 among them)"),
    ],
)
def test_a_metric_that_lost_records_is_named_by_file_and_line(
    crmsync: Crmsync, folder: Folder, deals: tuple[str, ...], said: str
) -> None:
    folder.write("programs/resellers.yaml", PROGRAM.replace("currency: EUR", "currency: EUR\nrates: crm"))
    heading = "opportunity_id,partner_id,is_closed,is_won,amount,closed_on,currency"
    folder.write("data/opportunities.csv", "\n".join([heading, *deals, ""]))
    folder.write("data/rates.csv", "currency,rate\nEUR,1\n")
    program = str(folder.config / "programs" / "resellers.yaml")
    ended = crmsync("assess", program, "--tables", str(folder.data), "--as-of", AS_OF, "--out", "s.csv")
    assert f"note: {program}:5: metric revenue lost {said} for want of an exchange rate" in ended.err
