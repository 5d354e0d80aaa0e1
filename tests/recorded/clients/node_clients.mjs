// What Node's clients send. Prints the versions.
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import { createRequire } from 'node:module';
import axios from 'axios';
import FormDataPackage from 'form-data';
import got from 'got';
import ky from 'ky';
import nodeFetch from 'node-fetch';
import superagent from 'superagent';
import { request as undici } from 'undici';
import WebSocket from 'ws';

const { BASE, SECURE_BASE, CA } = process.env;
const cases = JSON.parse(fs.readFileSync(process.env.CASES, 'utf8'));
const secrets = JSON.parse(fs.readFileSync(process.env.SECRETS, 'utf8'));
const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 255]);
const quietly = async (work) => { try { return await work(); } catch (error) { console.error(String(error).slice(0, 120)); } };
const drained = async (work) => quietly(async () => (await work()).text?.());

for (const path of cases.paths) await drained(() => fetch(BASE + path));
await drained(() => fetch(`${BASE}/json/fetch`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"ü"}' }));
await drained(() => fetch(`${BASE}/plain/fetch-text`, { method: 'POST', body: 'text' }));
await drained(() => fetch(`${BASE}/plain/fetch-none`, { method: 'POST' }));
await drained(() => fetch(`${BASE}/plain/fetch-form`, { method: 'POST', body: new URLSearchParams({ a: 'b c', d: 'ü' }) }));
const form = () => { const made = new FormData(); made.append('file', new Blob([png], { type: 'image/png' }), 'ü "x".png'); made.append('note', 'line\nbreak'); return made; };
await drained(() => fetch(`${BASE}/upload/fetch`, { method: 'POST', body: form() }));
await drained(() => fetch(`${BASE}/plain/fetch-stream`, { method: 'POST', duplex: 'half', body: new Blob(['a', 'b']).stream() }));
await drained(() => fetch(`${SECURE_BASE}/plain/tls`));

for (const path of cases.paths) await quietly(() => axios.get(BASE + path));
await quietly(() => axios.get(`${BASE}/plain/params`, { params: { a: [1, 2], b: { c: 'd' }, e: new Date(0), f: 'x y[]' } }));
await quietly(() => axios.post(`${BASE}/json/axios`, { name: 'ü' }));
await quietly(() => axios.postForm(`${BASE}/upload/axios`, { note: 'x', file: new Blob([png]) }));
await quietly(() => axios.post(`${BASE}/plain/axios-none`));
await quietly(() => axios.delete(`${BASE}/plain/axios-delete`, { data: { a: 1 } }));
await quietly(() => axios.get(`${BASE}/basic/axios`, { auth: { username: secrets.user, password: secrets.password } }));
await quietly(() => axios.get(`${BASE}/jwt/axios`, { headers: { Authorization: `Bearer ${secrets.token}` } }));

for (const path of cases.paths) await quietly(() => got(BASE + path, { retry: { limit: 0 } }));
await quietly(() => got.post(`${BASE}/json/got`, { json: { name: 'x' } }));
await quietly(() => got.post(`${BASE}/plain/got-form`, { form: { a: 'b c' } }));
await quietly(() => got(`${SECURE_BASE}/plain/got-h2`, { http2: true, https: { certificateAuthority: fs.readFileSync(CA) } }));
await quietly(() => ky.post(`${BASE}/json/ky`, { json: { name: 'x' } }).text());
await quietly(() => ky(`${BASE}/plain/ky`, { searchParams: { a: 'b c' } }).text());

await drained(() => nodeFetch(`${BASE}/plain/node-fetch?a=b c`));
const old = new FormDataPackage(); old.append('file', png, { filename: 'ü.png', contentType: 'image/png' }); old.append('note', 'x');
await drained(() => nodeFetch(`${BASE}/upload/node-fetch`, { method: 'POST', body: old, headers: old.getHeaders() }));
await quietly(() => superagent.post(`${BASE}/json/superagent`).send({ name: 'x' }));
await quietly(() => superagent.get(`${BASE}/plain/superagent`).query({ a: ['1', '2'], b: 'ü' }));
await quietly(() => superagent.post(`${BASE}/upload/superagent`).field('note', 'x').attach('file', png, 'a.png'));

await quietly(async () => (await undici(`${BASE}/plain/undici`, { query: { a: 'b c' } })).body.text());
await quietly(async () => (await undici(`${BASE}/json/undici`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"a":1}' })).body.text());

const plain = (options, body) => new Promise((done) => {
  const asked = http.request(BASE + options.path, options, (answer) => answer.resume().on('end', done));
  asked.on('error', done);
  (body ?? []).forEach((part) => asked.write(part));
  asked.end();
});
await plain({ path: '/plain/http' });
await plain({ path: '/plain/http-post', method: 'POST' }, ['one', 'two']);
await plain({ path: '/plain/http-delete', method: 'DELETE' });
await plain({ path: '/plain/http-trailers', method: 'POST', headers: { Trailer: 'X-Checksum', 'Transfer-Encoding': 'chunked' } }, ['x']);
await plain({ path: '/plain/http-latin', headers: { 'X-Name': 'M\u00fcller', 'Keep-Alive': 'timeout=5' } });
await plain({ path: '/plain/http-cookies', headers: { Cookie: ['a=1', 'b=2'] } });
await new Promise((done) => {
  const session = http2.connect(SECURE_BASE, { ca: fs.readFileSync(CA) });
  session.on('error', done);
  const asked = session.request({ ':path': '/plain/http2?a=[1]', ':method': 'GET', cookie: ['a=1', 'b=2'] });
  asked.on('error', done).resume().on('end', () => { session.close(); done(); });
});

const socket = (path, options, protocols) => new Promise((done) => {
  const opened = new WebSocket(BASE.replace('http', 'ws') + path, protocols ?? [], options);
  opened.on('open', () => { opened.send('hello'); opened.close(); });
  opened.on('close', done).on('error', done);
});
await socket('/socket/ws', {});
await socket('/socket/ws-protocols?token=x', { origin: 'http://127.0.0.1:43180' }, ['v1.chat', 'v2.chat']);
await quietly(async () => {
  const { io } = await import('socket.io-client');
  await new Promise((done) => { const made = io(BASE, { path: '/socket/io/', transports: ['websocket'], reconnection: false }); setTimeout(() => { made.close(); done(); }, 500); });
  await new Promise((done) => { const made = io(BASE, { path: '/plain/io/', reconnection: false }); setTimeout(() => { made.close(); done(); }, 500); });
});
await quietly(async () => {
  const { EventSource } = await import('eventsource');
  await new Promise((done) => { const made = new EventSource(`${BASE}/plain/events`); setTimeout(() => { made.close(); done(); }, 400); });
});
await quietly(async () => {
  const { Octokit } = await import('@octokit/rest');
  const hub = new Octokit({ baseUrl: `${BASE}/slash`, auth: 'ghp_made-up', log: { debug() {}, info() {}, warn() {}, error() {} } });
  await quietly(() => hub.repos.getContent({ owner: 'a', repo: 'b', path: 'docs/x y.md', ref: 'feature/z' }));
  await quietly(() => hub.issues.create({ owner: 'a', repo: 'b', title: 'ü' }));
  await quietly(() => hub.git.getRef({ owner: 'a', repo: 'b', ref: 'heads/feature/x' }));
});
await quietly(async () => {
  const { S3Client, PutObjectCommand, GetObjectCommand, ListObjectsV2Command } = await import('@aws-sdk/client-s3');
  const s3 = new S3Client({ endpoint: BASE, forcePathStyle: true, region: 'eu-west-1', maxAttempts: 1, credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'made-up' } });
  for (const Key of ['plain.txt', 'a b/ü.txt', 'a//b', "x+y&z=1;2@3,4$5!*'()", '100%']) {
    await quietly(() => s3.send(new PutObjectCommand({ Bucket: 'bucket', Key, Body: 'hello' })));
    await quietly(() => s3.send(new GetObjectCommand({ Bucket: 'bucket', Key })));
  }
  await quietly(() => s3.send(new ListObjectsV2Command({ Bucket: 'bucket', Prefix: 'a/b' })));
});
await quietly(async () => {
  const { default: OpenAI } = await import('openai');
  const model = new OpenAI({ baseURL: `${BASE}/plain/v1`, apiKey: 'sk-made-up', maxRetries: 0 });
  await quietly(() => model.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'ü' }] }));
  await quietly(() => model.files.create({ file: new File(['{}'], 'a.jsonl'), purpose: 'batch' }));
});
await quietly(async () => {
  const grpc = await import('@grpc/grpc-js');
  const client = new grpc.Client('127.0.0.1:43180', grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata(); metadata.set('authorization', 'Bearer x'); metadata.set('trace-bin', Buffer.from([0, 1]));
  await new Promise((done) => client.makeUnaryRequest('/orders.Orders/Get', (x) => x, (x) => x, Buffer.from('abc'), metadata, { deadline: Date.now() + 3000 }, done));
  client.close();
});
const require = createRequire(import.meta.url);
const version = (name) => { try { return `${name} ${JSON.parse(fs.readFileSync(`node_modules/${name}/package.json`)).version}`; } catch { return name; } };
console.log(['axios', 'got', 'ky', 'node-fetch', 'superagent', 'undici', 'ws', 'socket.io-client', 'eventsource', '@octokit/rest', '@aws-sdk/client-s3', 'openai', '@grpc/grpc-js'].map(version).join(', '));
process.exit(0);
