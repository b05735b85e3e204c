"""Random small tables, full of what goes wrong: nulls, ties, cycles, lost records; and what stood before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from crmsync.tables import CANONICAL, ColumnType
from tests.levelling.facts import Facts

DAYS = (date(2026, 11, 21), date(2024, 2, 29), date(2026, 3, 31), date(2025, 2, 28), date(2025, 12, 31))
IDS = ("A", "B", "C", "D", "E")
EXTRA = {
    "partners": {"score": ColumnType.NUMBER, "churn": ColumnType.NUMBER, "has_plan": ColumnType.YES_NO,
                 "segment": ColumnType.TEXT, "by_hand": ColumnType.TEXT, "left_on": ColumnType.DATE},
    "visits": {"partner_id": ColumnType.TEXT, "happened_on": ColumnType.DATE, "minutes": ColumnType.NUMBER,
               "product_line": ColumnType.TEXT, "fee": ColumnType.MONEY, "currency": ColumnType.TEXT},
}  # fmt: skip


@dataclass(frozen=True)
class Base:
    """Random tables, the day to look at them, and the standings before."""

    facts: Facts
    as_of: date
    previous: list[dict[str, Any]] | None
    later: tuple[Facts, date] | None = None  # a second assessment, on top of the standings of the first


NEAR = st.sampled_from((0, 0, 1, -1, -13, -14, -28, -30, -31, -44, -45, -89, -92, -364, -365, -366, -730, -731, 30))
OFFSETS = st.one_of(NEAR, st.integers(-760, 60), st.none())
AMOUNTS = st.one_of(st.none(), st.sampled_from(("10.00", "30.00", "0.01", "-5.00", "62.50", "33.33", "99999.99")))
CURRENCIES = st.sampled_from((None, "EUR", "USD", "HUF", "XXX", "USD"))


def _row(table: str, **given: Any) -> dict[str, Any]:
    columns = _columns(table)
    return {name: given.get(name) for name in columns}


def _columns(table: str) -> dict[str, ColumnType]:
    known = CANONICAL[table].columns if table in CANONICAL else {}
    return {**known, **EXTRA.get(table, {})}


STEPS = (1, 2, 9, 10, 30, 31, 59, 92)


@st.composite
def bases(draw: Any) -> Base:
    """Tables of up to five partners, and for some of them those of a later day."""
    as_of = draw(st.sampled_from(DAYS))
    last_day, created = draw(st.booleans()), draw(st.booleans())
    facts, ids = _tables(draw, as_of, last_day, created)
    later = None
    if draw(st.booleans()):
        day = as_of + timedelta(days=draw(st.sampled_from(STEPS)))
        later = (_tables(draw, day, last_day, created)[0], day)
    return Base(facts, as_of, _previous(draw, ids, as_of), later)


def _tables(draw: Any, as_of: date, last_day: bool, created: bool) -> tuple[Facts, tuple[str, ...]]:
    def day() -> date | None:
        offset = draw(OFFSETS)
        return None if offset is None else as_of + timedelta(days=offset)

    def pick(*of: Any) -> Any:
        return draw(st.sampled_from(of))

    ids = IDS[: draw(st.integers(1, len(IDS)))]
    partners = [
        _row("partners", partner_id=key, parent_id=pick(None, None, *ids, "Z"),
             status=pick("active", "closed", None), region=pick("EMEA", "APAC", None, "LATAM"),
             country=pick("DE", "FR", None), joined_on=day(), left_on=day(), currency=draw(CURRENCIES),
             declared_categories=pick(None, [], ["Reseller"], ["msp", "Reseller"], ["Managed"]),
             score=pick(None, 0.0, 2.5, 3.0, 30.0, -1.0, 0.1), churn=pick(None, 0.0, 25.0, 50.0, 33.3),
             has_plan=pick(None, True, False), segment=pick(None, "x", "y"),
             by_hand=pick(None, "t1", "Gold", "T 0", "u1", "?"))
        for key in ids
    ]  # fmt: skip
    opportunities = []
    for number in range(draw(st.integers(0, 6))):
        own = _row(
            "opportunities", opportunity_id=f"o{number}", customer_id=pick("x", "y", None),
            stage=pick("Won", "Open", None), product_line=pick("cloud", "Edge", None),
            type=pick("new", "renewal", "other", None),
            is_closed=pick(True, False, None), is_won=pick(True, True, False, None),
            amount=_decimal(draw(AMOUNTS)), currency=draw(CURRENCIES), registered_on=day(),
            created_on=pick(None, as_of, as_of + timedelta(days=1), date(2020, 1, 1)), closed_on=day(),
        )  # fmt: skip
        for role in draw(st.sampled_from((["reseller"], ["reseller", "distributor"], ["referrer"]))):
            share = pick(1.0, 0.5, 0.125, 0.3)
            opportunities.append({**own, "partner_id": draw(st.sampled_from(ids)), "role": role, "share": share})
    certifications = [
        _row("certifications", certification_id=f"c{number}", partner_id=draw(st.sampled_from(ids)),
             person_id=pick("x", "y", "z", None), credential=pick("a", "b"), product_line=pick("cloud", "Edge", None),
             level=pick("pro", "PRO", "basic", None),
             **_validity(day(), day()))
        for number in range(draw(st.integers(0, 6)))
    ]  # fmt: skip
    activities = [
        _row("activities", activity_id=f"a{number}", partner_id=draw(st.sampled_from(ids)),
             person_id=pick("x", "y", None), kind=pick("call", "visit", None),
             value=_decimal(pick("2", "0.1", "0.2", "2.5", None, "-1", "7.125")),
             currency=pick(None, None, "EUR", "USD", "XXX"), verified=pick(True, False, None), happened_on=day())
        for number in range(draw(st.integers(0, 6)))
    ]  # fmt: skip
    visits = [
        _row("visits", partner_id=draw(st.sampled_from(ids)), happened_on=day(), minutes=pick(None, 5.0, 30.0, 7.5),
             product_line=pick("cloud", "Edge", None), fee=_decimal(draw(AMOUNTS)), currency=draw(CURRENCIES))
        for _ in range(draw(st.integers(0, 4)))
    ]  # fmt: skip
    rates = [{"currency": code, "effective_from": start, "rate": rate} for code, start, rate in (
        ("EUR", date(2025, 1, 1), 1.0), ("USD", date(2024, 6, 1), 1.25), ("USD", date(2026, 1, 1), 1.6),
        ("HUF", date(2020, 1, 1), 401.37))]  # fmt: skip
    rows = {"partners": partners, "opportunities": opportunities, "certifications": certifications,
            "activities": activities, "visits": visits, "rates": rates,
            "overrides": _overrides(draw, ids, as_of)}  # fmt: skip
    types = {name: _columns(name) for name in rows}
    for name in ("created_on", "credited_amount"):  # money of each credit is amount x share where it is not delivered
        if name == "credited_amount" or not created:
            types["opportunities"].pop(name)
            for row in opportunities:
                row.pop(name, None)
    return Facts(types, rows, last_day=last_day), ids


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _validity(issued: date | None, expires: date | None) -> dict[str, date | None]:
    if issued and expires and expires <= issued:
        issued, expires = expires, issued + timedelta(days=1)
    return {"issued_on": issued, "expires_on": expires}


KINDS = ("pin", "floor", "ceiling", "approve", "approve", "decline", "exempt", "credit", "grace", "category")


def _overrides(draw: Any, ids: tuple[str, ...], as_of: date) -> list[dict[str, Any]]:
    rows = []

    def pick(*of: Any) -> Any:
        return draw(st.sampled_from(of))

    for number in range(draw(st.integers(0, 3))):
        kind = pick(*KINDS)
        starts = pick(None, as_of, as_of + timedelta(days=1), as_of - timedelta(days=9), as_of)
        if starts is not None:
            starts -= timedelta(days=20 * number)
        ends = pick(None, as_of, as_of - timedelta(days=1), as_of + timedelta(days=9))
        value = {"credit": pick("30", "-2.5", "0.125"), "category": pick("in", "out", "Out ")}.get(kind)
        rows.append({
            "partner_id": ids[number % len(ids)], "category": pick(None, None, "reseller", "Managed", "all"),
            "kind": kind, "tier": pick("t1", "T 0", "t0", "t1", "t2", "none_such", "u1", "none"),
            "metric": pick("m1", "m2", "m3", "m99") if kind in ("exempt", "credit") else None, "value": value,
            "starts_on": starts, "ends_on": ends, "reason": pick("because", "because", "so", None),
            "approved_by": pick("Ann", "Ann", "Bea", None),
        })  # fmt: skip
    return rows


def _previous(draw: Any, ids: tuple[str, ...], as_of: date) -> list[dict[str, Any]] | None:
    if draw(st.booleans()):
        return None
    rows = []
    for partner in (*ids, "GONE"):
        for category in ("all", "reseller", "msp"):
            if draw(st.integers(0, 2)) == 0:
                continue
            earned = draw(st.sampled_from((None, 0, 1, 1)))
            granted = draw(st.sampled_from((earned, earned, 0, 1)))
            lies = draw(st.sampled_from((None, as_of, as_of + timedelta(days=5))))
            waits = draw(st.sampled_from((None, None, None, 0, 1)))
            rows.append({
                "partner_id": partner, "category": category, "earned": earned, "granted": granted,
                "tier_since": draw(st.sampled_from((as_of - timedelta(days=40), None))),
                "movement": draw(st.sampled_from(("unchanged", "unchanged", "promoted", "left"))),
                "overrides": draw(st.sampled_from(([], [], [{"kind": "pin"}]))),
                "grace_until": draw(st.sampled_from((None, None, as_of, as_of + timedelta(days=5)))),
                "pending": waits,
                "pending_on": lies if waits is not None else None,
            })  # fmt: skip
    return rows
