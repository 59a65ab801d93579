// A second verifier, written from docs/auditor and the standards that it names.
//
//   node verify.mjs KEY bundle FILE…         node verify.mjs KEY proof FILE…
//   node verify.mjs KEY seen ORIGIN FILE…    node verify.mjs KEY since FORMER FILE…
//
// KEY is a file with a verifier key. A line of JSON for each FILE: what it proves, or `refused`, and why.
import { readFileSync } from 'node:fs';

import { readBundle } from './bundle.mjs';
import { Refused, demand, text } from './documents.mjs';
import { readLeaf } from './entries.mjs';
import { readCheckpoint, readKey, readProof, readRequest } from './log.mjs';

const READ = {
  bundle: (bytes, key) => readBundle(bytes, key),
  proof(bytes, key) {
    const { leaf, index } = readProof(bytes, key);
    const { position, originator_version, topic, actor } = readLeaf(leaf);
    demand(position === index + 1n, 'the entry stands elsewhere than its position says');
    return { index, position, originator_version, topic, actor };
  },
  seen: (bytes, key, origin) => readCheckpoint(text(bytes, 'the checkpoint'), key, origin),
  since: (bytes, key, former) => readRequest(bytes, key, readCheckpoint(readFileSync(former, 'utf8'), key)),
};

const [, , keyFile, what, ...files] = process.argv;
const key = readKey(readFileSync(keyFile, 'utf8'));
const given = what === 'seen' || what === 'since' ? files.shift() : undefined;
const plain = (name, value) => (typeof value === 'bigint' ? Number(value) : name === 'root' ? undefined : value);
for (const file of files) {
  try {
    console.log(JSON.stringify(READ[what](readFileSync(file), key, given), plain));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.log(JSON.stringify({ refused: error.message, told: error.told }));
  }
}
