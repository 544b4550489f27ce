"""Apps: one that is a command, one that is a function."""

import os

import flyte
from flyte.app import AppEnvironment

# The port that the app requests. The server passes the actual port.
LIKED = int(os.environ.get("WEB_PORT", "8080"))

web = AppEnvironment(
    name="web",
    image="python:3.12",
    command=["sh", "-c", "exec python -m http.server --bind 127.0.0.1 $PORT"],
    port=LIKED,
    requires_auth=False,
)

served = AppEnvironment(name="served", image="python:3.12", port=LIKED, requires_auth=False)


@served.server
def serve() -> None:
    import http.server

    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = os.environ.get("GREETING", "hello from an app").encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    print("serving", flush=True)
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Hello).serve_forever()
