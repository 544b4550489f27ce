#!/usr/bin/env python3
"""PyPI `authlib`, on `requests`, as a client of our server.

Usage: WORLD=JSON REQUESTS_CA_BUNDLE=ca.pem authlib-client.py sign-in|device|machine|exchange

WORLD is the input from the test (tests/tests/client_libraries.rs). What a person has to do, and each step that went well, is a
line of JSON on standard output; what the person saw in the end comes back as a line on standard input.
"""

import contextlib
import functools
import http.server
import json
import os
import queue
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

from authlib.common.security import generate_token
from authlib.integrations.base_client import BaseApp, OAuthError
from authlib.integrations.base_client.sync_app import OAuth2Base, OAuth2Mixin
from authlib.integrations.base_client.sync_openid import OpenIDMixin
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2 import rfc8414, rfc9207
from authlib.oauth2.rfc6749.errors import MismatchingStateException
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from authlib.oidc import discovery, rpinitiated
from joserfc.errors import InvalidClaimError
from joserfc.jwk import ECKey, KeySet

WORLD = json.loads(os.environ["WORLD"])
ISSUER = WORLD["issuer"]
SCOPE = "openid profile email offline_access all"
GRANTS = "urn:ietf:params:oauth:grant-type:"
TOKEN_TYPES = "urn:ietf:params:oauth:token-type:"


def tell(line: dict) -> None:
    print(json.dumps(line), flush=True)


def did(step: str) -> None:
    tell({"did": step})


def ask(what: dict) -> str:
    """Has the person do something; what they see in the end."""
    tell(what)
    return sys.stdin.readline().strip()


@contextlib.contextmanager
def refused(kind: type[Exception], **expected):
    """That the library, or the server, refuses with this error, which has these attributes."""
    try:
        yield
    except kind as error:
        found = {name: getattr(error, name) for name in expected}
        assert found == expected, (found, expected, error)
    else:
        raise AssertionError(f"it was accepted, not {kind.__name__} {expected}")


class App(OAuth2Mixin, OpenIDMixin, OAuth2Base, BaseApp):
    """A client of no framework; authlib's own are made the same way."""

    client_cls = OAuth2Session


def app(id: str, secret: str | None = None) -> App:
    kwargs = {"scope": SCOPE, "code_challenge_method": "S256"}
    url = f"{ISSUER}/.well-known/openid-configuration"
    return App(None, client_id=id, client_secret=secret, client_kwargs=kwargs, server_metadata_url=url)


@functools.cache
def metadata() -> dict:
    """The server's description of itself, in both documents, each validated by its specification."""
    with OAuth2Session() as session:
        get = lambda path: session.get(f"{ISSUER}/.well-known/{path}", withhold_token=True).json()  # noqa: E731
        openid, oauth = get("openid-configuration"), get("oauth-authorization-server")
    extensions = [rpinitiated.OpenIDProviderMetadata, rfc9207.AuthorizationServerMetadata]
    discovery.OpenIDProviderMetadata(openid).validate(metadata_classes=extensions)
    rfc8414.AuthorizationServerMetadata(oauth).validate(metadata_classes=extensions[1:])
    assert openid == oauth and openid["issuer"] == ISSUER
    return openid


class ResourceServer(JWTBearerTokenValidator):
    """What a resource server makes of an access token (RFC 9068)."""

    def get_jwks(self):
        with OAuth2Session() as session:
            keys = session.get(metadata()["jwks_uri"], withhold_token=True).json()
        return KeySet.import_key_set(keys)


def validated(token: str, scope: str = "all") -> dict:
    resource_server = ResourceServer(ISSUER, ISSUER)
    claims = resource_server.authenticate_token(token)
    resource_server.validate_token(claims, [scope], None)
    return claims


def projects(session: OAuth2Session) -> int:
    """Calls the control plane; the HTTP status."""
    return session.post(f"{ISSUER}/flyteidl2.project.ProjectService/ListProjects", json={}).status_code


def introspect(session: OAuth2Session, token: str) -> dict:
    answer = session.introspect_token(metadata()["introspection_endpoint"], token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


class Callback(http.server.ThreadingHTTPServer):
    """The callback: the client's own web server at the loopback address."""

    daemon_threads = True

    def __init__(self):
        self.seen = queue.Queue()
        super().__init__(("127.0.0.1", 0), Callback.Handler)
        self.origin = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><h1>Back at the client</h1>")
            if "favicon" not in self.path:
                self.server.seen.put(self.server.origin + self.path)

        def log_message(self, *_) -> None:
            pass

    def visited(self, url: str) -> str:
        """The callback of a browser that was sent to an address."""
        assert ask({"visit": url}) == "Back at the client"
        return self.seen.get(timeout=120)


def sign_in() -> None:
    id, secret = WORLD["client"]["id"], WORLD["client"].get("secret")
    client, session = app(id, secret), OAuth2Session(id, secret, token_endpoint=metadata()["token_endpoint"])
    did("discovery")

    callback = Callback()
    redirect_uri = f"{callback.origin}/callback"

    def authorize(**parameters) -> tuple[dict, str]:
        asked = client.create_authorization_url(redirect_uri, **parameters)
        came = callback.visited(asked["url"])
        query = parse_qs(urlsplit(came).query)
        assert (query["iss"], query["state"]) == ([ISSUER], [asked["state"]])
        return asked, came

    def redeem(asked: dict, came: str, **changed) -> dict:
        checks = {"state": asked["state"], "code_verifier": asked["code_verifier"], **changed}
        return client.fetch_access_token(redirect_uri, authorization_response=came, **checks)

    def silently() -> None:
        _, came = authorize(prompt="none")
        assert parse_qs(urlsplit(came).query)["error"] == ["login_required"]

    silently()
    did("no user is signed in")

    asked, came = authorize(max_age=3600)
    with refused(MismatchingStateException):
        redeem(asked, came, state="other")
    with refused(OAuthError, error="invalid_grant"):
        redeem(asked, came, code_verifier=generate_token(48))
    tokens = redeem(asked, came)
    claims = client.parse_id_token(tokens, asked["nonce"])
    assert (claims["iss"], claims["aud"], claims["azp"]) == (ISSUER, id, id)
    assert time.time() - 3600 < claims["auth_time"] <= time.time() + 60
    assert tokens["token_type"] == "Bearer" and tokens["scope"] == SCOPE and tokens["expires_in"] > 3000
    did("authorization code")

    with refused(InvalidClaimError, claim="nonce"):
        client.parse_id_token(tokens, "other")
    with refused(InvalidClaimError, claim="at_hash"):
        client.parse_id_token({**tokens, "access_token": "other"}, asked["nonce"])
    with refused(InvalidClaimError, claim="iss"):
        other = {"iss": {"values": ["https://other.example"]}}
        client.parse_id_token(tokens, asked["nonce"], claims_options=other)
    with refused(InvalidTokenError):
        # An ID token is nothing to a resource server.
        validated(tokens["id_token"])
    # A code is good once.
    asked, came = authorize()
    redeem(asked, came)
    with refused(OAuthError, error="invalid_grant"):
        redeem(asked, came)
    did("refusals of the library")

    access = validated(tokens["access_token"])
    assert (access["sub"], access["client_id"]) == (claims["sub"], id)
    me = client.userinfo(token=tokens)
    assert (me["sub"], me["email"]) == (claims["sub"], "admin@localhost")
    session.token = tokens
    assert projects(session) == 200
    did("userinfo")

    before = tokens
    tokens = session.refresh_token()
    assert tokens["refresh_token"] != before["refresh_token"]
    renewed = client.parse_id_token(tokens, None)
    assert (renewed["sub"], renewed["auth_time"]) == (claims["sub"], claims["auth_time"])
    # It renews by itself what it holds for expired.
    session.token = {**tokens, "expires_at": 1}
    assert projects(session) == 200
    assert session.token["refresh_token"] != tokens["refresh_token"]
    tokens = session.token
    did("refresh")

    # A public client proves nothing, so that an API key asks instead.
    asks = session if secret else OAuth2Session(WORLD["key"]["id"], WORLD["key"]["secret"])
    for name in ["access_token", "refresh_token"]:
        introspection = introspect(asks, tokens[name])
        if name == "refresh_token" and asks is not session:
            # A client gets nothing about tokens of another client.
            assert introspection == {"active": False}, name
            continue
        assert introspection["active"], name
        assert (introspection["sub"], introspection["client_id"]) == (claims["sub"], id)
    assert introspect(asks, "nothing") == {"active": False}
    did("introspection")

    for token in [tokens["refresh_token"], "nothing"]:
        answer = session.revoke_token(metadata()["revocation_endpoint"], token, token_type_hint="refresh_token")
        assert answer.status_code == 200, answer.text
    assert introspect(asks, tokens["access_token"]) == {"active": False}
    with refused(OAuthError, error="invalid_grant"):
        session.refresh_token(refresh_token=tokens["refresh_token"])
    answer = session.get(metadata()["userinfo_endpoint"])
    assert answer.status_code == 401 and 'error="invalid_token"' in answer.headers["www-authenticate"], answer.headers
    did("revocation")

    tokens = redeem(*authorize())
    if secret:
        back = client.create_logout_url(f"{callback.origin}/signed-out", tokens["id_token"])
        assert callback.visited(back["url"]) == f"{callback.origin}/signed-out?state={back['state']}"
    else:
        url = client.create_logout_url(id_token_hint=tokens["id_token"])["url"]
        assert ask({"visit": url}) == "You are signed out"
    with refused(OAuthError, error="invalid_grant"):
        session.refresh_token(refresh_token=tokens["refresh_token"])
    silently()
    did("logout")


def device() -> None:
    client, session = app(WORLD["client"]["id"]), OAuth2Session(WORLD["client"]["id"], scope=SCOPE)

    def start() -> dict:
        form = {"client_id": session.client_id, "scope": SCOPE}
        answer = session.post(metadata()["device_authorization_endpoint"], data=form, withhold_token=True)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def poll(device: dict) -> dict:
        form = {"grant_type": f"{GRANTS}device_code", "device_code": device["device_code"]}
        return session.fetch_token(metadata()["token_endpoint"], **form)

    def answer(device: dict, decision: str) -> str:
        return ask({"answer": decision, "url": device["verification_uri_complete"], "code": device["user_code"]})

    approved = start()
    with refused(OAuthError, error="authorization_pending"):
        poll(approved)
    # Too early, unless this machine is so busy that the interval has passed.
    for _ in range(20):
        try:
            raise AssertionError(f"it was not approved: {poll(approved)}")
        except OAuthError as error:
            if error.error == "slow_down":
                break
            assert error.error == "authorization_pending", error
    else:
        raise AssertionError("it was never told to slow down")
    assert answer(approved, "approve").endswith("is connected")
    # The server asked it to slow down, by 5 seconds (RFC 8628 section 3.5); the server counts whole ones.
    time.sleep(approved["interval"] + 6)
    tokens = poll(approved)
    claims = client.parse_id_token(tokens, None)
    assert "nonce" not in claims and claims["at_hash"]
    assert client.userinfo(token=tokens)["email"] == "admin@localhost"
    assert session.refresh_token(metadata()["token_endpoint"])["refresh_token"] != tokens["refresh_token"]
    did("device approved")

    denied = start()
    assert answer(denied, "deny") == "The device was denied"
    with refused(OAuthError, error="access_denied"):
        poll(denied)
    did("device denied")


def machine() -> None:
    key, signer = WORLD["key"], WORLD["signer"]
    private = ECKey.import_key(signer["pem"])
    header = {"kid": signer["kid"]}

    def session(method: str, id: str = key["id"], secret=key["secret"], jwt=None, **kwargs) -> OAuth2Session:
        authentication = {"token_endpoint_auth_method": method, "revocation_endpoint_auth_method": method}
        session = OAuth2Session(id, secret, token_endpoint=metadata()["token_endpoint"], **authentication, **kwargs)
        if jwt:
            session.register_client_auth_method(jwt)
        return session

    # It names the endpoint that it asks as the audience of its assertions.
    signing = {"id": signer["id"], "secret": private, "jwt": PrivateKeyJWT(headers=header, alg="ES256")}
    methods = {"client_secret_basic": {}, "client_secret_post": {}, "private_key_jwt": signing}
    for method, how in methods.items():
        assert method in metadata()["token_endpoint_auth_methods_supported"]
        asks = session(method, **how)
        tokens = asks.fetch_token(grant_type="client_credentials", scope="all", resource=ISSUER)
        assert "refresh_token" not in tokens and "id_token" not in tokens and tokens["scope"] == "all"
        assert validated(tokens["access_token"])["sub"] == asks.client_id
        assert projects(asks) == 200
        assert introspect(asks, tokens["access_token"])["sub"] == asks.client_id
        answer = asks.revoke_token(metadata()["revocation_endpoint"], tokens["access_token"])
        assert answer.status_code == 200, answer.text
        assert introspect(asks, tokens["access_token"]) == {"active": False}
        with refused(OAuthError, error="invalid_target"):
            asks.fetch_token(grant_type="client_credentials", resource="https://other.example")
        did(method)

    def jwt(**claims) -> PrivateKeyJWT:
        return PrivateKeyJWT(metadata()["token_endpoint"], claims=claims, headers=header, alg="ES256")

    def replaying() -> OAuth2Session:
        return session("private_key_jwt", signer["id"], private, jwt(jti="the same"))

    replaying().fetch_token(grant_type="client_credentials")
    for impostor in [
        replaying(),
        session("private_key_jwt", signer["id"], private, jwt(aud="https://other.example")),
        session("private_key_jwt", signer["id"], ECKey.generate_key("P-256"), jwt()),
        session("client_secret_jwt", jwt=ClientSecretJWT()),
        session("client_secret_basic", secret=key["secret"] + "x"),
        session("client_secret_post", signer["id"]),
        session("none", secret=None),
    ]:
        with refused(OAuthError, error="invalid_client"):
            impostor.fetch_token(grant_type="client_credentials")
    did("impostors")


def exchange() -> None:
    session = OAuth2Session(WORLD["client"]["id"], token_endpoint=metadata()["token_endpoint"])

    def trade(token: str) -> dict:
        return session.fetch_token(
            grant_type=f"{GRANTS}token-exchange",
            subject_token=token,
            subject_token_type=f"{TOKEN_TYPES}jwt",
            requested_token_type=f"{TOKEN_TYPES}access_token",
            resource=ISSUER,
        )

    tokens = trade(WORLD["subject_token"])
    assert tokens["issued_token_type"] == f"{TOKEN_TYPES}access_token" and "refresh_token" not in tokens
    assert validated(tokens["access_token"])["client_id"] == session.client_id
    assert projects(session) == 200
    did("token exchange")
    for token in [WORLD["other_token"], tokens["access_token"]]:
        with refused(OAuthError, error="invalid_request"):
            trade(token)
    did("other tokens")


if __name__ == "__main__":
    {"sign-in": sign_in, "device": device, "machine": machine, "exchange": exchange}[sys.argv[1]]()
