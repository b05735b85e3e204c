"""Work of two stages side by side: the first makes items in a thread of its own while the second uses them."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_PUT_S = 0.1


def ahead(make: Callable[[], Iterator[Item]], count: int = 2) -> Generator[Item, None, None]:
    """The items in order, at most `count` of them waiting. Errors: whatever making them raises, in its place.

    Closing it closes the maker, before this returns.
    """
    made: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(count)
    stopped = threading.Event()

    def put(one: tuple[Item] | BaseException | None) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                made.put(one, timeout=_PUT_S)
                return True
        return False

    def work() -> None:
        items: Iterator[Item] | None = None
        try:
            items = make()  # may ask the org before it gives the first item
            for item in items:
                if not put((item,)):
                    break
            put(None)
        except BaseException as error:
            put(error)
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=work, name="crmsync-ahead", daemon=True)
    thread.start()
    try:
        while (one := made.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one[0]
    finally:
        stopped.set()
        thread.join()
