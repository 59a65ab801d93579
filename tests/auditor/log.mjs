// A log as RFC 6962, RFC 9162 and the C2SP specifications have it: tree, checkpoints, proofs, cosignatures.
import { createHash, createPublicKey, verify } from 'node:crypto';

import { base64, demand, text } from './documents.mjs';

const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();
export const leafHash = (leaf) => sha256(Buffer.of(0), leaf);
const nodeHash = (left, right) => sha256(Buffer.of(1), left, right);

// RFC 9162, 2.1.3.2: the root that the proof leads to; index and size are BigInts.
export function rootFrom(leaf, index, size, proof) {
  demand(index >= 0n && index < size, 'the entry is not in the tree');
  let [at, last, hash] = [index, size - 1n, leafHash(leaf)];
  for (const step of proof) {
    demand(last > 0n, 'the proof is too long');
    if (at & 1n || at === last) {
      hash = nodeHash(step, hash);
      while (!(at & 1n) && at > 0n) [at, last] = [at >> 1n, last >> 1n];
    } else {
      hash = nodeHash(hash, step);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  demand(last === 0n, 'the proof is too short');
  return hash;
}

// RFC 9162, 2.1.4.2: whether the tree of the second checkpoint goes on from that of the first.
export function goesOn(first, second, proof) {
  demand(first.size <= second.size, 'the second checkpoint covers fewer entries');
  if (first.size === second.size || first.size === 0n) {
    demand(proof.length === 0, 'the proof is too long');
    demand(first.size === 0n || first.root.equals(second.root), 'SPLIT VIEW');
    return;
  }
  const steps = (first.size & (first.size - 1n)) === 0n ? [first.root, ...proof] : [...proof];
  demand(steps.length > 0, 'the proof is too short');
  let [at, last] = [first.size - 1n, second.size - 1n];
  while (at & 1n) [at, last] = [at >> 1n, last >> 1n];
  let [former, whole] = [steps[0], steps[0]];
  for (const step of steps.slice(1)) {
    demand(last > 0n, 'the proof is too long');
    if (at & 1n || at === last) {
      [former, whole] = [nodeHash(step, former), nodeHash(step, whole)];
      while (!(at & 1n) && at > 0n) [at, last] = [at >> 1n, last >> 1n];
    } else {
      whole = nodeHash(whole, step);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  demand(last === 0n, 'the proof is too short');
  demand(former.equals(first.root) && whole.equals(second.root), 'INCONSISTENT');
}

const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const NAME = /^[^\p{White_Space}+]+$/u;
const DECIMAL = /^(0|[1-9][0-9]*)$/;
export const SIGNS = 1;
export const COSIGNS = 4;

export function readKey(line) {
  const [, name, id, rest] = /^([^+]*)\+([0-9a-f]{8})\+(.*?)\n?$/su.exec(line) ?? [];
  demand(name !== undefined && NAME.test(name), 'this is no verifier key');
  const encoded = base64(rest, 'the key', 33);
  demand(sha256(Buffer.from(`${name}\n`), encoded).subarray(0, 4).toString('hex') === id, 'the key does not have its id');
  demand(encoded[0] === SIGNS || encoded[0] === COSIGNS, 'the key is of another kind');
  const key = createPublicKey({ key: Buffer.concat([SPKI, encoded.subarray(1)]), format: 'der', type: 'spki' });
  return { name, id, key, kind: encoded[0] };
}

// A checkpoint, signed (or cosigned) by this key. Signatures of others are passed over, as the specification demands.
export function readCheckpoint(source, key, origin = key.name) {
  demand(!/[\u0000-\u0009\u000b-\u001f]/.test(source), 'the checkpoint has control characters');
  const end = source.lastIndexOf('\n\n');
  demand(end >= 0 && source.endsWith('\n'), 'the checkpoint is no signed note');
  const body = source.slice(0, end + 1);
  const signatures = source.slice(end + 2, -1).split('\n').map((line) => {
    const [, name, rest] = /^— ([^ ]+) ([^ ]+)$/u.exec(line) ?? [];
    demand(name !== undefined && NAME.test(name), 'the checkpoint has a line that is no signature');
    const bytes = base64(rest, 'a signature');
    demand(bytes.length > 4, 'a signature is too short');
    return { name, id: bytes.subarray(0, 4).toString('hex'), bytes: bytes.subarray(4) };
  });
  const ours = signatures.filter(({ name, id }) => name === key.name && id === key.id);
  demand(ours.length > 0, 'the checkpoint is not signed by this key');
  let time;
  for (const { bytes } of ours) {
    let signed = body;
    if (key.kind === COSIGNS) {
      demand(bytes.length === 72, 'the cosignature does not verify');
      time = bytes.readBigUInt64BE();
      signed = `cosignature/v1\ntime ${time}\n${body}`;
    }
    const signature = key.kind === COSIGNS ? bytes.subarray(8) : bytes;
    demand(verify(null, Buffer.from(signed), key.key, signature), 'the signature does not verify');
  }
  const lines = body.slice(0, -1).split('\n');
  demand(lines.length === 3 && lines[0] === origin, 'the checkpoint is not of this log, or has more in it');
  demand(DECIMAL.test(lines[1]), 'the checkpoint covers no number of entries');
  return { origin: lines[0], size: BigInt(lines[1]), root: base64(lines[2], 'the root', 32), time };
}

// A C2SP tlog-proof whose extra data is the leaf.
export function readProof(bytes, key) {
  const source = text(bytes, 'the proof');
  const end = source.indexOf('\n\n');
  demand(end >= 0, 'the proof has no checkpoint');
  const [form, extra, place, ...hashes] = source.slice(0, end).split('\n');
  demand(form === 'c2sp.org/tlog-proof@v1', 'this is no tlog-proof');
  demand(extra?.startsWith('extra ') && place?.startsWith('index '), 'the proof has no leaf, or no index');
  demand(DECIMAL.test(place.slice(6)), 'the proof has no index');
  const leaf = base64(extra.slice(6), 'the leaf');
  const index = BigInt(place.slice(6));
  const checkpoint = readCheckpoint(source.slice(end + 2), key);
  const steps = hashes.map((hash) => base64(hash, 'a hash', 32));
  demand(rootFrom(leaf, index, checkpoint.size, steps).equals(checkpoint.root), 'the proof does not lead to the root');
  return { leaf, index, checkpoint };
}

// The request `add-checkpoint` of a C2SP tlog-witness, that goes on from a former checkpoint.
export function readRequest(bytes, key, former) {
  const source = text(bytes, 'the request');
  const end = source.indexOf('\n\n');
  demand(end >= 0, 'the request has no checkpoint');
  const [old, ...hashes] = source.slice(0, end).split('\n');
  demand(old === `old ${former.size}`, 'the request goes on from another size');
  const checkpoint = readCheckpoint(source.slice(end + 2), key);
  goesOn(former, checkpoint, hashes.map((hash) => base64(hash, 'a hash', 32)));
  return checkpoint;
}
