"""TLS on a connection: what lies between the transport of an accepted socket and its protocol.

With OpenSSL over memory, not asyncio's own TLS: that holds 256 KiB for each connection, and closes it over a
failed handshake without the alert that tells the client why. All goes through the transport beneath: nothing
here, or above, writes to the socket.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from ottla.network.connection import Connection, Shared
from ottla.network.tls import ServerTls
from ottla.security.names import CertificateError, subject_name
from ottla.security.principal import ANONYMOUS, Principal

log = logging.getLogger("ottla.authentication")

_WRITTEN_TOGETHER: Final = 128 * 1024


class SecuredTransport(asyncio.BufferedProtocol, asyncio.Transport):
    """The protocol of a plain transport, and itself the transport of another protocol."""

    def __init__(
        self,
        context: ssl.SSLContext,
        listener: str,
        receive_buffer: memoryview,
        admit: Callable[[SecuredTransport], str | None],
        begin: Callable[[SecuredTransport], asyncio.BufferedProtocol | None],
        gone: Callable[[SecuredTransport], None],
        timeout_s: float,
    ) -> None:
        """`admit` says why it may not stay. `begin` makes the protocol once the handshake is done, None where
        the client is not let in. `gone` is called when it is closed. `receive_buffer` is all connections'.
        """
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.listener = listener
        self._receive_buffer = receive_buffer
        self._admit = admit
        self._begin = begin
        self._gone = gone
        self._timeout_s = timeout_s
        self._beneath: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._protocol: asyncio.BufferedProtocol | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waits_s = 0.0
        self._is_muted = False
        self._is_paused = False
        self._is_clogged = False
        self._holds_back = False
        self._is_closing = False
        self._has_ended = False
        self.peer_host = ""

    # -- the protocol of the transport beneath

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._beneath = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self.peer_host = peer[0] if peer else ""
        refusal = self._admit(self)
        if refusal is not None:
            self.refuse(refusal)
            return
        self._timer = asyncio.get_running_loop().call_later(self._waits_s + self._timeout_s, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._stop_timer()
        self._gone(self)
        if self._protocol is not None:
            self._protocol.connection_lost(exc)
        # Not when the collector comes: OpenSSL's memory is of no weight to it.
        del self._ssl, self._incoming, self._outgoing

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's
        return self._receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._incoming.write(self._receive_buffer[:nbytes])
        if self._is_muted:  # uvloop reads behind `connection_made`, though it was asked there not to
            self._beneath.pause_reading()
        elif self._protocol is None:
            self._shake_hands()
        else:
            self._read()

    def eof_received(self) -> bool:
        """There may be an end without TLS's own word for it: requests have their length."""
        if self._protocol is None:
            if not self._is_closing:
                self._fail("the client closed the connection")
            return False
        return bool(self._protocol.eof_received())

    def pause_writing(self) -> None:
        self._is_clogged = True
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._is_clogged = False
        if self._holds_back:
            self._holds_back = False
            if not self._is_paused:
                self._beneath.resume_reading()
        if self._protocol is not None:
            self._protocol.resume_writing()

    def mute(self, milliseconds: int) -> None:
        """Have the client wait with its handshake."""
        self._is_muted = True
        self._waits_s = milliseconds / 1000
        self._beneath.pause_reading()
        asyncio.get_running_loop().call_later(self._waits_s, self._unmute)

    def _unmute(self) -> None:
        self._is_muted = False
        if self.is_closing():
            return
        self._shake_hands()  # with what came meanwhile
        if not self._is_paused and not self.is_closing():
            self._beneath.resume_reading()

    def refuse(self, why: str) -> None:
        """Close it, with one line in the log."""
        log.warning("closed connection from %s: %s", self.peer_host, why)
        self.abort()

    # -- the handshake

    def _shake_hands(self) -> None:
        if self._is_closing:  # it is told why
            return
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._send_outgoing()
            return
        except ssl.SSLError as error:
            self._fail(getattr(error, "verify_message", None) or error.reason or "what came is no TLS")
            return
        self._stop_timer()
        self._send_outgoing()
        protocol = self._begin(self)
        if protocol is None:
            self.close()
            self._abort_later()
            return
        self._protocol = protocol
        protocol.connection_made(self)
        self._read()

    def _too_late(self) -> None:
        self._fail(f"it was not done within {self._timeout_s:g} s")

    def _fail(self, why: str) -> None:
        log.info("failed TLS handshake of %s on listener %s: %s", self.peer_host, self.listener, why)
        self._give_up()  # with the alert: whoever has it finds the line in the log

    def _give_up(self) -> None:
        """Close it once what is written has been sent, for which there is no more than a handshake's time."""
        self._is_closing = True
        self._send_outgoing()
        self._beneath.close()
        self._abort_later()

    def _abort_later(self) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._beneath.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- what comes in

    def _read(self) -> None:
        """Hand on what has come in, as long as it is wanted."""
        protocol = self._protocol
        assert protocol is not None
        while not self._is_paused and not self._is_closing:
            try:
                filled, is_all = self._fill(protocol)
            except ssl.SSLError as error:
                self._broken(error)
                return
            self._answer_of_itself()
            if filled:
                protocol.buffer_updated(filled)
            if self._has_ended:
                protocol.eof_received()
                self.close()
            if is_all:
                return

    def _answer_of_itself(self) -> None:
        """TLS may answer without the protocol, as it does to those who ask for new keys. Who asks and does
        not read is not read from.
        """
        if self._outgoing.pending:
            self._send_outgoing()
            if self._is_clogged and not self._holds_back:
                self._holds_back = True
                self._beneath.pause_reading()

    def _fill(self, protocol: asyncio.BufferedProtocol) -> tuple[int, bool]:
        """Decrypt into the protocol's buffer; gives how much, and whether that was all there is. It leaves
        no view of the buffer, which may have to move.
        """
        buffer = memoryview(protocol.get_buffer(-1))
        room, filled = len(buffer), 0
        try:
            while filled < room:
                read = cast("int", self._ssl.read(room - filled, buffer[filled:] if filled else buffer))
                if not read:  # the client's last word
                    self._has_ended = True
                    return filled, True
                filled += read
        except ssl.SSLWantReadError:
            return filled, True
        return filled, False

    def _broken(self, error: ssl.SSLError) -> None:
        """What came is not what the other side can have sent."""
        if not isinstance(error, ssl.SSLZeroReturnError | ssl.SSLEOFError):
            log.warning("closed connection from %s: TLS: %s", self.peer_host, error.reason)
        self._give_up()

    # -- the transport of the protocol above

    def write(self, data: Any) -> None:
        if self._is_closing:
            return
        if len(data) <= _WRITTEN_TOGETHER:
            self._write(data)
        else:
            view = memoryview(data)
            for start in range(0, len(view), _WRITTEN_TOGETHER):
                self._write(view[start : start + _WRITTEN_TOGETHER])

    def _write(self, data: Any) -> None:
        try:
            self._ssl.write(data)
        except ssl.SSLError as error:
            self._broken(error)
        else:
            self._send_outgoing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        for data in list_of_data:
            if len(data):
                self.write(data)

    def _send_outgoing(self) -> None:
        if self._outgoing.pending:
            self._beneath.write(self._outgoing.read())

    def close(self) -> None:
        """After what was written has been sent."""
        if self._is_closing:
            return
        self._is_closing = True
        try:
            self._ssl.unwrap()
        except ssl.SSLError:  # it does not wait for the client's own word
            pass
        self._send_outgoing()
        self._beneath.close()

    def abort(self) -> None:
        self._is_closing = True
        self._beneath.abort()

    def is_closing(self) -> bool:
        return self._is_closing or self._beneath.is_closing()

    def pause_reading(self) -> None:
        self._is_paused = True
        self._beneath.pause_reading()

    def resume_reading(self) -> None:
        if self._is_paused and not self._is_closing:
            self._is_paused = False
            if not self._holds_back:
                self._beneath.resume_reading()
            # What was decrypted already would wait for more to come.
            asyncio.get_running_loop().call_soon(self._read_more)

    def _read_more(self) -> None:
        if not self._is_closing and self._protocol is not None:
            self._read()

    def is_reading(self) -> bool:
        return not self._is_paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._beneath.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        return self._beneath.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`ssl_object` is what it says; there is no `socket`, which nobody may write to."""
        if name == "ssl_object":
            return self._ssl
        if name == "socket":
            return default
        return self._beneath.get_extra_info(name, default)

    @property
    def certificate(self) -> bytes | None:
        """The client's, in DER; None where it showed none."""
        return self._ssl.getpeercert(binary_form=True)


def secured_connections(
    tls: ServerTls,
    shared: Shared,
    listener: str,
    admit: Callable[[Connection | SecuredTransport], str | None],
    authenticate: Callable[[Connection], Callable[[], None]] | None,
    shaking_hands: dict[SecuredTransport, None],
    timeout_s: Callable[[], float],
) -> Callable[[], SecuredTransport]:
    """What makes each connection of a listener with TLS. `shaking_hands` has those whose handshake goes on;
    without `authenticate` the client's certificate says who it is.
    """

    def admit_hands(transport: SecuredTransport) -> str | None:
        shaking_hands[transport] = None
        return admit(transport)

    def begin(transport: SecuredTransport) -> Connection | None:
        connection = Connection(shared, listener, lambda _: None, authenticate)  # it was asked already
        if authenticate is None:
            try:
                connection.session.principal = _principal(transport.certificate, tls)
            except CertificateError as error:
                log.info(
                    "failed authentication of %s on listener %s: %s", transport.peer_host, listener, error
                )
                return None
        del shaking_hands[transport]  # the others count until they are gone
        return connection

    def gone(transport: SecuredTransport) -> None:
        shaking_hands.pop(transport, None)

    return lambda: SecuredTransport(
        tls.context, listener, shared.receive_buffer, admit_hands, begin, gone, timeout_s()
    )


def _principal(certificate: bytes | None, tls: ServerTls) -> Principal:
    """Whom a certificate names, if there is one."""
    if certificate is None:
        return ANONYMOUS
    return Principal("User", tls.rules.name(subject_name(certificate)))
