// graphql-sse in distinct connections mode: each operation is a stream of its own.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createClient } from 'graphql-sse';

import { authorization, url } from './daybook.mjs';
import { answersOf, testOperations } from './operations.mjs';

const opened = [];
const client = createClient({
  url,
  singleConnection: false,
  headers: { Authorization: authorization },
  retryAttempts: 0,
  fetchFn: async (...request) => {
    const response = await fetch(...request);
    opened.push(response);
    return response;
  },
});
after(() => client.dispose());

const answers = (payload) => answersOf(client, payload);

testOperations(client);

test('a query is one event and the end', async () => {
  assert.equal((await answers({ query: '{ __typename }' })).length, 1);
  assert.match(opened.at(-1).headers.get('content-type'), /^text\/event-stream\b/);
});

for (const [fault, query, code] of [
  ['a syntax error', '{', 'GRAPHQL_PARSE_FAILED'],
  ['an unknown field', '{ nothing }', 'GRAPHQL_VALIDATION_FAILED'],
  ['a variable of a wrong type', 'query($n: Int!) { customers(first: $n) { nodes { id } } }', 'BAD_USER_INPUT'],
  ['a subscription of an unknown record', 'subscription { customerChanged(id: "x") { id } }', 'BAD_USER_INPUT'],
]) {
  test(`${fault} is told of in the stream, which then ends`, async () => {
    const [answer, ...rest] = await answers({ query });
    assert.deepEqual(rest, []);
    assert.equal('data' in answer, false);
    assert.deepEqual(answer.errors.map(({ extensions }) => extensions.code), [code]);
    assert.equal(opened.at(-1).status, 200);
  });
}

test('a wrong token opens no stream', async () => {
  const stranger = createClient({ url, singleConnection: false, retryAttempts: 0 });
  await assert.rejects(stranger.iterate({ query: '{ __typename }' }).next(), ({ response }) => response.status === 401);
  stranger.dispose();
});
