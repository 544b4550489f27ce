#!/usr/bin/env python3
"""A console, an app and a foreign page for tests of the gateway in a browser.

Usage: web-app.py PORT. Serves HTTP/1.1 on the loopback address.

- `/v2/...`: the console, a page that lists the projects of its own origin.
- `/`: an app. Its page opens a WebSocket that echoes, and a stream of server-sent events. It shows the cookies that the app has received.
- `/foreign`: a page of no origin of ours.
"""

import asyncio
import json
import sys

import hypercorn.asyncio
import hypercorn.config

PORT = int(sys.argv[1])

CONSOLE = """<!doctype html><title>Console</title><h1>Projects</h1><p id="projects"></p><script>
fetch("/flyteidl2.project.ProjectService/ListProjects", {method: "POST", headers: {"content-type": "application/json"}, body: "{}"})
  .then(answer => answer.json())
  .then(answer => document.querySelector("#projects").textContent = answer.projects.projects.map(project => project.id).join(" "))
</script>"""

APP = """<!doctype html><title>App</title><h1>App</h1><pre id="headers">%s</pre><p id="socket"></p><p id="events"></p><script>
document.cookie = "own=1; Secure"
const show = (id, text) => document.querySelector(id).textContent += text + " "
const socket = new WebSocket("wss://" + location.host + "/socket")
socket.onopen = () => socket.send("hello")
socket.onmessage = message => show("#socket", message.data)
socket.onclose = () => show("#socket", "closed")
const events = new EventSource("/events")
events.onmessage = event => show("#events", event.data)
events.onerror = () => show("#events", "broken")
</script>"""


async def respond(send, kind: str, body: str) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
    await send({"type": "http.response.body", "body": body.encode()})


async def socket(receive, send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": "echo " + event["text"]})


async def events(receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for number in range(3):
        await send({"type": "http.response.body", "body": f"data: event {number}\n\n".encode(), "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


async def application(scope, receive, send) -> None:
    if scope["type"] == "lifespan":
        return
    path = scope["path"]
    if scope["type"] == "websocket":
        await socket(receive, send)
    elif path == "/events":
        await events(receive, send)
    elif path.startswith("/v2"):
        await respond(send, "text/html", CONSOLE)
    elif path == "/foreign":
        await respond(send, "text/html", "<!doctype html><title>Foreign</title><h1>Foreign</h1>")
    else:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        await respond(send, "text/html", APP % json.dumps(headers).replace("<", ""))


async def main() -> None:
    configuration = hypercorn.config.Config()
    configuration.bind = [f"127.0.0.1:{PORT}"]
    configuration.errorlog = None
    await hypercorn.asyncio.serve(application, configuration)


asyncio.run(main())
