#!/usr/bin/env python3
"""Services that flyte-server does not offer, as the published flyteidl2 serves them: secrets and settings, over TLS.

Usage: published-services.py PORT CERTIFICATE_AND_KEY.pem DIRECTORY. Writes the value of each secret to a file of its name in the
directory, and "listening" to standard error.
"""

import io
import pathlib
import socketserver
import ssl
import sys
import wsgiref.simple_server

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.secret import definition_pb2, payload_pb2, secret_connect
from flyteidl2.settings import settings_definition_pb2, settings_service_connect, settings_service_pb2

DIRECTORY = pathlib.Path(sys.argv[3])


class Secrets(secret_connect.SecretServiceSync):
    def __init__(self) -> None:
        self.kept: dict[tuple[str, ...], definition_pb2.Secret] = {}

    @staticmethod
    def key(id: definition_pb2.SecretIdentifier) -> tuple[str, ...]:
        return (id.organization, id.project, id.domain, id.name)

    def found(self, id: definition_pb2.SecretIdentifier) -> definition_pb2.Secret:
        if self.key(id) not in self.kept:
            raise ConnectError(Code.NOT_FOUND, f"there is no secret {id.name}")
        return self.kept[self.key(id)]

    def create_secret(self, request, ctx):
        if self.key(request.id) in self.kept:
            raise ConnectError(Code.ALREADY_EXISTS, f"secret {request.id.name} exists")
        metadata = definition_pb2.SecretMetadata(type=request.secret_spec.type)
        metadata.created_time.GetCurrentTime()
        metadata.secret_status.overall_status = definition_pb2.OverallStatus.FULLY_PRESENT
        self.kept[self.key(request.id)] = definition_pb2.Secret(id=request.id, secret_metadata=metadata)
        (DIRECTORY / request.id.name).write_bytes(request.secret_spec.binary_value)
        return payload_pb2.CreateSecretResponse()

    def get_secret(self, request, ctx):
        return payload_pb2.GetSecretResponse(secret=self.found(request.id))

    def list_secrets(self, request, ctx):
        scope = (request.organization, request.project, request.domain)
        kept = [secret for key, secret in self.kept.items() if key[:3] == scope]
        # One secret for each page.
        at = int(request.token or 0)
        following = str(at + 1) if at + 1 < len(kept) else ""
        return payload_pb2.ListSecretsResponse(secrets=kept[at : at + 1], token=following)

    def delete_secret(self, request, ctx):
        self.found(request.id)
        del self.kept[self.key(request.id)]
        return payload_pb2.DeleteSecretResponse()


class Settings(settings_service_connect.SettingsServiceSync):
    def get_settings_for_edit(self, request, ctx):
        value = settings_definition_pb2.SETTING_STATE_VALUE

        def text(text: str) -> settings_definition_pb2.StringSetting:
            return settings_definition_pb2.StringSetting(state=value, string_value=text)

        labels = settings_definition_pb2.StringMapSetting(state=value)
        labels.map_value.entries.update({"team": "ml: 1", "cost": "7"})
        run = settings_definition_pb2.RunSettings(default_queue=text("cpu"))
        wide = settings_definition_pb2.Settings(run=run, labels=labels)
        run = settings_definition_pb2.RunSettings(default_queue=text("gpu"))
        run.max_action_concurrency.state = value
        run.max_action_concurrency.int_value = 5
        app = settings_definition_pb2.AppSettings()
        app.disallow_anonymous.state = settings_definition_pb2.SETTING_STATE_UNSET
        own = settings_definition_pb2.Settings(run=run, app=app)
        org = settings_definition_pb2.SettingsKey(org=request.key.org)
        record = settings_service_pb2.SettingsRecord
        return settings_service_pb2.GetSettingsForEditResponse(
            requestedKey=request.key,
            levels=[record(key=org, settings=wide, version=1), record(key=request.key, settings=own, version=2)],
        )


APPLICATIONS = [
    secret_connect.SecretServiceWSGIApplication(Secrets()),
    settings_service_connect.SettingsServiceWSGIApplication(Settings()),
]


def application(environ, start_response):
    # An error is answered after all of the request is read, and the end of this stream is that of the connection.
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    for service in APPLICATIONS:
        if environ["PATH_INFO"].startswith(service.path):
            return service(environ, start_response)
    start_response("501 Not Implemented", [("content-type", "application/json")])
    return [b'{"code": "unimplemented", "message": "not implemented"}']


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_) -> None:
        pass


server = wsgiref.simple_server.make_server("127.0.0.1", int(sys.argv[1]), application, Server, Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(sys.argv[2])
# The handshake belongs to the thread of its connection.
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("listening", file=sys.stderr, flush=True)
server.serve_forever()
