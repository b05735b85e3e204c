"""Where a process of crmsync begins: `crmsync`, or `python -m crmsync`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line. Ctrl-C while it is still loading ends the process at once: nothing has begun."""
    heeds = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else it runs in the background
    if heeds:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from crmsync.cli import main as command_line

    if heeds:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


if __name__ == "__main__":
    main()
