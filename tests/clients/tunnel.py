"""A proxy that lets an unmodified client believe that the sandbox org is *.salesforce.com.

It accepts `CONNECT host:443` for hosts below salesforce.com only, ends the TLS itself and passes the bytes on to the
sandbox on loopback. So it also guarantees that no test ever reaches the real salesforce.com.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

from tests.clients.certificates import KeyPair

CHUNK = 1 << 16
HEAD_MAX = 1 << 14
DOMAIN = ".salesforce.com"


@contextlib.contextmanager
def open_tunnel(target_port: int, server: KeyPair) -> Iterator[str]:
    """The address of a proxy in front of `127.0.0.1:target_port`, as HTTPS_PROXY takes it. Ends with the block."""
    tunnel = Tunnel(target_port, server.certificate, server.key)
    thread = Thread(target=lambda: asyncio.run(tunnel.serve()), name="tunnel", daemon=True)
    thread.start()
    assert tunnel.ready.wait(10), "the tunnel did not start"
    try:
        yield f"http://127.0.0.1:{tunnel.port}"
    finally:
        tunnel.stop()
        thread.join(10)
        assert not thread.is_alive(), "the tunnel did not stop"


class Tunnel:
    """State of one running proxy; `port` is known once `ready` is set."""

    def __init__(self, target_port: int, certificate: Path, key: Path) -> None:
        self.ready = Event()
        self.port = 0
        self._target_port = target_port
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate, key)
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Answer until `stop` is called, then drop every connection."""
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self._stopped.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def stop(self) -> None:
        """End `serve`; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side hung up, or the tunnel ends
        finally:
            self._connections.discard(connection)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target = head[:HEAD_MAX].decode("latin-1").split(" ", 2)[:2]
        host, _, port = target.partition(":")
        if method != "CONNECT" or port != "443" or not host.endswith(DOMAIN):
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._tls)
        to_org = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            await _relay(reader, writer, *to_org)
        finally:
            to_org[1].transport.abort()


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    org_reader: asyncio.StreamReader,
    org_writer: asyncio.StreamWriter,
) -> None:
    """Pass bytes both ways until one side ends."""
    ways = [asyncio.ensure_future(_pass_on(reader, org_writer)), asyncio.ensure_future(_pass_on(org_reader, writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
