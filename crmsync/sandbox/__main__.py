"""`python -m crmsync.sandbox salesforce …`."""

from __future__ import annotations

import sys

from crmsync.sandbox.server import main

if __name__ == "__main__":
    sys.exit(main())
