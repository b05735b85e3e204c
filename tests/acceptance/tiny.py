"""A process that does nothing but say how much memory it took; see test_bench.py."""

from __future__ import annotations

import json

from bench.children import peak_mb

if __name__ == "__main__":
    print(json.dumps({"peak_mb": peak_mb()}))
