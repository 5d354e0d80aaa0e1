// Asks a server over WebSocket what its arguments say, one after the other, and prints what comes of each.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, key, ...documents] = process.argv.slice(2);
class Socket extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { headers: { 'x-api-key': key }, perMessageDeflate: true });
  }
}
const client = createClient({ url, webSocketImpl: Socket, retryAttempts: 0, keepAlive: 10000 });
for (const query of documents) {
  const came = [];
  try {
    for await (const result of client.iterate({ query })) came.push(result.data);
    console.log(JSON.stringify({ came }));
  } catch (error) {
    console.log(JSON.stringify({ came, error: Array.isArray(error) ? error : String(error.reason ?? error.message ?? error) }));
  }
}
await client.dispose();
