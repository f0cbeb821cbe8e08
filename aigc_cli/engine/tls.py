"""The encrypted channel to an https server; certificates are those that the system trusts."""

import socket
import ssl

from aigc_cli.engine.connection import READ, WRITE, WouldBlock
from aigc_cli.errors import EngineError


class TlsChannel:
    """See `connection.Channel`; the handshake comes first."""

    def __init__(self, plain: socket.socket, host: str) -> None:
        self._socket = ssl.create_default_context().wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )

    def shake_hands(self, label: str) -> None:
        """Go on with the handshake.

        Raises:
            WouldBlock: the server has its turn.
            EngineError: the certificate is not to be trusted, or that is no TLS server.
        """
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            raise WouldBlock(READ) from None
        except ssl.SSLWantWriteError:
            raise WouldBlock(WRITE) from None
        except ssl.SSLCertVerificationError as error:
            raise EngineError(
                f"{label}: its certificate is not to be trusted: {error.verify_message}",
                "SSL_CERT_FILE names the certificates to trust",
            ) from error
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror or error
            raise EngineError(f"{label}: no TLS connection: {reason}", "is it http:// instead?") from error

    def fileno(self) -> int:
        """What to wait for."""
        return self._socket.fileno()

    def recv(self, n_bytes: int) -> bytes:
        """Some bytes; none at the end."""
        try:
            return self._socket.recv(n_bytes)
        except ssl.SSLWantReadError:
            raise WouldBlock(READ) from None
        except ssl.SSLWantWriteError:
            raise WouldBlock(WRITE) from None

    def send(self, view: memoryview) -> int:
        """How many of the bytes were taken."""
        try:
            return self._socket.send(view)
        except ssl.SSLWantReadError:
            raise WouldBlock(READ) from None
        except ssl.SSLWantWriteError:
            raise WouldBlock(WRITE) from None

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
