"""Access control: this machine only, or clients with a CURVE key; always with the token.

A key folder holds `server.key`, `server.key_secret` and `authorized/*.key`, the public keys of the clients.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from backend.errors import BadInput

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_TOKEN = 128


def choose_token(given: str | None) -> str:
    """The given token, or a new one of 192 random bits.  Raises BadInput `bad_token`."""
    if given is None:
        return secrets.token_urlsafe(24)
    if not 1 <= len(given) <= MAX_TOKEN:
        raise BadInput(
            "bad_token",
            f"The token has {len(given)} characters; it must have 1 to {MAX_TOKEN}.",
            "Omit --token and RECOVER_MESH_TOKEN for a random one.",
        )
    return given


def same_token(expected: str, given: str) -> bool:
    """Whether the tokens are equal, compared in constant time."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def bind_address(host: str, port: int, encrypted: bool) -> str:
    """host, port (0: any free one) -> ZeroMQ address.  Raises BadInput `bad_port`, `not_loopback` (needs keys)."""
    if not 0 <= port <= 65535:
        raise BadInput("bad_port", f"There is no port {port}.", "Use 0 (any free one) to 65535.")
    if host not in LOOPBACK and not encrypted:
        raise BadInput(
            "not_loopback",
            f"Without keys the backend listens on this machine only, not on {host!r}.",
            "Use --host 127.0.0.1, or give --curve-keys DIR (make keys with --add-client NAME).",
        )
    if host == "localhost":
        host = "127.0.0.1"
    where = f"[{host}]" if ":" in host else host
    return f"tcp://{where}:{port or '*'}"


def add_client(directory: Path, name: str) -> Path:
    """Make a key pair for a client, and the server's if there is none; returns the path of the client's secret key.

    That file and `server.key` belong on the client's machine.  Raises BadInput `bad_name`, `exists`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) or name == "server":
        raise BadInput("bad_name", f"A client cannot be called {name!r}.", "Use letters, digits, - and _.")
    authorized, clients = directory / "authorized", directory / "clients"
    for folder in (directory, authorized, clients):
        folder.mkdir(parents=True, exist_ok=True)
    if (authorized / f"{name}.key").exists():
        raise BadInput(
            "exists", f"There is a client {name!r} already.", "Delete its .key file, or choose another name."
        )
    if not (directory / "server.key_secret").exists():
        _, secret = zmq.auth.create_certificates(directory, "server")
        _make_private(Path(secret))
    public, secret = zmq.auth.create_certificates(clients, name)
    _make_private(Path(secret))
    Path(public).replace(authorized / f"{name}.key")
    return Path(secret)


def _make_private(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.chmod(0o600)


class CurveServer:
    """CURVE on a server's socket: encrypts, and accepts only the clients in `authorized`."""

    def __init__(self, directory: Path) -> None:
        """directory: the key folder.  Raises BadInput `bad_keys`."""
        hint = f"Make keys with: recover-mesh serve --curve-keys {directory} --add-client NAME"
        secret_file, self._authorized = directory / "server.key_secret", directory / "authorized"
        try:
            public, secret = zmq.auth.load_certificate(secret_file)
        except (OSError, ValueError) as error:
            raise BadInput("bad_keys", f"The server's key {secret_file} cannot be read: {error}.", hint) from None
        if secret is None:
            raise BadInput("bad_keys", f"{secret_file} contains no secret key.", hint)
        if not list(self._authorized.glob("*.key")):
            raise BadInput("bad_keys", f"{self._authorized} contains no key: no client could connect.", hint)
        self._keys = public, secret
        self._authenticator: ThreadAuthenticator | None = None

    def protect(self, context: zmq.Context, socket: zmq.Socket) -> None:
        """Set up a socket; call it before `bind`."""
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve(domain="*", location=str(self._authorized))
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = self._keys

    def stop(self) -> None:
        if self._authenticator is not None:
            self._authenticator.stop()
            self._authenticator = None
