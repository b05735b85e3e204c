"""`python -m crmsync` is the same as `crmsync`."""

from crmsync.cli import main

main()
