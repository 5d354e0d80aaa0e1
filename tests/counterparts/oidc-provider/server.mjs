// A real OpenID provider on a free loopback port, and a second port on which a test controls it.
//
// The provider is the package oidc-provider, which nobody here wrote; this file only configures it. When both ports listen,
// one line of JSON on the standard output names them. Every control is a POST with a JSON body to the second port; the
// answer is JSON. The program ends when its standard input does, so that it never outlives the test that started it.
//
//   /counts            how often each path of the provider was asked for: { "/jwks": 2 }
//   /rotate            { "keep": true }: signs with new keys; the old ones stay in the key set or are dropped
//   /fault             { "path": "/jwks", "kind": "slow" | "garbage" | "huge" | "status" | "redirect", "ms", "status", "location" };
//                      without a kind the path is served again, and without a path every path is meant
//   /down, /up         stops listening and closes every connection; listens on the same port again
//   /account           { "id", "claims" }: what the tokens of an account hold besides
//   /client            registers a client by its metadata (OpenID Connect Registration), and { "claims" } for its own tokens
//   /mint              { "account", "client", "scope", "resource", "jkt", "seconds" }: an access token of an account
//   /revoke            { "token" }: an opaque token, whoever it is of
//   /sign              { "header", "claims" }: a token with these, signed with the RS256 key of now, or with "key": "another" one that
//                      nobody publishes
//   /pair              { "alg" }: a new key pair: { "private": PEM, "public": JWK }
//
// Resources: urn:jwt:ALG gets a JWT access token (RFC 9068) signed with ALG, urn:opaque:NAME an opaque one.

import * as crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Provider from 'oidc-provider';

const ALGORITHMS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

function newKeys() {
  return Object.entries(ALGORITHMS).map(([alg, [type, options]]) => {
    const { privateKey } = crypto.generateKeyPairSync(type, options);
    const kid = `${alg}-${crypto.randomBytes(8).toString('hex')}`;
    return { ...privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig' };
  });
}

const accounts = new Map([
  ['alice', { roles: ['user'], realm_access: { roles: ['user'] }, tenant: 'blue' }],
  ['root', { roles: ['admin'], realm_access: { roles: ['admin'] }, tenant: 'red' }],
  ['carol', { roles: [], tenant: 'blue' }],
]);
const clientClaims = new Map([['machine', { roles: ['user'] }]]);
const secret = { client_secret: 'a-secret-of-this-test-0123456789abcdef' };
const machine = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
const clients = new Map([
  ['machine', { client_id: 'machine', ...secret, ...machine }],
  ['gateway', { client_id: 'gateway', ...secret, ...machine }],
  ['app', {
    client_id: 'app',
    ...secret,
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['http://127.0.0.1:1/callback'],
    response_types: ['code'],
  }],
]);

const counts = {};
const faults = new Map();
let keys = newKeys();
const cookieKeys = [crypto.randomBytes(32).toString('hex')];
const nonceSecret = crypto.randomBytes(32);
let issuer;
let provider;
let serve;

function configuration() {
  return {
    clients: [...clients.values()],
    jwks: { keys },
    cookies: { keys: cookieKeys },
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access', 'profile', 'read', 'write'],
    claims: { openid: ['sub', 'roles', 'realm_access', 'tenant'], profile: ['name'] },
    conformIdTokenClaims: false,
    rotateRefreshToken: true,
    // A refresh token whenever the client may have one, so that a test need not ask for offline access.
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, ...accounts.get(id) }) }),
    extraTokenClaims: async (ctx, token) => (
      token.accountId ? accounts.get(token.accountId) : clientClaims.get(token.clientId)),
    ttl: {
      AccessToken: (ctx, token) => token.resourceServer?.accessTokenTTL ?? 600,
      ClientCredentials: (ctx, token) => token.resourceServer?.accessTokenTTL ?? 600,
    },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true },
      dPoP: { enabled: true, nonceSecret, requireNonce: () => false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        // The question whether to log out is answered at once, as a user would.
        logoutSource: async (ctx, form) => {
          ctx.body = `<!doctype html><title>Logout</title>${form.replace('</form>', '<input type="hidden" name="logout" value="yes"></form>')}
            <button autofocus type="submit" form="op.logoutForm">Yes</button><script>document.forms[0].submit()</script>`;
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: async (ctx, client, oneOf) => oneOf ?? undefined,
        useGrantedResource: async () => true,
        getResourceServerInfo: async (ctx, resource) => resourceServer(resource),
      },
    },
  };
}

function resourceServer(resource, seconds) {
  const [, kind, name] = resource.split(':');
  return {
    scope: 'read write',
    audience: resource,
    accessTokenTTL: seconds ?? (Number(new URLSearchParams(resource.split('?')[1]).get('seconds')) || 600),
    accessTokenFormat: kind === 'jwt' ? 'jwt' : 'opaque',
    jwt: kind === 'jwt' ? { sign: { alg: name.split('?')[0] } } : undefined,
  };
}

function build() {
  provider = new Provider(issuer, configuration());
  serve = provider.callback();
}

// With the names of two files, a private key and a certificate, the provider speaks TLS.
const [, , keyFile, certificateFile] = process.argv;
const answer = (request, response) => {
  const path = request.url.split('?')[0];
  counts[path] = (counts[path] ?? 0) + 1;
  const fault = faults.get(path) ?? faults.get('*');
  switch (fault?.kind) {
    case 'slow': setTimeout(() => serve(request, response), fault.ms ?? 1000); break;
    case 'garbage': response.end('<html>Service temporarily unavailable</html>'); break;
    case 'huge': response.end(`{"keys":[],"padding":"${'x'.repeat(4 * 1024 * 1024)}"}`); break;
    case 'status': response.writeHead(fault.status ?? 503).end('{}'); break;
    case 'redirect': response.writeHead(302, { location: fault.location }).end(); break;
    default: serve(request, response);
  }
};
const server = keyFile
  ? https.createServer({ key: fs.readFileSync(keyFile), cert: fs.readFileSync(certificateFile) }, answer)
  : http.createServer(answer);
const connections = new Set();
server.on('connection', (socket) => {
  connections.add(socket);
  socket.on('close', () => connections.delete(socket));
});

function listen(on, port) {
  return new Promise((resolve, reject) => {
    on.once('error', reject);
    on.listen(port, '127.0.0.1', () => resolve(on.address().port));
  });
}

async function mint({ account, client: id, scope, resource, jkt, seconds }) {
  const client = await provider.Client.find(id ?? 'app');
  const grant = new provider.Grant({ accountId: account, clientId: client.clientId });
  if (resource) grant.addResourceScope(resource, scope ?? 'read');
  else grant.addOIDCScope(`openid ${scope ?? ''}`.trim());
  const token = new provider.AccessToken({
    accountId: account, client, grantId: await grant.save(), gty: 'authorization_code', scope: scope ?? 'read', expiresIn: seconds ?? 600,
  });
  token.extra = accounts.get(account);
  if (resource) {
    token.resourceServer = new provider.ResourceServer(resource, resourceServer(resource, seconds));
    token.setAudience(resource);
  }
  if (jkt) token.setThumbprint('jkt', jkt);
  return { token: await token.save() };
}

const port = await listen(server, 0);
issuer = `${keyFile ? 'https' : 'http'}://127.0.0.1:${port}`;
build();

const controls = {
  '/counts': () => counts,
  '/rotate': ({ keep = true }) => {
    // The first key of an algorithm signs; those after it are only published.
    keys = [...newKeys(), ...(keep ? keys : [])];
    build();
    return { kids: keys.map(({ kid }) => kid) };
  },
  '/fault': ({ path = '*', kind, ...more }) => {
    if (kind) faults.set(path, { kind, ...more });
    else faults.delete(path);
    return {};
  },
  '/down': () => new Promise((resolve) => {
    server.close(() => resolve({}));
    connections.forEach((socket) => socket.destroy());
  }),
  '/up': async () => ({ port: await listen(server, port) }),
  '/account': ({ id, claims }) => { accounts.set(id, claims); return {}; },
  '/client': ({ claims, ...metadata }) => {
    clients.set(metadata.client_id, { ...secret, ...metadata });
    if (claims) clientClaims.set(metadata.client_id, claims);
    build();
    return { client_secret: clients.get(metadata.client_id).client_secret };
  },
  '/mint': mint,
  '/pair': ({ alg }) => {
    const [type, options] = ALGORITHMS[alg];
    const { privateKey, publicKey } = crypto.generateKeyPairSync(type, options);
    const kid = `${alg}-${crypto.randomBytes(8).toString('hex')}`;
    return {
      private: privateKey.export({ format: 'pem', type: 'pkcs8' }),
      public: { ...publicKey.export({ format: 'jwk' }), alg, kid, use: 'sig' },
    };
  },
  '/sign': ({ header, claims, key }) => {
    const own = keys.find(({ alg }) => alg === 'RS256');
    const jwk = key === 'another' ? newKeys().find(({ alg }) => alg === 'RS256') : own;
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'RS256', kid: own.kid, ...header })}.${part(claims)}`;
    const signature = crypto.sign('sha256', Buffer.from(signed), crypto.createPrivateKey({ key: jwk, format: 'jwk' }));
    return { token: `${signed}.${signature.toString('base64url')}` };
  },
  '/revoke': async ({ token }) => {
    const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
    await found.destroy();
    return {};
  },
};

const control = http.createServer(async (request, response) => {
  let text = '';
  for await (const part of request) text += part;
  try {
    const answer = await controls[request.url](JSON.parse(text || '{}'));
    response.end(JSON.stringify(answer));
  } catch (error) {
    response.writeHead(500).end(JSON.stringify({ error: String(error?.stack ?? error) }));
  }
});
console.log(JSON.stringify({ issuer, port, control: await listen(control, 0) }));

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
