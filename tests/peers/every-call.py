#!/usr/bin/env python3
"""Calls every published RPC at a backend and through the gateway in front of it, in every protocol, and compares what comes back.

Usage: every-call.py BACKEND GATEWAY AUTHORITY TOKEN_FILE ANSWERED REFUSED. Both addresses are HOST:PORT; the gateway's certificate is signed by the
authority in the PEM file. The token is that of an administrator. ANSWERED and REFUSED are prefixes of the names of RPCs, divided by commas: those that the
gateway answers itself, and those that it refuses. The others come from the backend.

The clients are the published connectrpc (Connect, gRPC, gRPC-Web; protobuf and JSON; identity, gzip and zstd) and grpcio. Prints a line of JSON with the
number of calls by protocol, or the differences and ends with 1.
"""

import asyncio
import collections
import importlib
import itertools
import json
import pathlib
import pkgutil
import sys

import flyteidl2
import grpc
from connectrpc.client import ConnectClient
from connectrpc.code import Code
from connectrpc.codec import proto_binary_codec, proto_json_codec
from connectrpc.compression.gzip import GzipCompression
from connectrpc.compression.zstd import ZstdCompression
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo
from connectrpc.protocol import ProtocolType
from google.protobuf import descriptor_pb2, message_factory
from pyqwest import Client, HTTPTransport, HTTPVersion

BACKEND, GATEWAY = sys.argv[1], sys.argv[2]
AUTHORITY = pathlib.Path(sys.argv[3]).read_bytes()
AUTHORIZATION = {"authorization": f"Bearer {pathlib.Path(sys.argv[4]).read_text().strip()}"}
ANSWERED, REFUSED = (tuple(names.split(",")) for names in sys.argv[5:7])
# Codecs and compressions that take turns, so that every RPC has some of them and every protocol all.
VARIANTS = itertools.cycle(
    itertools.product((proto_binary_codec, proto_json_codec), (None, GzipCompression, ZstdCompression), (HTTPVersion.HTTP1, HTTPVersion.HTTP2))
)
# RPCs whose answers differ from call to call.
VARYING = ("CreateRun", "UploadInputs")
# RPCs that change what others list.
WRITING = (*VARYING, "DeployTask", "AppService/Create")
COUNTS: collections.Counter[str] = collections.Counter()
FAULTS: list[str] = []


def methods():
    """Every method of the published descriptors."""
    for module in pkgutil.walk_packages(flyteidl2.__path__, "flyteidl2."):
        if module.name.endswith("_pb2"):
            for service in importlib.import_module(module.name).DESCRIPTOR.services_by_name.values():
                yield from service.methods


def example(descriptor):
    """A request that names project alpha wherever a request can name one."""
    message = message_factory.GetMessageClass(descriptor)()
    fill(message, 0)
    return message


def fill(message, depth: int) -> None:
    set_oneofs = set()
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if field.is_repeated or depth > 4 or (oneof and oneof.name in set_oneofs):
            continue
        name = field.name
        if field.type == field.TYPE_STRING and name in ("project", "domain"):
            setattr(message, name, {"project": "alpha", "domain": "development"}[name])
        elif field.type == field.TYPE_MESSAGE and field.message_type.full_name == "flyteidl2.common.ProjectIdentifier":
            getattr(message, name).name, getattr(message, name).domain = "alpha", "development"
        elif field.type == field.TYPE_MESSAGE and field.message_type.full_name.startswith("flyteidl2.") and name.endswith(("_id", "id")):
            fill(getattr(message, name), depth + 1)
        else:
            continue
        if oneof:
            set_oneofs.add(oneof.name)


def info(method) -> MethodInfo:
    levels = {descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS: IdempotencyLevel.NO_SIDE_EFFECTS}
    return MethodInfo(
        name=method.name,
        service_name=method.containing_service.full_name,
        input=message_factory.GetMessageClass(method.input_type),
        output=message_factory.GetMessageClass(method.output_type),
        idempotency_level=levels.get(method.GetOptions().idempotency_level, IdempotencyLevel.UNKNOWN),
    )


async def once(request):
    yield request


async def outcome(client: ConnectClient, method, headers: dict, use_get: bool = False):
    """What a call returns: its messages, or its code."""
    request, call = example(method.input_type), info(method)
    try:
        if method.client_streaming and method.server_streaming:
            return [m async for m in client.execute_bidi_stream(request=once(request), method=call, headers=headers)]
        if method.client_streaming:
            return [await client.execute_client_stream(request=once(request), method=call, headers=headers)]
        if method.server_streaming:
            return [m async for m in client.execute_server_stream(request=request, method=call, headers=headers)]
        return [await client.execute_unary(request=request, method=call, headers=headers, use_get=use_get)]
    except ConnectError as error:
        return error.code


def judge(name: str, how: str, directly, through, without) -> None:
    """Compares the outcomes of one RPC."""
    COUNTS[how.split()[0]] += 1
    if name.endswith(VARYING) and isinstance(directly, list) and isinstance(through, list):
        directly = through = [type(message) for message in through]
    answered, refused = name.startswith(ANSWERED), name.startswith(REFUSED)
    if without != Code.UNAUTHENTICATED and not answered:
        FAULTS.append(f"{name} by {how} without a token: {without}")
    if not answered and not refused and through != directly:
        FAULTS.append(f"{name} by {how}: {through}, and {directly} at the backend")
    elif refused and through not in (Code.PERMISSION_DENIED, Code.UNIMPLEMENTED, Code.NOT_FOUND):
        FAULTS.append(f"{name} by {how} is not refused: {through}")
    elif answered and through in (Code.UNAUTHENTICATED, Code.INTERNAL, Code.UNKNOWN, Code.UNAVAILABLE):
        FAULTS.append(f"{name} by {how} is not answered: {through}")


async def by_connectrpc(method, protocol: ProtocolType, places: asyncio.Semaphore) -> None:
    codec, compression, version = next(VARIANTS)
    # gRPC is HTTP/2, and so are streams in both directions.
    if protocol is ProtocolType.GRPC or method.client_streaming:
        version = HTTPVersion.HTTP2
    idempotent = method.GetOptions().idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    use_get = protocol is ProtocolType.CONNECT and idempotent
    name = f"{method.containing_service.full_name}/{method.name}"
    how = f"{protocol.name.lower()} {codec.__name__} {compression and compression.__name__} {version} get={use_get}"
    async with places, HTTPTransport(http_version=version, tls_ca_cert=AUTHORITY) as transport:
        options = {
            "protocol": protocol,
            "codec": codec(),
            "send_compression": compression and compression(),
            "accept_compression": [compression()] if compression else [],
            "http_client": Client(transport),
        }
        backend, gateway = ConnectClient(f"http://{BACKEND}", **options), ConnectClient(f"https://{GATEWAY}", **options)
        directly = await outcome(backend, method, {}, use_get)
        through = await outcome(gateway, method, AUTHORIZATION, use_get)
        without = await outcome(gateway, method, {}, use_get)
        judge(name, how, directly, through, without)


CODES = {code.value: code for code in Code}


def by_blocking_grpcio(method, channel: grpc.Channel, metadata: dict):
    """The outcome of a stream of requests. The client for asyncio replaces the code of a call that is refused while it still writes."""
    kind = "stream_" + ("stream" if method.server_streaming else "unary")
    read = message_factory.GetMessageClass(method.output_type).FromString
    request = example(method.input_type)
    call = getattr(channel, kind)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=read,
    )
    try:
        answer = call(iter([request]), metadata=tuple(metadata.items()))
        return list(answer) if method.server_streaming else [answer]
    except grpc.RpcError as error:
        return CODES[error.code().name.lower()]


async def by_grpcio(method, backend, gateway, blocking: tuple[grpc.Channel, grpc.Channel], places: asyncio.Semaphore) -> None:
    name = f"{method.containing_service.full_name}/{method.name}"
    read = message_factory.GetMessageClass(method.output_type).FromString
    kind = "unary_" + ("stream" if method.server_streaming else "unary")

    async def outcome(channel: grpc.aio.Channel, metadata: dict):
        request = example(method.input_type)
        call = getattr(channel, kind)(f"/{name}", request_serializer=type(request).SerializeToString, response_deserializer=read)
        answer = call(request, metadata=tuple(metadata.items()), compression=grpc.Compression.Gzip)
        try:
            return [message async for message in answer] if method.server_streaming else [await answer]
        except grpc.aio.AioRpcError as error:
            return CODES[error.code().name.lower()]

    async with places:
        if method.client_streaming:
            calls = ((blocking[0], {}), (blocking[1], AUTHORIZATION), (blocking[1], {}))
            directly, through, without = [await asyncio.to_thread(by_blocking_grpcio, method, *call) for call in calls]
            return judge(name, "grpcio", directly, through, without)
        directly = await outcome(backend, {})
        through, without = await outcome(gateway, AUTHORIZATION), await outcome(gateway, {})
    judge(name, "grpcio", directly, through, without)


async def main() -> None:
    places = asyncio.Semaphore(8)
    found = list(methods())
    trust = grpc.ssl_channel_credentials(AUTHORITY)
    options = [("grpc.max_receive_message_length", 64 << 20)]
    async with grpc.aio.insecure_channel(BACKEND, options=options) as backend, grpc.aio.secure_channel(GATEWAY, trust, options=options) as gateway:
        blocking = (grpc.insecure_channel(BACKEND, options=options), grpc.secure_channel(GATEWAY, trust, options=options))
        for writes in (True, False):
            chosen = [method for method in found if f"{method.containing_service.name}/{method.name}".endswith(WRITING) == writes]
            calls = [by_connectrpc(method, protocol, places) for method in chosen for protocol in ProtocolType]
            calls += [by_grpcio(method, backend, gateway, blocking, places) for method in chosen]
            await asyncio.gather(*calls)
    if FAULTS:
        sys.exit("\n".join(FAULTS))
    print(json.dumps(COUNTS))


if __name__ == "__main__":
    asyncio.run(main())
