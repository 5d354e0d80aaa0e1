// A GraphQL server over WebSocket. Prints its port, and then a line for each message that reaches it.
import { createServer } from 'node:http';
import { buildSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';

const schema = buildSchema(`
  type Query { me: Person }
  type Person { name: String, friend: Person }
  type Mutation { rename(name: String!): Person }
  type Subscription { count(to: Int!): Int }
`);
const roots = {
  query: { me: () => ({ name: 'alice' }) },
  mutation: { rename: ({ name }) => ({ name }) },
  subscription: {
    async *count({ to }) {
      for (let number = 1; number <= to; number += 1) yield { count: number };
    },
  },
};
const server = createServer((_, response) => response.writeHead(404).end());
const sockets = new WebSocketServer({ server, path: '/graphql', perMessageDeflate: true });
sockets.on('connection', (socket, request) => {
  console.log(`connected ${socket.protocol} ${request.headers['sec-websocket-extensions'] ?? 'none'}`);
  socket.on('message', (data) => console.log(data.toString()));
});
useServer({ schema, roots }, sockets);
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
