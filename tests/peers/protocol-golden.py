#!/usr/bin/env python3
"""Prints calls as the published clients and servers write them, for crates/flyte-protocol/src/tests/golden.json.

connectrpc and grpcio call services of their own. What goes over the wire is recorded in both directions: heads, bodies in
hexadecimal, trailers. Run it with the Python of target/peers/venv.
"""

import asyncio
import contextlib
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import hpack
import hyperframe.frame
from connectrpc.code import Code
from connectrpc.codec import proto_binary_codec, proto_json_codec
from connectrpc.compression.gzip import GzipCompression
from connectrpc.compression.zstd import ZstdCompression
from connectrpc.errors import ConnectError
from connectrpc.protocol import ProtocolType
from flyteidl2.project import project_service_connect, project_service_pb2, project_service_pb2_grpc
from flyteidl2.workflow import (
    internal_run_service_connect,
    internal_run_service_pb2,
    run_service_connect,
    run_service_pb2,
    run_service_pb2_grpc,
)
from google.protobuf import struct_pb2
from pyqwest import Client
from pyqwest.testing import ASGITransport

# Headers that say something about the protocol.
KEPT = ("content-type", "content-encoding", "accept-encoding", "te", "trailer")
MESSAGE = "a text of 40 characters, and é and % too"


def kept(headers):
    return [
        [name, value]
        for name, value in headers
        if name in KEPT or name.startswith(("connect-", "grpc-", "x-grpc-"))
    ]


def text(headers):
    return [(name.decode().lower(), value.decode()) for name, value in headers]


class Recorder:
    """An ASGI application that records what another one gets and sends."""

    def __init__(self, app):
        self.app, self.call = app, None

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        target = scope["raw_path"].decode()
        if scope["query_string"] and "?" not in target:
            target += "?" + scope["query_string"].decode()
        self.call = call = {
            "method": scope["method"],
            "target": target,
            "headers": kept(text(scope["headers"])),
            "body": "",
            "status": 0,
            "answer_headers": [],
            "answer": "",
            "trailers": None,
        }

        async def received():
            event = await receive()
            if event["type"] == "http.request":
                call["body"] += event.get("body", b"").hex()
            return event

        async def sent(event):
            if event["type"] == "http.response.start":
                call["status"], call["answer_headers"] = event["status"], kept(text(event["headers"]))
            elif event["type"] == "http.response.body":
                call["answer"] += event.get("body", b"").hex()
            elif event["type"] == "http.response.trailers":
                call["trailers"] = (call["trailers"] or []) + kept(text(event["headers"]))
            await send(event)

        scope.setdefault("extensions", {}).setdefault("http.response.trailers", {})
        await self.app(scope, received, sent)


DETAIL = struct_pb2.Value(string_value="x" * 150)


class Projects(project_service_connect.ProjectService):
    async def get_project(self, request, ctx):
        if request.id == "missing":
            raise ConnectError(Code.NOT_FOUND, MESSAGE, details=[DETAIL])
        return project_service_pb2.GetProjectResponse(project={"id": request.id, "description": MESSAGE})


class Runs(run_service_connect.RunService):
    async def watch_runs(self, request, ctx):
        for name in ("a", "b"):
            yield run_service_pb2.WatchRunsResponse(
                runs=[{"action": {"id": {"run": {"project": MESSAGE, "name": name}}}}]
            )
        if request.project_id.name == "missing":
            raise ConnectError(Code.UNAVAILABLE, MESSAGE, details=[DETAIL])


class Internal(internal_run_service_connect.InternalRunService):
    async def record_action_stream(self, requests, ctx):
        async for _ in requests:
            yield internal_run_service_pb2.RecordActionStreamResponse()


async def by_connectrpc(calls):
    for protocol in (ProtocolType.CONNECT, ProtocolType.GRPC, ProtocolType.GRPC_WEB):
        for codec in (proto_binary_codec(), proto_json_codec()):
            for compression in (None, GzipCompression(), ZstdCompression()):
                compressions = [compression] if compression else []

                def client(kind, app):
                    recorder = Recorder(app)
                    return recorder, kind(
                        "http://localhost",
                        http_client=Client(ASGITransport(recorder)),
                        protocol=protocol,
                        codec=codec,
                        send_compression=compression,
                        accept_compression=compressions,
                        timeout_ms=30_500,
                    )

                name = f"{protocol.name} {codec.name()} {compression.name() if compression else 'identity'}"

                async def record(what, recorder, call, messages, answers, code=None):
                    try:
                        await call
                    except ConnectError as error:
                        assert error.code.value == code, error
                    else:
                        assert code is None
                    encode = [codec.encode(message).hex() for message in messages]
                    calls.append(
                        {
                            "name": f"connectrpc {name} {what}",
                            "messages": encode,
                            "answers": [codec.encode(answer).hex() for answer in answers],
                            "error": code,
                            **recorder.call,
                        }
                    )

                app = project_service_connect.ProjectServiceASGIApplication(
                    Projects(), compressions=[GzipCompression(), ZstdCompression()]
                )
                recorder, projects = client(project_service_connect.ProjectServiceClient, app)
                for identifier, code in ((MESSAGE, None), ("missing", "not_found")):
                    request = project_service_pb2.GetProjectRequest(id=identifier)
                    answers = []
                    if not code:
                        answers = [
                            project_service_pb2.GetProjectResponse(
                                project={"id": identifier, "description": MESSAGE}
                            )
                        ]
                    await record(
                        f"unary {code}", recorder, projects.get_project(request), [request], answers, code
                    )
                    if protocol == ProtocolType.CONNECT:
                        await record(
                            f"get {code}",
                            recorder,
                            projects.get_project(request, use_get=True),
                            [request],
                            answers,
                            code,
                        )
                app = run_service_connect.RunServiceASGIApplication(
                    Runs(), compressions=[GzipCompression(), ZstdCompression()]
                )
                recorder, runs = client(run_service_connect.RunServiceClient, app)
                for project, code in ((MESSAGE, None), ("missing", "unavailable")):
                    request = run_service_pb2.WatchRunsRequest(project_id={"name": project})
                    answers = [message async for message in Runs().watch_runs(run_service_pb2.WatchRunsRequest(), None)]

                    async def watch():
                        async for _ in runs.watch_runs(request):
                            pass

                    await record(f"stream {code}", recorder, watch(), [request], answers, code)
                app = internal_run_service_connect.InternalRunServiceASGIApplication(
                    Internal(), compressions=[GzipCompression(), ZstdCompression()]
                )
                recorder, internal = client(internal_run_service_connect.InternalRunServiceClient, app)
                requests = [
                    internal_run_service_pb2.RecordActionStreamRequest(
                        request={"action_id": {"name": character * 60}}
                    )
                    for character in "xy"
                ]

                async def duplex():
                    async def each():
                        for request in requests:
                            yield request

                    async for _ in internal.record_action_stream(each()):
                        pass

                empty = internal_run_service_pb2.RecordActionStreamResponse()
                await record("both ways", recorder, duplex(), requests, [empty, empty])


class GrpcProjects(project_service_pb2_grpc.ProjectServiceServicer):
    def GetProject(self, request, context):
        if request.id == "missing":
            context.abort(grpc.StatusCode.NOT_FOUND, MESSAGE)
        return project_service_pb2.GetProjectResponse(project={"id": request.id, "description": MESSAGE})


class GrpcRuns(run_service_pb2_grpc.RunServiceServicer):
    def WatchRuns(self, request, context):
        for name in ("a", "b"):
            yield run_service_pb2.WatchRunsResponse(
                runs=[{"action": {"id": {"run": {"project": MESSAGE, "name": name}}}}]
            )
        if request.project_id.name == "missing":
            context.abort(grpc.StatusCode.UNAVAILABLE, MESSAGE)


def relay(port, recorded):
    """A TCP relay to this port that records both directions of one connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source, target, record):
        while data := source.recv(65536):
            record.extend(data)
            target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve():
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", port))
        threads = [
            threading.Thread(target=copy, args=(client, server, recorded[0])),
            threading.Thread(target=copy, args=(server, client, recorded[1])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def streams(data):
    """The heads, bodies and trailers of the streams of a direction of a connection of HTTP/2."""
    data = bytes(data)
    if data.startswith(b"PRI "):
        data = data[24:]
    decoder, found = hpack.Decoder(), {}
    while data:
        frame, length = hyperframe.frame.Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        data = data[9 + length :]
        stream = found.setdefault(frame.stream_id, {"heads": [], "body": b""})
        if isinstance(frame, hyperframe.frame.HeadersFrame):
            assert "END_HEADERS" in frame.flags
            stream["heads"].append(decoder.decode(frame.data))
        elif isinstance(frame, hyperframe.frame.DataFrame):
            stream["body"] += bytes(frame.data)
    return {number: stream for number, stream in found.items() if number}


def by_grpcio(calls):
    server = grpc.server(ThreadPoolExecutor(2), compression=grpc.Compression.Gzip)
    project_service_pb2_grpc.add_ProjectServiceServicer_to_server(GrpcProjects(), server)
    run_service_pb2_grpc.add_RunServiceServicer_to_server(GrpcRuns(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        for service, identifier, code in (
            # Short messages are not compressed.
            ("unary", MESSAGE * 5, None),
            ("unary", "missing", "not_found"),
            ("stream", MESSAGE * 5, None),
            ("stream", "missing", "unavailable"),
        ):
            recorded = (bytearray(), bytearray())
            channel = grpc.insecure_channel(f"127.0.0.1:{relay(port, recorded)}", compression=compression)
            try:
                if service == "unary":
                    request = project_service_pb2.GetProjectRequest(id=identifier)
                    stub = project_service_pb2_grpc.ProjectServiceStub(channel)
                    answers = [] if code else [stub.GetProject(request, timeout=30.5)]
                    if code:
                        stub.GetProject(request, timeout=30.5)
                else:
                    request = run_service_pb2.WatchRunsRequest(project_id={"name": identifier})
                    stub = run_service_pb2_grpc.RunServiceStub(channel)
                    answers = []
                    for answer in stub.WatchRuns(request, timeout=30.5):
                        answers.append(answer)
            except grpc.RpcError as error:
                assert error.code().name.lower() == code, error
            channel.close()
            sent, answered = streams(recorded[0])[1], streams(recorded[1])[1]
            head = dict(sent["heads"][0])
            trailers = kept(answered["heads"][-1]) if len(answered["heads"]) > 1 else None
            calls.append(
                {
                    "name": f"grpcio {compression.name} {service} {code}",
                    "messages": [request.SerializeToString().hex()],
                    "answers": [answer.SerializeToString().hex() for answer in answers],
                    "error": code,
                    "method": head[":method"],
                    "target": head[":path"],
                    # How long a caller still waits depends on the time.
                    "headers": [
                        [name, "30S" if name == "grpc-timeout" else value]
                        for name, value in kept(sent["heads"][0])
                    ],
                    "body": sent["body"].hex(),
                    "status": int(dict(answered["heads"][0])[":status"]),
                    "answer_headers": kept(answered["heads"][0]),
                    "answer": answered["body"].hex(),
                    "trailers": trailers,
                }
            )
    server.stop(None)


calls = []
asyncio.run(by_connectrpc(calls))
by_grpcio(calls)
print("[")
print(",\n".join(json.dumps(call, ensure_ascii=False) for call in calls))
print("]")
