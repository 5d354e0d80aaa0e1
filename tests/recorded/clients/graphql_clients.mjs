// What GraphQL clients send: Apollo with and without persisted queries, uploads, Relay, urql, graphql-request, graphql-ws. Prints the versions.
import fs from 'node:fs';
import crypto from 'node:crypto';
import { createClient } from 'graphql-ws';
import { GraphQLClient } from 'graphql-request';
import WebSocket from 'ws';

const { BASE } = process.env;
const quietly = async (work) => { try { return await work(); } catch (error) { console.error(String(error.stack ?? error).slice(0, 400)); } };
const uri = `${BASE}/graphql`;
const query = 'query Hero($id: ID!) { hero(id: $id) { __typename id name ...Rest @include(if: true) } } fragment Rest on Hero { name }';

await quietly(async () => {
  const apollo = await import('@apollo/client');
  const core = apollo.ApolloClient ? apollo : apollo.default;
  const { createPersistedQueryLink } = await import('@apollo/client/link/persisted-queries/index.js').catch(() => import('@apollo/client/link/persisted-queries'));
  const { BatchHttpLink } = await import('@apollo/client/link/batch-http/index.js').catch(() => import('@apollo/client/link/batch-http'));
  const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');
  const gql = core.gql;
  const client = (link) => new core.ApolloClient({ cache: new core.InMemoryCache(), link, name: 'web', version: '1.2.3' });
  const http = (more) => new core.HttpLink({ uri, ...more });
  for (const link of [
    http(), http({ useGETForQueries: true }),
    createPersistedQueryLink({ sha256 }).concat(http({ uri: `${BASE}/persisted`, useGETForQueries: true })),
    createPersistedQueryLink({ sha256 }).concat(http({ uri: `${BASE}/persisted` })),
    new BatchHttpLink({ uri: `${BASE}/graphql-batch`, batchMax: 5 }),
  ]) {
    const made = client(link);
    await quietly(() => made.query({ query: gql(query), variables: { id: '1' } }));
    await quietly(() => made.mutate({ mutation: gql('mutation Rate($n: Int!) { rate(n: $n) { id } }'), variables: { n: 5 } }));
  }
  const { default: Upload } = await import('apollo-upload-client/UploadHttpLink.mjs').catch(() => import('apollo-upload-client/createUploadLink.mjs'));
  const made = client(new Upload({ uri: `${BASE}/graphql-upload`, headers: { 'Apollo-Require-Preflight': 'true' } }));
  const mutation = gql('mutation Add($file: Upload!, $more: [Upload!]) { add(file: $file, more: $more) { id } }');
  await quietly(() => made.mutate({ mutation, variables: { file: new File(['hello'], 'ü.txt', { type: 'text/plain' }) } }));
  await quietly(() => made.mutate({ mutation, variables: { file: new File(['a'], 'a.json', { type: 'application/json' }), more: [new File(['b'], 'b'), new File([], 'c')] } }));
});
await quietly(async () => {
  const { default: relay } = await import('relay-runtime');
  const network = relay.Network.create((params, variables) => fetch(`${BASE}/${params.id ? 'persisted-relay' : 'graphql'}`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify(params.id ? { doc_id: params.id, variables } : { query: params.text, variables }),
  }).then((answer) => answer.json()));
  const environment = new relay.Environment({ network, store: new relay.Store(new relay.RecordSource()) });
  const node = (id, text) => ({
    kind: 'Request', fragment: { kind: 'Fragment', name: 'Q', type: 'Query', metadata: null, argumentDefinitions: [], selections: [] },
    operation: { kind: 'Operation', name: 'Q', argumentDefinitions: [], selections: [] },
    params: { cacheID: id ?? 'c', id, metadata: {}, name: 'Q', operationKind: 'query', text },
  });
  for (const one of [node('8f2c1e5d3b6a49708f2c1e5d3b6a4970', null), node(null, 'query Q { hero { id } }')]) {
    await quietly(() => relay.fetchQuery(environment, one, { id: '1' }).toPromise());
  }
});
await quietly(async () => {
  const { Client, cacheExchange, fetchExchange, gql } = await import('@urql/core');
  for (const preferGetMethod of [true, false]) {
    const made = new Client({ url: uri, exchanges: [cacheExchange, fetchExchange], preferGetMethod });
    await made.query(gql(query), { id: '1' }).toPromise();
  }
});
await quietly(() => new GraphQLClient(uri).request('{ hero { name } }'));
await quietly(() => new GraphQLClient(uri, { method: 'GET' }).request('query Q { hero { name } }'));
await quietly(() => new GraphQLClient(`${BASE}/graphql-batch`).batchRequests([{ document: '{ hero { name } }' }, { document: '{ hero { id } }' }]));
for (const path of ['/subscriptions']) {
  await quietly(() => new Promise((done) => {
    const client = createClient({ url: BASE.replace('http', 'ws') + path, webSocketImpl: WebSocket, connectionParams: { token: 'made-up' }, retryAttempts: 0 });
    client.subscribe({ query: 'subscription Added($id: ID) { added(id: $id) { id } }', variables: { id: '1' }, operationName: 'Added' }, { next() {}, error: done, complete: done });
    setTimeout(done, 3000);
  }));
}
const version = (name) => `${name} ${JSON.parse(fs.readFileSync(`node_modules/${name}/package.json`)).version}`;
console.log(['@apollo/client', 'apollo-upload-client', 'relay-runtime', '@urql/core', 'graphql-request', 'graphql-ws'].map(version).join(', '));
process.exit(0);
