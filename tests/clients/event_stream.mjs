// graphql-sse in distinct connections mode: each operation is a stream of its own.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createClient } from 'graphql-sse';

import { REGISTER, authorization, person, url } from './daybook.mjs';

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

const CHANGES = 'subscription Feed($after: Position) { changes(after: $after) { position change { type version } } }';

/** The first answers to an operation, at most so many. */
async function answers(payload, most = Infinity) {
  const found = [];
  for await (const answer of client.iterate(payload)) {
    found.push(answer);
    if (found.length === most) break;
  }
  return found;
}

test('a query is one event and the end', async () => {
  const [{ data, errors }, ...rest] = await answers({ query: '{ company { name } }' });
  assert.deepEqual([data, errors, rest], [{ company: { name: 'Kestrel Instruments' } }, undefined, []]);
  assert.match(opened.at(-1).headers.get('content-type'), /^text\/event-stream\b/);
});

test('a mutation, with variables', async () => {
  const [{ data }] = await answers({ query: REGISTER, variables: { input: person('Over A. Stream') } });
  assert.deepEqual(data.customerRegister.userErrors, []);
  assert.equal(data.customerRegister.customer.name, 'Over A. Stream');
});

test('a subscription tells of what happens while it runs', async () => {
  const feed = client.iterate({ query: CHANGES });
  const { value: mark } = await feed.next();
  assert.equal(mark.data.changes.change, null);
  const [{ data }] = await answers({ query: REGISTER, variables: { input: person('Streamed Live') } });
  const { value: message } = await feed.next();
  assert.deepEqual(message.data.changes, {
    position: data.customerRegister.position,
    change: { type: 'CustomerRegistered', version: 1 },
  });
  await feed.return();
});

test('the feed resumes after any position, without a gap and with nothing twice', async () => {
  const read = async (after, most) =>
    (await answers({ query: CHANGES, variables: { after } }, most)).map(({ data }) => Number(data.changes.position));
  assert.deepEqual(await read('0', 6), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(await read('5', 4), [5, 6, 7, 8]);
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
