// The reference audits of GraphQL over HTTP, by name: all of them, MAY included.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAudits } from 'graphql-http';

import { authorization, url } from './daybook.mjs';

const fetchFn = (address, request) =>
  fetch(address, { ...request, headers: { ...request?.headers, Authorization: authorization, 'Daybook-CSRF': '1' } });

const audits = serverAudits({ url, fetchFn });

test('the suite has the audits that we know of', () => {
  assert.equal(audits.length, 61);
});

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const { status, reason } = await audit.fn();
    assert.equal(status, 'ok', reason);
  });
}
