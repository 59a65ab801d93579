// urql with its document cache: what a page does all day.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, cacheExchange, fetchExchange, gql } from '@urql/core';

import { REGISTER, authorization, person, url } from './daybook.mjs';

let requests = 0;
const client = new Client({
  url,
  exchanges: [cacheExchange, fetchExchange],
  preferGetMethod: false,
  fetchOptions: { headers: { Authorization: authorization } },
  fetch: (...request) => {
    requests += 1;
    return fetch(...request);
  },
});

const PAGE = gql`
  query Page($first: Int!, $after: String) {
    customers(first: $first, after: $after, orderBy: [{ field: NAME }]) {
      totalCount
      edges { cursor node { id name } }
      pageInfo { hasNextPage endCursor }
    }
  }
`;

test('a query with variables; asked again, it comes from the cache', async () => {
  const first = await client.query(PAGE, { first: 3 });
  assert.equal(first.error, undefined);
  assert.equal(first.data.customers.edges.length, 3);
  const before = requests;
  const again = await client.query(PAGE, { first: 3 });
  assert.deepEqual(again.data, first.data);
  assert.equal(requests, before);
});

test('a page after the other, to the end, and nothing twice', async () => {
  const seen = [];
  let total;
  for (let after = null, more = true; more; ) {
    const { data, error } = await client.query(PAGE, { first: 7, after });
    assert.equal(error, undefined);
    seen.push(...data.customers.edges.map(({ node }) => node.id));
    total = data.customers.totalCount;
    ({ hasNextPage: more, endCursor: after } = data.customers.pageInfo);
  }
  assert.equal(seen.length, total);
  assert.equal(new Set(seen).size, total);
});

test('a mutation makes the lists that show its type be read anew', async () => {
  const { data: before } = await client.query(PAGE, { first: 1 });
  const { data, error } = await client.mutation(REGISTER, { input: person('From A. Page') });
  assert.equal(error, undefined);
  assert.deepEqual(data.customerRegister.userErrors, []);
  const { data: after } = await client.query(PAGE, { first: 1 });
  assert.equal(after.customers.totalCount, before.customers.totalCount + 1);
});

test('a refused command is data', async () => {
  const { data, error } = await client.mutation(REGISTER, { input: person(' ') });
  assert.equal(error, undefined);
  assert.equal(data.customerRegister.customer, null);
  assert.deepEqual(data.customerRegister.userErrors.map(({ code }) => code), ['TEXT_EMPTY']);
});

test('a faulty document is an error with a code', async () => {
  const { data, error } = await client.query('{ nothing }', {});
  assert.equal(data, undefined);
  assert.equal(error.response.status, 400);
  assert.deepEqual(error.graphQLErrors.map(({ extensions }) => extensions.code), ['GRAPHQL_VALIDATION_FAILED']);
});

test('a wrong token is an error with a code', async () => {
  const stranger = new Client({ url, exchanges: [fetchExchange], preferGetMethod: false });
  const { error } = await stranger.query('{ __typename }', {});
  assert.equal(error.response.status, 401);
  assert.deepEqual(error.graphQLErrors.map(({ extensions }) => extensions.code), ['UNAUTHENTICATED']);
});

test('queries over GET, with the header that they need', async () => {
  const getting = new Client({
    url,
    exchanges: [fetchExchange],
    preferGetMethod: 'force',
    fetchOptions: { headers: { Authorization: authorization, 'Daybook-CSRF': '1' } },
  });
  const { data, error } = await getting.query(PAGE, { first: 2 });
  assert.equal(error, undefined);
  assert.equal(data.customers.edges.length, 2);
});
