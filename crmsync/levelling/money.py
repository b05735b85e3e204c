"""Money of records in the program's currency: which rate table counts and the factor of each currency and day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.ecb import ecb_table
from crmsync.levelling.engine import Engine
from crmsync.levelling.rates import RateTable, factors_by_day, rate_table, rows_of_table
from crmsync.levelling.sql import Sql
from crmsync.programs.ecb import FROM_ECB
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot


@dataclass(frozen=True)
class Money:
    """What turns money into the program's currency. `rates` None: no rates were given."""

    currency: str | None
    rates: RateTable | None

    def convert(self, amount: Sql, currency: Sql, factor: Sql) -> Sql:
        """An amount of a record in the program's currency, NULL without a rate."""
        own = sql.eq(currency, sql.text(self.currency or ""))
        return sql.case([(own, sql.cast(amount, sql.MONEY))], sql.money_times_rate(amount, factor))


def money_of(program: Program, snapshot: Snapshot, engine: Engine) -> Money:
    """The program's rate table. Errors: ConfigError when `rates: crm` meets no table of rates."""
    if program.currency is None or program.rates is None:
        return Money(program.currency, None)
    if isinstance(program.rates, tuple):
        return Money(program.currency, rate_table(program.rates))
    if program.rates == FROM_ECB:
        return Money(program.currency, ecb_table())
    if "rates" not in snapshot.tables:
        return Money(program.currency, None)
    table = engine.read(sql.select([sql.star()], sql.table("t_rates")))
    return Money(program.currency, rate_table(rows_of_table(table)))


def register_factors(engine: Engine, name: str, spans: pa.Table, money: Money) -> tuple[bool, bool]:
    """Register the factors for (currency, first day, last day) spans.

    Returns whether there is any foreign money, and whether any of its days has no rate.
    """
    wanted = [
        (currency, first, last)
        for currency, first, last in zip(*(column.to_pylist() for column in spans.columns), strict=True)
        if currency is not None and currency != money.currency
    ]
    if not wanted:
        return False, False
    if money.currency is None:
        raise ConfigError("money needs the program's `currency`")
    table, missing = factors_by_day(wanted, money.rates, money.currency)
    engine.register(name, table)
    return True, missing


def threshold_factor(money: Money, currency: str, on: date | None) -> object:
    """The factor of a threshold written in another currency, on the version's effective_from."""
    if money.rates is None or money.currency is None:
        return None
    return money.rates.factor(currency, money.currency, on or date.max - timedelta(days=1))
