"""Command-line arguments of `python -m crmsync.sandbox salesforce`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NoReturn


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(4)


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """The arguments of `serve`. Wrong ones end the process with exit code 4."""
    parser = _Parser(prog="crmsync sandbox", description="Serves a Salesforce org on loopback.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    add_arguments(kinds.add_parser("salesforce", help="a Salesforce org"))
    given = vars(parser.parse_args(arguments))
    given.pop("kind")
    return given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the Salesforce org."""
    parser.add_argument("--port", type=_number(0, 65_535), default=0, help="port on 127.0.0.1; 0: any free one")
    parser.add_argument("--data", type=Path, help="folder with one CSV per object, and schema.yaml")
    parser.add_argument("--sample", type=_number(1, 1_000_000), help="make a company of N partners")
    parser.add_argument("--opportunities", type=_number(0, 10**8), help="how many the sample company has")
    parser.add_argument("--certifications", type=_number(0, 10**8), help="how many the sample company has")
    parser.add_argument("--seed", type=_number(0, 2**31), default=1, help="same seed and date, same bytes")
    parser.add_argument("--state", type=Path, help="file that keeps the org between starts")
    parser.add_argument("--today", type=_day, help="the org's clock, YYYY-MM-DD")
    parser.add_argument(
        "--latency", dest="latency_ms", type=_number(0, 600_000), default=0, help="ms before each answer"
    )
    parser.add_argument("--jwt-public-key", type=Path, help="PEM certificate or public key for the JWT bearer login")
    parser.add_argument("--public-url", help="address that tokens name instead of the real one")
    parser.add_argument("--tls-certificate", type=Path, help="serve https with this certificate")
    parser.add_argument("--tls-key", type=Path, help="key of that certificate")
    parser.add_argument("--parent", type=_number(1, 2**31), help="end when this process is gone")
    parser.add_argument("--daily-requests", type=_number(0, 10**9), default=115_000, help="API allowance of a day")
    parser.add_argument(
        "--least-privilege", action="store_true", help="the integration user has only what permission sets grant"
    )
    parser.add_argument("--bulk-charset", action="store_true", help="say charset=UTF-8 on Bulk results")


def _number(least: int, most: int) -> Any:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return value

    return read


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2026-07-01") from None
