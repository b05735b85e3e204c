"""The tree of accounts: every ancestor gets its subtree, cycles are cut, chains end at 64 levels."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from crmsync.levelling.hierarchy import MAX_LEVELS, Hierarchy, build_hierarchy

IDS = [f"p{number:02}" for number in range(12)]
PARENTS = st.dictionaries(st.sampled_from(IDS), st.one_of(st.none(), st.sampled_from([*IDS, "gone"])), min_size=1)


def built(parents: Mapping[str, str | None]) -> Hierarchy:
    ids = pa.chunked_array([pa.array(list(parents), pa.string())])
    return build_hierarchy(ids, pa.chunked_array([pa.array(list(parents.values()), pa.string())]))


def pairs(found: Hierarchy) -> set[tuple[str, str]]:
    alone = found.alone["partner_id"].to_pylist()
    listed = list(zip(found.families["ancestor"].to_pylist(), found.families["member"].to_pylist(), strict=True))
    assert {one for one, other in listed if one != other}.isdisjoint(alone)
    listed += zip(alone, alone, strict=True)
    assert len(listed) == len(set(listed))
    return set(listed)


def circles(parents: Mapping[str, str | None]) -> list[list[str]]:
    """Every cycle, each from its smallest id upwards."""
    found = set()
    for start in parents:
        path = [start]
        while (above := parents.get(path[-1])) in parents and above not in path:
            path.append(str(above))
        if parents.get(path[-1]) == start:
            least = path.index(min(path))
            found.add(tuple(path[least:] + path[:least]))
    return [list(one) for one in found]


@given(PARENTS)
def test_the_closure_is_everyone_above_after_cycles_are_cut(parents: dict[str, str | None]) -> None:
    """A cycle is cut at the link that closes it, walking up from its smallest id."""
    found = built(parents)
    cut = dict(parents)
    for circle in circles(parents):
        cut[circle[-1]] = None
    wanted = set()
    for member in parents:
        at: str | None = member
        while at in cut:
            wanted.add((at, member))
            at = cut[at]
    assert pairs(found) == wanted
    assert set(found.cyclic) == {one for circle in circles(parents) for one in circle}


@given(PARENTS)
def test_an_unknown_parent_is_reported(parents: dict[str, str | None]) -> None:
    found = built(parents)
    assert set(found.orphans) == {(key, one) for key, one in parents.items() if one is not None and one not in parents}
    assert found.flat == (not any(one in parents for one in parents.values()))


def test_a_partner_that_is_its_own_parent_is_a_cycle() -> None:
    found = built({"a": "a", "b": "a"})
    assert found.cyclic == ("a",)
    assert pairs(found) == {("a", "a"), ("a", "b"), ("b", "b")}


def test_a_chain_of_five_thousand_ends_at_64_levels() -> None:
    """Deeper partners are reported like a cycle; each still counts for those 64 levels above."""
    ids = [f"p{number:04}" for number in range(5_000)]
    found = built(dict(zip(ids, [None, *ids[:-1]], strict=True)))
    assert set(found.cyclic) == set(ids[MAX_LEVELS + 1 :])
    members = pairs(found)
    assert (ids[0], ids[MAX_LEVELS]) in members
    assert (ids[0], ids[MAX_LEVELS + 1]) not in members


def test_a_cycle_of_five_thousand_is_cut_once() -> None:
    ids = [f"p{number:04}" for number in range(5_000)]
    found = built(dict(zip(ids, [*ids[1:], ids[0]], strict=True)))
    assert set(found.cyclic) == set(ids)
    assert (ids[0], ids[-1]) not in pairs(found)
    assert (ids[-1], ids[-2]) in pairs(found)


def chains(found: pa.Table) -> dict[str, str]:
    return dict(zip(found["member"].to_pylist(), found["ancestor"].to_pylist(), strict=True))


@given(PARENTS)
def test_tops_and_parents_agree_with_the_closure(parents: dict[str, str | None]) -> None:
    found = built(parents)
    above = {member: {a for a, m in pairs(found) if m == member} for member in parents}
    tops = {member: next(a for a in above[member] if len(above[a]) == 1) for member in parents}
    assert chains(found.tops) == tops
    parent_of = {
        m: next(a for a in above[m] if len(above[a]) == len(above[m]) - 1) for m in parents if len(above[m]) > 1
    }
    assert chains(found.parents) == parent_of


def test_who_is_deeper_than_64_levels_stands_alone() -> None:
    ids = [f"p{number:04}" for number in range(70)]
    found = built(dict(zip(ids, [None, *ids[:-1]], strict=True)))
    assert found.cyclic == tuple(ids[MAX_LEVELS + 1 :])
    assert chains(found.tops) == {**dict.fromkeys(ids[: MAX_LEVELS + 1], ids[0]), **{one: one for one in ids[65:]}}
    assert ids[66] not in chains(found.parents)


def test_a_chain_of_two_hundred_thousand_makes_few_pairs() -> None:
    """Sixty-four levels of every account in it would be millions."""
    count = 200_000
    ids = pa.array([f"p{number:06}" for number in range(count)])
    found = build_hierarchy(
        pa.chunked_array([ids]), pa.chunked_array([pa.concat_arrays([pa.nulls(1, pa.string()), ids[:-1]])])
    )
    assert len(found.families) + len(found.alone) < count + 65 * 65
    assert len(found.cyclic) == count - 65
