// graphql-ws: queries, mutations and subscriptions over the protocol graphql-transport-ws.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { REGISTER, authorization, person, webSocketUrl } from './daybook.mjs';
import { answersOf, testOperations } from './operations.mjs';

let sockets = 0;
const client = createClient({
  url: webSocketUrl,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
  retryAttempts: 0,
  lazy: false,
  on: { opened: () => { sockets += 1; } },
});
after(() => client.dispose());

const answers = (payload, most) => answersOf(client, payload, most);

/** What the client is told instead of an answer. */
const refusal = (payload) => answers(payload).then(() => assert.fail('answered'), (errors) => errors);

testOperations(client);

test('a record is told of as it stands, and again when it changes', async () => {
  const [{ data }] = await answers({ query: REGISTER, variables: { input: person('Before') } });
  const { id } = data.customerRegister.customer;
  const watch = client.iterate({
    query: 'subscription Watch($id: ID!) { customerChanged(id: $id) { name version } }',
    variables: { id },
  });
  assert.deepEqual((await watch.next()).value.data.customerChanged, { name: 'Before', version: 1 });
  const { idempotencyKey } = person('');
  await answers({
    query: 'mutation Rename($input: CustomerRenameInput!) { customerRename(input: $input) { position } }',
    variables: { input: { idempotencyKey, id, name: 'After' } },
  });
  assert.deepEqual((await watch.next()).value.data.customerChanged, { name: 'After', version: 2 });
  await watch.return();
});

for (const [fault, query, code] of [
  ['a syntax error', '{', 'GRAPHQL_PARSE_FAILED'],
  ['an unknown field', '{ nothing }', 'GRAPHQL_VALIDATION_FAILED'],
  ['a subscription of an unknown record', 'subscription { customerChanged(id: "x") { id } }', 'BAD_USER_INPUT'],
]) {
  test(`${fault} answers that operation, and the socket lives on`, async () => {
    const before = sockets;
    const [error] = await refusal({ query });
    assert.equal(error.extensions.code, code);
    assert.match(error.extensions.requestId, /^[0-9a-f-]{36}$/);
    assert.equal((await answers({ query: '{ __typename }' })).length, 1);
    assert.equal(sockets, before);
  });
}

test('a wrong token closes the socket with 4401, after which no client tries again', async () => {
  const stranger = createClient({
    url: webSocketUrl,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: 'Bearer wrong' },
  });
  await assert.rejects(stranger.iterate({ query: '{ __typename }' }).next(), { code: 4401 });
  await stranger.dispose();
});

test('the legacy subprotocol graphql-ws is refused', async () => {
  const socket = new WebSocket(webSocketUrl, 'graphql-ws');
  socket.on('open', () => assert.fail('a legacy client was let in'));
  const [error] = await once(socket, 'error');
  assert.ok(error);
});
