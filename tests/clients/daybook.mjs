// The server that the test started, and what every client needs to speak to it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

export const url = process.env.DAYBOOK_URL;
assert.ok(url, 'DAYBOOK_URL names the server; tests/clients/test_clients.py sets it');
export const webSocketUrl = url.replace('http', 'ws');
export const authorization = `Bearer ${process.env.DAYBOOK_TOKEN}`;

/** The input of customerRegister for a person of this name. */
export const person = (name) => ({ idempotencyKey: randomUUID(), kind: 'PERSON', name });

export const REGISTER = `
  mutation Register($input: CustomerRegisterInput!) {
    customerRegister(input: $input) {
      customer { id name version }
      position
      userErrors { code message path }
    }
  }`;
