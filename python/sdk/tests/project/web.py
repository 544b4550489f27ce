"""An app."""

import http.server
import os

from helper import shout

import flyte.app

env = flyte.app.AppEnvironment(name="web", image="registry.example/web:1", port=8099, requires_auth=False)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = shout(self.path).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@env.server
def serve() -> None:
    port = int(os.environ.get("PORT", "8099"))
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
