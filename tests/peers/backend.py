#!/usr/bin/env python3
"""A Flyte 2 backend for tests, made of the published flyteidl2's own ASGI applications: every service, every RPC, no authentication.

Usage: backend.py PORT. Serves HTTP/1.1 and HTTP/2 with prior knowledge on the loopback address, and writes "listening" to standard error.

Projects, tasks, runs, logs, apps and uploads are kept in memory. A run ends at once; its outputs are its inputs. Every other RPC answers an
empty message, or one empty message and the end. `GET /seen` returns what has arrived, a line of JSON for each call: its path, the kind of its
content, and the headers. The project `slow` is answered only after `GET /release`, and the runs of the domain `silent` are watched without an
end and without further messages.
"""

import asyncio
import base64
import collections.abc
import importlib
import inspect
import json
import pathlib
import pkgutil
import sys
import types
import typing

import flyteidl2
import hypercorn.asyncio
import hypercorn.config
from connectrpc.code import Code
from connectrpc.compression.gzip import GzipCompression
from connectrpc.compression.zstd import ZstdCompression
from connectrpc.errors import ConnectError
from connectrpc.server import ConnectASGIApplication
from flyteidl2.app import app_payload_pb2
from flyteidl2.common import phase_pb2
from flyteidl2.dataproxy import dataproxy_service_pb2
from flyteidl2.logs.dataplane import payload_pb2
from flyteidl2.project import project_service_pb2
from flyteidl2.task import common_pb2, task_definition_pb2, task_service_pb2
from flyteidl2.workflow import run_definition_pb2, run_logs_service_pb2, run_service_pb2

PORT = int(sys.argv[1])
SUCCEEDED = phase_pb2.ACTION_PHASE_SUCCEEDED


class Kept:
    """What the backend keeps."""

    def __init__(self) -> None:
        self.projects = [
            project_service_pb2.Project(
                id=name, name=name, domains=[project_service_pb2.Domain(id=domain, name=domain) for domain in ("development", "production")]
            )
            for name in ("flytesnacks", "alpha", "beta")
        ]
        self.tasks: dict[bytes, task_definition_pb2.TaskDetails] = {}
        self.runs: dict[tuple[str, str, str], tuple[run_service_pb2.CreateRunRequest, run_definition_pb2.Run]] = {}
        self.apps: dict[tuple[str, str, str], object] = {}
        self.objects: dict[str, bytes] = {}
        self.seen: list[dict] = []
        self.released = asyncio.Event()

    def run(self, id) -> tuple[run_service_pb2.CreateRunRequest, run_definition_pb2.Run]:
        try:
            return self.runs[id.project, id.domain, id.name]
        except KeyError:
            raise ConnectError(Code.NOT_FOUND, f"run {id.project}/{id.domain}/{id.name} not found") from None


KEPT = Kept()


def page(items: list, request) -> tuple[list, str]:
    """A page of a list, and the token of the next: an offset, as that backend has it."""
    start = int(request.token or 0)
    size = request.limit or 100
    return items[start : start + size], str(start + size) if start + size < len(items) else ""


# Projects and tasks.


async def list_projects(request, ctx):
    projects, token = page(KEPT.projects, request)
    return project_service_pb2.ListProjectsResponse(projects=project_service_pb2.Projects(projects=projects, token=token))


async def get_project(request, ctx):
    if request.id == "slow":
        await KEPT.released.wait()
        return project_service_pb2.GetProjectResponse(project=project_service_pb2.Project(id="slow", name="slow"))
    for project in KEPT.projects:
        if project.id == request.id:
            return project_service_pb2.GetProjectResponse(project=project)
    raise ConnectError(Code.NOT_FOUND, f"project {request.id} not found")


async def deploy_task(request, ctx):
    details = task_definition_pb2.TaskDetails(task_id=request.task_id, spec=request.spec)
    details.metadata.short_name = request.spec.short_name
    details.metadata.deployed_at.GetCurrentTime()
    KEPT.tasks.setdefault(request.task_id.SerializeToString(deterministic=True), details)
    return task_service_pb2.DeployTaskResponse()


async def get_task_details(request, ctx):
    try:
        details = KEPT.tasks[request.task_id.SerializeToString(deterministic=True)]
    except KeyError:
        raise ConnectError(Code.NOT_FOUND, f"task {request.task_id.project}/{request.task_id.name} not found") from None
    return task_service_pb2.GetTaskDetailsResponse(details=details)


async def list_tasks(request, ctx):
    named = {"project_id": ("project", "domain")}.get(request.WhichOneof("scope_by") or "")
    found = [
        task_definition_pb2.Task(task_id=details.task_id, metadata=details.metadata)
        for details in KEPT.tasks.values()
        if not named or (details.task_id.project, details.task_id.domain) == (request.project_id.name, request.project_id.domain)
    ]
    tasks, token = page(found, request.request)
    return task_service_pb2.ListTasksResponse(tasks=tasks, token=token)


# Runs.


async def create_run(request, ctx):
    run = run_definition_pb2.Run()
    id = run.action.id
    if request.HasField("run_id"):
        id.run.CopyFrom(request.run_id)
    else:
        project = request.project_id
        id.run.org, id.run.project, id.run.domain = project.organization, project.name, project.domain
    id.run.name = id.run.name or f"r{len(KEPT.runs) + 1}"
    id.name = "a0"
    key = (id.run.project, id.run.domain, id.run.name)
    if key in KEPT.runs:
        raise ConnectError(Code.ALREADY_EXISTS, f"run {id.run.name} exists")
    run.action.status.phase, run.action.status.attempts = SUCCEEDED, 1
    run.action.status.start_time.GetCurrentTime()
    run.action.status.end_time.GetCurrentTime()
    subject, email = who(ctx)
    run.action.metadata.executed_by.user.id.subject = subject
    run.action.metadata.executed_by.user.spec.email = email
    KEPT.runs[key] = (request, run)
    return run_service_pb2.CreateRunResponse(run=run)


def who(ctx) -> tuple[str, str]:
    """Subject and e-mail as that backend finds them: decoded, not verified."""
    token = ctx.request_headers().get("x-amzn-oidc-data")
    if not token:
        return "", ""
    payload = token.split(".")[1].rstrip("=")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims.get("sub", ""), claims.get("email", "")


def details(id) -> run_definition_pb2.ActionDetails:
    request, run = KEPT.run(id.run)
    found = run_definition_pb2.ActionDetails(id=run.action.id, metadata=run.action.metadata, status=run.action.status)
    attempt = found.attempts.add(phase=SUCCEEDED, attempt=1, logs_available=True)
    attempt.start_time.GetCurrentTime()
    attempt.end_time.GetCurrentTime()
    if request.HasField("task_spec"):
        found.task.CopyFrom(request.task_spec)
    return found


async def get_run_details(request, ctx):
    run = KEPT.run(request.run_id)[1]
    return run_service_pb2.GetRunDetailsResponse(details=run_definition_pb2.RunDetails(action=details(run.action.id)))


async def watch_run_details(request, ctx):
    run = KEPT.run(request.run_id)[1]
    yield run_service_pb2.WatchRunDetailsResponse(details=run_definition_pb2.RunDetails(action=details(run.action.id)))


async def get_action_details(request, ctx):
    return run_service_pb2.GetActionDetailsResponse(details=details(request.action_id))


async def watch_action_details(request, ctx):
    yield run_service_pb2.WatchActionDetailsResponse(details=details(request.action_id))


def data(id) -> dict:
    request, _ = KEPT.run(id.run)
    inputs = request.inputs
    if request.HasField("offloaded_input_data"):
        inputs = common_pb2.Inputs.FromString(KEPT.objects[request.offloaded_input_data.uri])
    outputs = common_pb2.Outputs()
    for number, literal in enumerate(inputs.literals):
        outputs.literals.add(name=f"o{number}", value=literal.value)
    return {"inputs": inputs, "outputs": outputs}


async def run_action_data(request, ctx):
    return run_service_pb2.GetActionDataResponse(**data(request.action_id))


async def proxied_action_data(request, ctx):
    return dataproxy_service_pb2.GetActionDataResponse(**data(request.action_id))


async def list_runs(request, ctx):
    scope = request.project_id
    found = [run for key, (_, run) in KEPT.runs.items() if not scope.name or key[:2] == (scope.name, scope.domain)]
    runs, token = page(found, request.request)
    return run_service_pb2.ListRunsResponse(runs=runs, token=token)


async def watch_runs(request, ctx):
    scope = request.project_id
    for key, (_, run) in KEPT.runs.items():
        if not scope.name or key[:2] == (scope.name, scope.domain):
            yield run_service_pb2.WatchRunsResponse(runs=[run])
    if scope.domain == "silent":
        yield run_service_pb2.WatchRunsResponse()
        await asyncio.Event().wait()


async def list_actions(request, ctx):
    run = KEPT.run(request.run_id)[1]
    return run_service_pb2.ListActionsResponse(actions=[run.action])


async def watch_actions(request, ctx):
    run = KEPT.run(request.run_id)[1]
    yield run_service_pb2.WatchActionsResponse(
        enriched_actions=[run_definition_pb2.EnrichedAction(action=run.action, meets_filter=True)]
    )


def lines(id) -> list:
    KEPT.run(id.run)
    return [payload_pb2.LogLine(message=f"line {number} of {id.run.name}", originator=payload_pb2.USER) for number in range(3)]


async def run_logs(request, ctx):
    answer = run_logs_service_pb2.TailLogsResponse()
    answer.logs.add(lines=lines(request.action_id))
    yield answer


async def proxied_logs(request, ctx):
    answer = dataproxy_service_pb2.TailLogsResponse()
    answer.logs.add(lines=lines(request.action_id))
    yield answer


# Uploads.


async def create_upload_location(request, ctx):
    place = f"{request.project}/{request.domain}/{request.filename_root or request.content_md5.hex()}/{request.filename}"
    answer = dataproxy_service_pb2.CreateUploadLocationResponse(
        signed_url=f"http://127.0.0.1:{PORT}/objects/{place}", native_url=f"s3://flyte-data/{place}"
    )
    answer.expires_at.seconds = 4_102_444_800
    return answer


async def upload_inputs(request, ctx):
    id = request.run_id if request.HasField("run_id") else request.project_id
    project = id.project if request.HasField("run_id") else id.name
    uri = f"s3://flyte-data/{project}/{id.domain}/inputs/{len(KEPT.objects)}.pb"
    KEPT.objects[uri] = request.inputs.SerializeToString()
    answer = dataproxy_service_pb2.UploadInputsResponse()
    answer.offloaded_input_data.uri = uri
    answer.offloaded_input_data.inputs_hash = str(len(KEPT.objects))
    return answer


# Apps.


async def create_app(request, ctx):
    id = request.app.metadata.id
    KEPT.apps[id.project, id.domain, id.name] = request.app
    return app_payload_pb2.CreateResponse(app=request.app)


async def get_app(request, ctx):
    id = request.app_id
    try:
        return app_payload_pb2.GetResponse(app=KEPT.apps[id.project, id.domain, id.name])
    except KeyError:
        raise ConnectError(Code.NOT_FOUND, f"app {id.name} not found") from None


async def list_apps(request, ctx):
    scope = request.project
    found = [app for key, app in KEPT.apps.items() if not scope.name or key[:2] == (scope.name, scope.domain)]
    apps, token = page(found, request.request)
    return app_payload_pb2.ListResponse(apps=apps, token=token)


HANDLERS = {
    "ProjectService": {"list_projects": list_projects, "get_project": get_project},
    "TaskService": {"deploy_task": deploy_task, "get_task_details": get_task_details, "list_tasks": list_tasks},
    "RunService": {
        "create_run": create_run, "get_run_details": get_run_details, "watch_run_details": watch_run_details,
        "get_action_details": get_action_details, "watch_action_details": watch_action_details, "get_action_data": run_action_data,
        "list_runs": list_runs, "watch_runs": watch_runs, "list_actions": list_actions, "watch_actions": watch_actions,
    },
    "RunLogsService": {"tail_logs": run_logs},
    "DataProxyService": {
        "create_upload_location": create_upload_location, "upload_inputs": upload_inputs, "get_action_data": proxied_action_data,
        "tail_logs": proxied_logs,
    },
    "AppService": {"create": create_app, "get": get_app, "list": list_apps},
}  # fmt: skip


def applications() -> dict[str, ConnectASGIApplication]:
    """An application for each published service, by the path of the service."""
    found = {}
    for module in pkgutil.walk_packages(flyteidl2.__path__, "flyteidl2."):
        if not module.name.endswith("_connect"):
            continue
        for name, application in vars(importlib.import_module(module.name)).items():
            if not name.endswith("ASGIApplication") or not inspect.isclass(application) or application is ConnectASGIApplication:
                continue
            protocol = getattr(sys.modules[module.name], name.removesuffix("ASGIApplication"))
            served = application(service(protocol), read_max_bytes=64 << 20, compressions=[GzipCompression(), ZstdCompression()])
            found[served.path] = served
    return found


def service(protocol: type) -> object:
    """A service that answers every RPC of a published protocol class."""
    handlers = HANDLERS.get(protocol.__name__, {})
    methods = {}
    for name, method in vars(protocol).items():
        if name.startswith("_") or not callable(method):
            continue
        methods[name] = staticmethod(handlers.get(name) or empty(method))
    assert not set(handlers) - set(methods), f"{protocol.__name__} has no {set(handlers) - set(methods)}"
    return type(protocol.__name__, (), methods)()


def empty(method: types.FunctionType):
    """A handler that reads the whole request and answers an empty message, or one and the end."""
    hints = typing.get_type_hints(method)
    answer = hints["return"]
    reads = typing.get_origin(hints["request"]) is not None
    if typing.get_origin(answer) in (collections.abc.AsyncIterator, collections.abc.AsyncGenerator):
        message = typing.get_args(answer)[0]

        async def stream(request, ctx):
            if reads:
                async for _ in request:
                    pass
            yield message()

        return stream

    async def unary(request, ctx):
        if reads:
            async for _ in request:
                pass
        return answer()

    return unary


class Backend:
    """The ASGI application: services by path, objects, and what was seen."""

    def __init__(self) -> None:
        self.services = applications()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/seen":
            body = "".join(json.dumps(call) + "\n" for call in KEPT.seen).encode()
            return await respond(send, 200, body)
        if path == "/release":
            KEPT.released.set()
            return await respond(send, 200, b"")
        if path in ("/healthz", "/readyz"):
            return await respond(send, 200, b"ok")
        if path.startswith("/objects/"):
            body = b""
            while True:
                event = await receive()
                body += event.get("body", b"")
                if not event.get("more_body"):
                    break
            KEPT.objects["s3://flyte-data/" + path.removeprefix("/objects/")] = body
            return await respond(send, 200, b"")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        kind = dict(headers).get("content-type", "")
        KEPT.seen.append({"path": path, "http": scope["http_version"], "method": scope["method"], "type": kind, "headers": headers})
        served = self.services.get(path.rpartition("/")[0])
        if served is None:
            return await respond(send, 404, b"")
        await served(scope, receive, send)


async def respond(send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


async def main() -> None:
    configuration = hypercorn.config.Config()
    configuration.bind = [f"127.0.0.1:{PORT}"]
    configuration.errorlog = None
    configuration.h2_max_concurrent_streams = 1000
    configuration.h2_max_header_list_size = 1 << 20
    backend = Backend()

    async def say_so() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", PORT)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            print("listening", file=sys.stderr, flush=True)
            return

    said = asyncio.create_task(say_so())
    await hypercorn.asyncio.serve(backend, configuration)
    await said


if __name__ == "__main__":
    assert pathlib.Path(flyteidl2.__path__[0]).is_dir()
    asyncio.run(main())
