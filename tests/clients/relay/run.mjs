// Runs what the compiler made of src/, as Relay's runtime does in a page.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import {
  Environment,
  Network,
  RecordSource,
  Store,
  commitMutation,
  createOperationDescriptor,
  fetchQuery,
  getSelector,
} from 'relay-runtime';

import { authorization, url } from '../daybook.mjs';

const compiled = createRequire(import.meta.url);
const artifact = (name) => compiled(`./src/__generated__/${name}.graphql.js`);
const [card, header, list] = ['customersCard', 'customersHeader', 'customersList'].map(artifact);
const pageQuery = artifact('customersPageQuery');
const nextPage = artifact('customersListPaginationQuery');
const cardRefetch = artifact('customersCardRefetchQuery');
const headerQuery = artifact('customersHeaderQuery');
const renameMutation = artifact('customersRenameMutation');
const persisted = compiled('./persisted.json');

/** What the server answers to a body. */
async function answer(body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      Accept: 'application/graphql-response+json',
      'Content-Type': 'application/json',
      Authorization: authorization,
    },
    body: JSON.stringify(body),
  });
  return response.json();
}

/** Relay's fetch function: the compiler has kept the texts for itself, and gives their ids. */
const ask = ({ id, name, text }, variables) => {
  assert.equal(text, null);
  return answer({ documentId: id, operationName: name, variables });
};

const store = new Store(new RecordSource());
const environment = new Environment({ network: Network.create(ask), store });

/** The data of an operation, fetched. */
const fetched = (operation, variables) => fetchQuery(environment, operation, variables).toPromise();

/** What a component with this fragment is given. */
const read = (fragment, key) => environment.lookup(getSelector(fragment, key)).data;

test('every operation is in the manifest', () => {
  for (const { params } of [cardRefetch, headerQuery, nextPage, pageQuery, renameMutation]) {
    assert.match(persisted[params.id], new RegExp(`^(query|mutation) ${params.name}\\b`));
  }
});

test('the server takes ids of the manifest, and no text', async () => {
  const { id, name } = pageQuery.params;
  const variables = { first: 1 };
  const refusal = async (body) => (await answer(body)).errors.map(({ extensions }) => extensions.code);
  assert.deepEqual(await refusal({ query: persisted[id], operationName: name, variables }), ['DOCUMENT_NOT_TRUSTED']);
  assert.deepEqual(await refusal({ documentId: id.replaceAll(/./g, '0') }), ['DOCUMENT_UNKNOWN']);
});

test('a list grows page by page in one connection', async () => {
  environment.retain(createOperationDescriptor(pageQuery, { first: 3 }));
  const root = await fetched(pageQuery, { first: 3 });
  const first = read(list, root).customers;
  assert.equal(first.edges.length, 3);
  assert.equal(first.pageInfo.hasNextPage, true);
  await fetched(nextPage, { first: 2, after: first.pageInfo.endCursor });
  const { edges } = read(list, root).customers;
  assert.equal(edges.length, 5);
  assert.equal(new Set(edges.map(({ node }) => node.id)).size, 5);
  for (const { node } of edges) assert.ok(read(card, node).version >= 1);
});

test('a fragment is fetched again by its id', async () => {
  const root = await fetched(pageQuery, { first: 1 });
  const { node } = read(list, root).customers.edges[0];
  const { node: again } = await fetched(cardRefetch, { id: node.id });
  assert.deepEqual(read(card, again), read(card, node));
});

test('node gives any record', async () => {
  const root = await fetched(pageQuery, { first: 1 });
  const [{ node: customer }] = read(list, root).customers.edges;
  const { node } = await fetched(headerQuery, { id: customer.id });
  assert.equal(node.__typename, 'Customer');
  assert.deepEqual(read(header, node), { id: customer.id, name: read(card, customer).name });
});

test('a mutation shows everywhere in the store', async () => {
  const root = await fetched(pageQuery, { first: 1 });
  const [{ node }] = read(list, root).customers.edges;
  const before = read(card, node);
  const input = { idempotencyKey: randomUUID(), id: node.id, name: `${before.name} & Co` };
  const { customerRename: renamed } = await new Promise((onCompleted, onError) =>
    commitMutation(environment, { mutation: renameMutation, variables: { input }, onCompleted, onError }),
  );
  assert.deepEqual(renamed.userErrors, []);
  assert.deepEqual(
    { name: read(card, node).name, version: read(card, node).version },
    { name: input.name, version: before.version + 1 },
  );
});
