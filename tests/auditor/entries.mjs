// What stands in a leaf, and how its personal part is opened: docs/auditor/proof.md and README.md.
import { createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';

import { demand, text } from './documents.mjs';

const VERSION = Buffer.from('daybook leaf 1');
const whole = (bytes) => bytes.readBigInt64BE();
const KINDS = {
  number: [8, whole],
  time: [8, whole],
  uuid: [16, (bytes) => bytes],
  text: [undefined, (bytes) => text(bytes, 'a text of the leaf')],
  bytes: [undefined, (bytes) => bytes],
};
const COLUMNS = [
  ['position', 'number'],
  ['originator_id', 'uuid'],
  ['originator_version', 'number'],
  ['event_id', 'uuid'],
  ['topic', 'text'],
  ['recorded_at', 'time'],
  ['occurred_at', 'time'],
  ['subject', 'uuid'],
  ['actor', 'text'],
  ['on_behalf_of', 'text', 'nullable'],
  ['correlation_id', 'uuid'],
  ['causation_id', 'uuid', 'nullable'],
  ['idempotency_key', 'uuid', 'nullable'],
  ['state', 'bytes'],
  ['sealed', 'bytes', 'nullable'],
  ['commitment', 'bytes', 'nullable'],
];

export function readLeaf(leaf) {
  demand(leaf.subarray(0, VERSION.length).equals(VERSION), 'the leaf is of no version that is known');
  let rest = leaf.subarray(VERSION.length);
  const entry = {};
  for (const [name, kind, nullable] of COLUMNS) {
    const [size, read] = KINDS[kind];
    demand(rest.length >= 4, 'the leaf is too short');
    const length = rest.readInt32BE();
    rest = rest.subarray(4);
    if (length === -1) {
      demand(nullable, `${name} is NULL`);
      entry[name] = null;
      continue;
    }
    demand(length >= 0 && length <= rest.length, 'the leaf is too short');
    demand(size === undefined || size === length, `${name} has ${length} bytes`);
    entry[name] = read(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  demand(rest.length === 0, 'the leaf is too long');
  demand((entry.sealed === null) === (entry.commitment === null), 'sealed and commitment go together');
  return entry;
}

// AES-256-GCM with its tag of 16 bytes at the end, nonce 0; then the commitment.
export function opened(entry, eventKey, commitmentKey) {
  const version = Buffer.alloc(8);
  version.writeBigInt64BE(entry.originator_version);
  demand(entry.sealed.length >= 16, 'the personal part is too short');
  const cipher = createDecipheriv('aes-256-gcm', eventKey, Buffer.alloc(12), { authTagLength: 16 });
  cipher.setAAD(Buffer.concat([entry.event_id, entry.originator_id, version]));
  cipher.setAuthTag(entry.sealed.subarray(-16));
  let personal = cipher.update(entry.sealed.subarray(0, -16));
  try {
    personal = Buffer.concat([personal, cipher.final()]);
  } catch {
    demand(false, 'the event key does not open the personal part');
  }
  const commitment = createHmac('sha256', commitmentKey).update(personal).digest();
  demand(entry.commitment.length === 32 && timingSafeEqual(commitment, entry.commitment), 'another content was committed to');
  return personal;
}
