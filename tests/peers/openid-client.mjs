// npm `openid-client`, with `oauth4webapi` beneath it, as a client of our server.
//
//   WORLD=JSON NODE_EXTRA_CA_CERTS=ca.pem node openid-client.mjs sign-in|device|machine|exchange
//
// WORLD is the input from the test (tests/tests/client_libraries.rs). What a person has to do, and each step that went well,
// is a line of JSON on standard output; what the person saw in the end comes back as a line on standard input.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { decodeProtectedHeader, importPKCS8 } from 'jose';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';

const world = JSON.parse(process.env.WORLD);
const issuer = new URL(world.issuer);
const scope = 'openid profile email offline_access all';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const did = (step) => tell({ did: step });

/** Has the person do something; what they see in the end. */
async function ask(what) {
  tell(what);
  return (await lines.next()).value;
}

/** The client, by either discovery document; ID tokens are verified by their signatures, too. */
async function discover(id, authentication, algorithm = 'oidc') {
  const config = await client.discovery(issuer, id, {}, authentication, { algorithm });
  client.enableNonRepudiationChecks(config);
  return config;
}

/** That the library refuses; `expected` are properties of its error, or of the cause of that. */
async function refused(promise, expected) {
  const error = await promise.then(() => assert.fail('it was accepted'), (error) => error);
  if (error.code === 'ERR_ASSERTION') throw error;
  for (const [name, value] of Object.entries(expected)) {
    assert.deepEqual(error[name] ?? error.cause?.[name], value, `${name} of ${error.stack}`);
  }
  return error;
}

/** Where the browser comes back to: the client's own web server at the loopback address. */
async function listen() {
  const waiting = [];
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html><h1>Back at the client</h1>');
    if (!request.url.includes('favicon')) waiting.shift()?.(new URL(request.url, origin));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const origin = `http://127.0.0.1:${server.address().port}`;
  return { origin, next: () => new Promise((resolve) => waiting.push(resolve)), close: () => server.close() };
}

/** What a resource server makes of an access token (RFC 9068): its claims. */
const validated = (config, token) =>
  oauth.validateJwtAccessToken(
    config.serverMetadata(),
    new Request(world.issuer, { headers: { authorization: `Bearer ${token}` } }),
    world.issuer,
  );

/** Calls the control plane. */
const projects = (config, token) =>
  client.fetchProtectedResource(
    config,
    token,
    new URL('/flyteidl2.project.ProjectService/ListProjects', issuer),
    'POST',
    '{}',
    new Headers({ 'content-type': 'application/json' }),
  );

/** The left half of a token's hash, as an ID token that was signed with the algorithm has it. */
function left(alg, token) {
  const hash = createHash(alg === 'EdDSA' ? 'sha512' : 'sha256').update(token).digest();
  return hash.subarray(0, hash.length / 2).toString('base64url');
}

async function signIn() {
  const { id, secret } = world.client;
  const authentication = secret ? client.ClientSecretBasic(secret) : client.None();
  const config = await discover(id, authentication);
  const other = await discover(id, authentication, 'oauth2');
  assert.deepEqual(other.serverMetadata(), config.serverMetadata());
  assert.ok(config.serverMetadata().supportsPKCE());
  // Not the issuer, although the same server answers there.
  const alias = new URL(issuer);
  alias.hostname = '127.0.0.1';
  await refused(client.discovery(alias, id, {}, authentication), { code: 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED' });
  did('discovery');

  const callback = await listen();
  const authorize = async (parameters = {}) => {
    const checks = {
      pkceCodeVerifier: client.randomPKCECodeVerifier(),
      expectedState: client.randomState(),
      expectedNonce: client.randomNonce(),
    };
    const answer = callback.next();
    const seen = await ask({
      visit: client.buildAuthorizationUrl(config, {
        redirect_uri: `${callback.origin}/callback`,
        scope,
        state: checks.expectedState,
        nonce: checks.expectedNonce,
        code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
        code_challenge_method: 'S256',
        ...parameters,
      }),
    });
    assert.equal(seen, 'Back at the client');
    return { checks, url: await answer };
  };
  const silently = async () => {
    const { checks, url } = await authorize({ prompt: 'none' });
    await refused(client.authorizationCodeGrant(config, url, checks), { error: 'login_required' });
  };
  await silently();
  did('no user is signed in');

  const { checks, url } = await authorize({ max_age: '3600' });
  const changed = (change) => {
    const copy = new URL(url);
    change(copy.searchParams);
    return client.authorizationCodeGrant(config, copy, checks);
  };
  await refused(changed((query) => query.set('iss', 'https://other.example')), { code: 'OAUTH_INVALID_RESPONSE' });
  await refused(changed((query) => query.delete('iss')), { code: 'OAUTH_INVALID_RESPONSE' });
  await refused(changed((query) => query.set('state', 'other')), { code: 'OAUTH_INVALID_RESPONSE' });
  const verifier = { ...checks, pkceCodeVerifier: client.randomPKCECodeVerifier() };
  await refused(client.authorizationCodeGrant(config, url, verifier), { error: 'invalid_grant', status: 400 });
  let tokens = await client.authorizationCodeGrant(config, url, { ...checks, maxAge: 3600, idTokenExpected: true });
  const claims = tokens.claims();
  assert.equal(claims.iss, world.issuer);
  assert.deepEqual([claims.aud].flat(), [id]);
  assert.equal(claims.nonce, checks.expectedNonce);
  assert.equal(claims.at_hash, left(decodeProtectedHeader(tokens.id_token).alg, tokens.access_token));
  // As it is registered, whatever signs access tokens.
  assert.equal(decodeProtectedHeader(tokens.id_token).alg, world.client.alg ?? 'ES256');
  assert.ok(tokens.expiresIn() > 3000);
  did('authorization code');

  // Another one, whose ID token is not for this request; and a code is good once.
  const second = await authorize();
  const nonce = { ...second.checks, expectedNonce: client.randomNonce() };
  await refused(client.authorizationCodeGrant(config, second.url, nonce), {
    code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED',
  });
  await refused(client.authorizationCodeGrant(config, second.url, second.checks), { error: 'invalid_grant' });
  did('refusals of the library');

  const access = await validated(config, tokens.access_token);
  assert.equal(access.sub, claims.sub);
  assert.equal(access.client_id, id);
  const me = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
  assert.equal(me.email, 'admin@localhost');
  await refused(client.fetchUserInfo(config, tokens.access_token, 'another user'), {
    code: 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED',
  });
  assert.equal((await projects(config, tokens.access_token)).status, 200);
  did('userinfo');

  const before = tokens;
  tokens = await client.refreshTokenGrant(config, before.refresh_token);
  assert.notEqual(tokens.refresh_token, before.refresh_token);
  assert.equal(tokens.claims().sub, claims.sub);
  assert.equal(tokens.claims().auth_time, claims.auth_time);
  const narrow = await client.refreshTokenGrant(config, tokens.refresh_token, { scope: 'openid' });
  assert.equal(narrow.scope, 'openid');
  tokens.refresh_token = narrow.refresh_token;
  did('refresh');

  // A public client proves nothing, so that an API key asks instead.
  const asks = secret ? config : await discover(world.key.id, client.ClientSecretPost(world.key.secret));
  for (const token of [tokens.access_token, tokens.refresh_token]) {
    const introspection = await client.tokenIntrospection(asks, token);
    if (token === tokens.refresh_token && asks !== config) {
      // A client gets nothing about tokens of another client.
      assert.deepEqual(introspection, { active: false });
      continue;
    }
    assert.ok(introspection.active);
    assert.equal(introspection.sub, claims.sub);
    assert.equal(introspection.client_id, id);
  }
  assert.deepEqual(await client.tokenIntrospection(asks, 'nothing'), { active: false });
  did('introspection');

  await client.tokenRevocation(config, tokens.refresh_token, { token_type_hint: 'refresh_token' });
  await client.tokenRevocation(config, 'nothing');
  assert.deepEqual(await client.tokenIntrospection(asks, tokens.access_token), { active: false });
  await refused(client.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' });
  const { cause } = await refused(client.fetchUserInfo(config, tokens.access_token, claims.sub), {
    code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE',
    status: 401,
  });
  assert.equal(cause[0].scheme, 'bearer');
  assert.equal(cause[0].parameters.error, 'invalid_token');
  did('revocation');

  const third = await authorize();
  tokens = await client.authorizationCodeGrant(config, third.url, third.checks);
  const state = client.randomState();
  const back = secret && { post_logout_redirect_uri: `${callback.origin}/signed-out`, state };
  const end = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, ...back });
  const signedOut = callback.next();
  assert.equal(await ask({ visit: end }), back ? 'Back at the client' : 'You are signed out');
  if (back) {
    const url = await signedOut;
    assert.equal(`${url.pathname}${url.search}`, `/signed-out?state=${state}`);
    await callback.close();
  }
  await refused(client.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' });
  did('logout');
}

async function device() {
  const config = await discover(world.client.id, client.None());
  const start = () => client.initiateDeviceAuthorization(config, { scope });
  const answer = ({ verification_uri_complete: url, user_code: code }, decision) =>
    ask({ answer: decision, url, code });

  const approved = await start();
  const [tokens, seen] = await Promise.all([
    client.pollDeviceAuthorizationGrant(config, approved),
    answer(approved, 'approve'),
  ]);
  assert.match(seen, /is connected$/);
  const claims = tokens.claims();
  assert.equal(claims.nonce, undefined);
  assert.equal(claims.at_hash, left(decodeProtectedHeader(tokens.id_token).alg, tokens.access_token));
  assert.equal((await client.fetchUserInfo(config, tokens.access_token, claims.sub)).email, 'admin@localhost');
  assert.ok((await client.refreshTokenGrant(config, tokens.refresh_token)).refresh_token);
  did('device approved');

  const denied = await start();
  const polling = refused(client.pollDeviceAuthorizationGrant(config, denied), { error: 'access_denied' });
  assert.equal(await answer(denied, 'deny'), 'The device was denied');
  await polling;
  did('device denied');
}

async function machine() {
  const { key, signer } = world;
  const pair = { key: await importPKCS8(signer.pem, 'ES256'), kid: signer.kid };
  for (const [method, id, authentication] of [
    ['client_secret_basic', key.id, client.ClientSecretBasic(key.secret)],
    ['client_secret_post', key.id, client.ClientSecretPost(key.secret)],
    ['private_key_jwt', signer.id, client.PrivateKeyJwt(pair)],
  ]) {
    const config = await discover(id, authentication);
    assert.ok(config.serverMetadata().token_endpoint_auth_methods_supported.includes(method));
    const tokens = await client.clientCredentialsGrant(config, { scope: 'all', resource: world.issuer });
    assert.deepEqual([tokens.refresh_token, tokens.id_token, tokens.scope], [undefined, undefined, 'all']);
    assert.equal((await validated(config, tokens.access_token)).sub, id);
    assert.equal((await projects(config, tokens.access_token)).status, 200);
    assert.equal((await client.tokenIntrospection(config, tokens.access_token)).sub, id);
    await client.tokenRevocation(config, tokens.access_token);
    assert.deepEqual(await client.tokenIntrospection(config, tokens.access_token), { active: false });
    await refused(client.clientCredentialsGrant(config, { resource: 'https://other.example' }), {
      error: 'invalid_target',
    });
    did(method);
  }
  const fixed = { [client.modifyAssertion]: (_, claims) => void (claims.jti = 'the same') };
  const replaying = await discover(signer.id, client.PrivateKeyJwt(pair, fixed));
  await client.clientCredentialsGrant(replaying);
  for (const config of [
    replaying,
    await discover(key.id, client.ClientSecretBasic(`${key.secret}x`)),
    await discover(key.id, client.ClientSecretJwt(key.secret)),
    await discover(key.id, client.None()),
    await discover(signer.id, client.ClientSecretPost(key.secret)),
  ]) {
    const error = await refused(client.clientCredentialsGrant(config), { status: 401 });
    assert.equal(error.error ?? (await error.response.json()).error, 'invalid_client');
  }
  did('impostors');
}

async function exchange() {
  const grant = 'urn:ietf:params:oauth:grant-type:token-exchange';
  const config = await discover(world.client.id, client.None());
  const ask = (subject_token, further) =>
    client.genericGrantRequest(config, grant, {
      subject_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: world.issuer,
      ...further,
    });
  const tokens = await ask(world.subject_token);
  assert.equal(tokens.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token');
  assert.equal(tokens.refresh_token, undefined);
  const claims = await validated(config, tokens.access_token);
  assert.equal(claims.client_id, world.client.id);
  assert.equal((await projects(config, tokens.access_token)).status, 200);
  did('token exchange');
  await refused(ask(world.other_token), { error: 'invalid_request', status: 400 });
  await refused(ask(tokens.access_token), { error: 'invalid_request', status: 400 });
  did('other tokens');
}

await { 'sign-in': signIn, device, machine, exchange }[process.argv[2]]();
process.exit(0);
