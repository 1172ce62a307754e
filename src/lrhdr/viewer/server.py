"""The viewer as a server on this machine: one page, and planes of frames on demand.

It listens on 127.0.0.1 only, answers GET and HEAD, and knows two kinds of address: `/`, and `/data/PLANE-INDEX` with a
name and a number. A request never names a file, so no path can lead out of the folder. Requests under another host
name are refused: a page elsewhere must not read frames by pointing its own name at this machine.
"""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lrhdr.checks import InputError
from lrhdr.viewer.page import build_page
from lrhdr.viewer.sequence import Sequence

HOST = "127.0.0.1"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_DATA = re.compile(r"/data/([a-z]+\d{0,3})-(-?\d{1,15})")


class ViewServer(ThreadingHTTPServer):
    """Serves one sequence.

    Args:
        sequence: what to show.
        port: 0 for any that is free.

    Raises:
        InputError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, sequence: Sequence, port: int = 0) -> None:
        self.sequence = sequence
        self.page = build_page(sequence.manifest())
        try:
            super().__init__((HOST, port), partial(_Handler))
        except (OSError, OverflowError) as error:
            raise InputError(f"port {port}: cannot be used ({error})") from error

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is not worth a word."""


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer
    server_version = "lrhdr"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        port = self.server.server_address[1]
        hosts = {f"{name}{end}" for name in (HOST, "localhost") for end in (f":{port}", *([""] if port == 80 else []))}
        if self.headers.get("Host", "").lower() not in hosts:
            self._send(HTTPStatus.FORBIDDEN, b"another host name", "text/plain; charset=utf-8")
            return
        if self.path == "/":
            self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
            return
        match = _DATA.fullmatch(self.path)
        try:
            if match is None:
                raise KeyError(self.path)
            data = self.server.sequence.planes(int(match[2]), match[1])
        except KeyError:
            self._send(HTTPStatus.NOT_FOUND, b"no such frame", "text/plain; charset=utf-8")
        except InputError as error:
            self._send(HTTPStatus.UNPROCESSABLE_ENTITY, str(error).encode(), "text/plain; charset=utf-8")
        else:
            self._send(HTTPStatus.OK, data, "application/octet-stream")

    do_HEAD = do_GET

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to the person."""
