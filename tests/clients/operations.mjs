// What every client can do, whatever it speaks: a query, a mutation, a subscription, and going on after a break.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { REGISTER, person } from './daybook.mjs';

const CHANGES = 'subscription Feed($after: Position) { changes(after: $after) { position change { type version } } }';

/** The first answers to a client's operation, at most so many. */
export async function answersOf(client, payload, most = Infinity) {
  const found = [];
  for await (const answer of client.iterate(payload)) {
    found.push(answer);
    if (found.length === most) break;
  }
  return found;
}

/** The tests of a client of graphql-ws or graphql-sse, which are called alike. */
export function testOperations(client) {
  const answers = (payload, most) => answersOf(client, payload, most);

  test('a query', async () => {
    const [{ data, errors }, ...rest] = await answers({ query: '{ company { name } }' });
    assert.deepEqual([data, errors, rest], [{ company: { name: 'Kestrel Instruments' } }, undefined, []]);
  });

  test('a mutation, with variables', async () => {
    const [{ data }] = await answers({ query: REGISTER, variables: { input: person('Over A. Wire') } });
    assert.deepEqual(data.customerRegister.userErrors, []);
    assert.equal(data.customerRegister.customer.name, 'Over A. Wire');
  });

  test('a subscription tells of what happens while it runs', async () => {
    const feed = client.iterate({ query: CHANGES });
    const { value: mark } = await feed.next();
    assert.equal(mark.data.changes.change, null);
    const [{ data }] = await answers({ query: REGISTER, variables: { input: person('Seen Live') } });
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
}
