"""Known vulnerabilities of the tested versions: `make audit` runs this with pip-audit and constraints.txt.

pip-audit ends with 0 also when it could look up nothing, so what it looked up is counted here.
Exit codes: 0 nothing known, 1 vulnerabilities or a fault of pip-audit, 2 the advisory service cannot be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

UNREACHABLE = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ServiceError", "NameResolutionError")


def main(arguments: Sequence[str]) -> int:
    """`arguments`: the pip-audit program, the file with exact versions."""
    program, constraints = arguments
    command = [
        program,
        "--requirement",
        constraints,
        "--no-deps",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--format",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return _told(done.stderr)
    return verdict(found)


def verdict(found: Sequence[Mapping[str, Any]]) -> int:
    """What pip-audit says of each package, told; the exit code."""
    looked_up = [package for package in found if "skip_reason" not in package]
    if not looked_up:
        print(f"the advisory service knows none of {len(found)} packages, so it was not reached: nothing was checked")
        return 2
    bad = [(package, one) for package in looked_up for one in package["vulns"]]
    for package, one in bad:
        fixed = ", ".join(one["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {one['id']}, mended in {fixed}")
    for package in found:
        if "skip_reason" in package:
            print(f"{package['name']}: not looked up ({package['skip_reason']})")
    print(f"{len(looked_up)} of {len(found)} packages looked up, {len(bad)} known vulnerabilities")
    return 1 if bad else 0


def _told(errors: str) -> int:
    if any(word in errors for word in UNREACHABLE):
        print("the advisory service cannot be reached from this machine: nothing was checked")
        return 2
    print(errors[-2000:], file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
