// An OAuth provider that we did not write: npm `oidc-provider`, with PKCE, the device flow and refresh rotation for one native
// public client, and client credentials for machines: `machine` (of the benchmarks), `ci` (secret `s3 cr:et%`, Basic), `ci-post` (the same in the body)
// and `ci-key`, whose private key is written to CLIENT_KEY.
//
//   PORT=3000 [TLS_CERT=cert.pem TLS_KEY=key.pem] [ACCESS_TOKEN_TTL=3600] [CLIENT_KEY=key.pem] [DEVICE_TTL=600] node oidc-provider.mjs
//
// With REDIRECT_URI it also has the client `flyte-server` (secret `p w:%+`, Basic) for our server's sign-in, and its accounts have
// the name of their sign-in as verified address.
//
// Its development pages accept any password.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';

import Provider from 'oidc-provider';

const port = Number(process.env.PORT);
const tls = process.env.TLS_CERT && {
  cert: readFileSync(process.env.TLS_CERT),
  key: readFileSync(process.env.TLS_KEY),
};
const issuer = tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
if (process.env.CLIENT_KEY) {
  writeFileSync(process.env.CLIENT_KEY, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
}
const machine = {
  client_secret: 's3 cr:et%',
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
};
const methods = (process.env.CLIENT_AUTH ?? 'none client_secret_basic client_secret_post private_key_jwt').split(' ');
const device = 'urn:ietf:params:oauth:grant-type:device_code';

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'flyte-native',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token', device],
      response_types: ['code'],
      redirect_uris: ['http://localhost/callback', 'http://127.0.0.1/callback'],
    },
    {
      client_id: 'machine',
      client_secret: 'a-secret-of-tests-long-enough-for-anything',
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    },
    process.env.REDIRECT_URI && {
      client_id: 'flyte-server',
      client_secret: 'p w:%+',
      token_endpoint_auth_method: 'client_secret_basic',
      redirect_uris: [process.env.REDIRECT_URI],
    },
    { ...machine, client_id: 'ci', token_endpoint_auth_method: 'client_secret_basic' },
    { ...machine, client_id: 'ci-post', token_endpoint_auth_method: 'client_secret_post' },
    {
      ...machine,
      client_id: 'ci-key',
      client_secret: undefined,
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [publicKey.export({ format: 'jwk' })] },
    },
  ].filter((client) => client && methods.includes(client.token_endpoint_auth_method)),
  clientAuthMethods: methods,
  features: { devInteractions: { enabled: true }, deviceFlow: { enabled: true }, clientCredentials: { enabled: true }, revocation: { enabled: true } },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access'],
  claims: process.env.REDIRECT_URI ? { email: ['email', 'email_verified'], profile: ['name'] } : {},
  ttl: { AccessToken: Number(process.env.ACCESS_TOKEN_TTL ?? 3600), Grant: 86400, Session: 86400, Interaction: 3600, IdToken: 3600, ClientCredentials: Number(process.env.ACCESS_TOKEN_TTL ?? 3600), DeviceCode: Number(process.env.DEVICE_TTL ?? 600), RefreshToken: 86400 },
  cookies: { keys: ['only for tests'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: id, email_verified: true, name: `User ${id}` }) }),
});
provider.on('grant.success', (ctx) => process.stdout.write(`granted ${ctx.oidc.params.grant_type}\n`));
provider.on('grant.revoked', () => process.stdout.write('revoked\n'));

const server = tls ? createHttps(tls, provider.callback()) : createHttp(provider.callback());
server.listen(port, '127.0.0.1', () => process.stdout.write(`listening at ${issuer}\n`));
