#!/usr/bin/env python3
"""A web server that is not a control plane: over TLS, it answers every request with the same status and page.

Usage: web-server.py PORT CERTIFICATE_AND_KEY.pem STATUS. Writes each request to standard error.
"""

import http.server
import ssl
import sys

PAGE = b"<!doctype html><title>Console</title><p>Nothing here speaks protobuf."


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(int(sys.argv[3]))
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    do_POST = do_PUT = do_HEAD = do_GET


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_) -> None:
        pass  # clients that distrust the certificate hang up


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(sys.argv[2])
# The handshake belongs to the thread of its connection.
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("listening", file=sys.stderr, flush=True)
server.serve_forever()
