"""The guards of whole runs over files: data that lack, rules that changed, falls that must be seen twice."""

from __future__ import annotations

from tests.belt.conftest import Crmsync, Ended, Folder

DAYS = ("2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25")


def guard(ended: Ended, name: str) -> dict[str, object]:
    (found,) = [one for one in ended.json["plan"]["guards"] if one["guard"] == name]
    return dict(found)


def run(crmsync: Crmsync, day: str) -> Ended:
    return crmsync("run", "--as-of", day, "--json")


def tripped(ended: Ended) -> list[str]:
    return [one["guard"] for one in ended.json["plan"]["guards"] if one["tripped"]]


# --- rules that changed


def test_what_changed_rules_move_by_themselves_is_told_apart_from_the_data(crmsync: Crmsync, folder: Folder) -> None:
    folder.deals({"P1": 6000, "P2": 6000, "P3": 1500})
    assert run(crmsync, DAYS[0]).code == 0
    assert guard(run(crmsync, DAYS[1]), "program_change")["value"] == "the program is that of the last accepted run"

    folder.change("programs/resellers.yaml", "revenue: 5000", "revenue: 6001")
    folder.deals({"P1": 6000, "P2": 6000, "P3": 900})
    moved = run(crmsync, DAYS[1])
    found = guard(moved, "program_change")
    assert "with the same data 2 of 6 partners have another tier than under the old rules, 2 of them a lower one" in str(
        found["value"]
    )
    assert not found["tripped"]  # two are no mass; the third fell with the data
    assert guard(moved, "demotions")["value"] == "3 of 6 partners fall to a lower tier or out of one"

    # with a limit that the rules alone exceed, the change of the rules blocks by itself
    folder.change("crmsync.yaml", "at_least: 2", "at_least: 1")
    assert set(tripped(run(crmsync, DAYS[1]))) == {"tier_changes", "program_change"}
