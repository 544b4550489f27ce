// An OAuth provider that we did not write: npm `oidc-provider`, with one native public client, PKCE and refresh
// rotation, and one of the client credentials grant.
//
//   PORT=3000 [TLS_CERT=cert.pem TLS_KEY=key.pem] [ACCESS_TOKEN_TTL=3600] node oidc-provider.mjs
//
// Anybody can sign in at its development pages with any password.
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';

import Provider from 'oidc-provider';

const port = Number(process.env.PORT);
const tls = process.env.TLS_CERT && {
  cert: readFileSync(process.env.TLS_CERT),
  key: readFileSync(process.env.TLS_KEY),
};
const issuer = tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'flyte-native',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
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
  ],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: true }, revocation: { enabled: true } },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access'],
  ttl: { AccessToken: Number(process.env.ACCESS_TOKEN_TTL ?? 3600), Grant: 86400, Session: 86400, Interaction: 3600, IdToken: 3600, RefreshToken: 86400 },
  cookies: { keys: ['only for tests'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
provider.on('grant.success', (ctx) => process.stdout.write(`granted ${ctx.oidc.params.grant_type}\n`));
provider.on('grant.revoked', () => process.stdout.write('revoked\n'));

const server = tls ? createHttps(tls, provider.callback()) : createHttp(provider.callback());
server.listen(port, '127.0.0.1', () => process.stdout.write(`listening at ${issuer}\n`));
