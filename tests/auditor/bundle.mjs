// A customer's history as one file: docs/auditor/bundle.md, "Format".
import { createHash } from 'node:crypto';

import { Numeral, Refused, base64, demand, parsed, text, written } from './documents.mjs';
import { opened, readLeaf } from './entries.mjs';
import { readCheckpoint, rootFrom } from './log.mjs';
import { story } from './story.mjs';

const MEMBERS = 'format warning made_at customer through checkpoint story entries catalogue sha256';
const UNTOLD = "not told, for the Daybook that made this file can't read it";
const BASE32 = '0123456789abcdefghjkmnpqrstvwxyz';

export function readBundle(bytes, key) {
  const source = text(bytes, 'the file');
  const bundle = parsed(source, 'the file');
  demand(bundle instanceof Map && [...bundle.keys()].join(' ') === MEMBERS, 'the file has other members');
  demand(source === `${written(bundle)}\n`, 'the file is not written as the format demands');
  const at = (name) => bundle.get(name);
  demand(at('format') === 'daybook bundle 1', 'this is no bundle');
  demand(typeof at('warning') === 'string', 'the warning is no text');
  demand(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(at('made_at')), 'made_at is no time');
  const customer = uuid(at('customer'));
  demand(typeof at('checkpoint') === 'string', 'the checkpoint is no text');
  demand(Array.isArray(at('entries')) && at('entries').length > 0, 'the file has no entries');
  demand(at('catalogue') instanceof Map, 'the catalogue is none');
  const rest = new Map([...bundle].filter(([name]) => name !== 'sha256'));
  const digest = createHash('sha256').update(`${written(rest)}\n`).digest('hex');
  demand(at('sha256') === digest, 'the file was damaged: its digest is another');

  const checkpoint = readCheckpoint(at('checkpoint'), key);
  const events = new Map([...at('catalogue')].map(([name, event]) => [name, readEvent(event)]));
  const entries = at('entries').map((entry) => readEntry(entry, checkpoint, customer, events));
  entries.forEach((entry, place) => {
    demand(entry.originator_version === BigInt(place + 1), 'an entry is missing, or too many');
    const before = entries[place - 1];
    demand(!before || before.position < entry.position, 'positions do not grow');
    demand(!before || before.recorded_at <= entry.recorded_at, 'recorded_at decreases');
  });
  const told = entries.map((entry) => entry.story);
  demand(written(at('story')) === written(told), 'the story says something else', told);
  demand(at('through') instanceof Numeral && /^[0-9]+$/.test(at('through').spelling), 'through is no number');
  const through = BigInt(at('through').spelling);
  demand(entries.at(-1).position <= through && through <= checkpoint.size, 'through is not from the last entry to the size');
  const shown = (how) => entries.filter((entry) => entry.shown === how).length;
  return {
    customer: at('customer'),
    entries: entries.length,
    opened: shown('opened'),
    sealed: shown('sealed'),
    erased: shown('erased'),
    untold: entries.filter((entry) => entry.untold).map((entry) => `entry ${entry.position}`),
    through: Number(through),
    checkpoint: { origin: checkpoint.origin, size: Number(checkpoint.size) },
    story: told,
  };
}

// What the catalogue says of an event: its meaning, and which of its fields are open and which sealed.
function readEvent(event) {
  demand(event instanceof Map && typeof event.get('meaning') === 'string', 'the catalogue does not say what an event means');
  const [schema, sealed] = [event.get('schema'), event.get('personal')];
  const name = schema instanceof Map && /^#\/\$defs\/(.*)$/su.exec(schema.get('$ref'))?.[1];
  const fields = name && schema.get('$defs')?.get?.(name)?.get?.('properties');
  demand(fields instanceof Map && Array.isArray(sealed) && sealed.every((one) => typeof one === 'string'), 'the catalogue does not say which fields an event has');
  return { meaning: event.get('meaning'), open: [...fields.keys()].filter((field) => !sealed.includes(field)), sealed };
}

// A TypeID: 26 digits of base32 are 130 bits, of which the first two are 0.
function uuid(id) {
  demand(/^cus_[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(id), 'this is no id of a customer');
  const number = [...id.slice(4)].reduce((sum, digit) => sum * 32n + BigInt(BASE32.indexOf(digit)), 0n);
  return Buffer.from(number.toString(16).padStart(32, '0'), 'hex');
}

function readEntry(given, checkpoint, customer, events) {
  demand(given instanceof Map && [...given.keys()].join(' ') === 'leaf proof personal', 'an entry has other members');
  const leaf = base64(given.get('leaf'), 'a leaf');
  const entry = readLeaf(leaf);
  demand(Array.isArray(given.get('proof')), 'a proof is none');
  const proof = given.get('proof').map((hash) => base64(hash, 'a hash', 32));
  const root = rootFrom(leaf, entry.position - 1n, checkpoint.size, proof);
  demand(root.equals(checkpoint.root), 'a proof does not lead to the root');
  demand(entry.originator_id.equals(customer), 'an entry is of another record');

  const event = events.get(entry.topic);
  const state = event && objectOf(entry.state, event.open);
  entry.untold = !state;
  const personal = openedPart(entry, given.get('personal'), customer);
  entry.shown = personal === null ? given.get('personal') : 'opened';
  demand(personal === null || !entry.untold, 'an entry that is not told is opened');
  const said = personal ? objectOf(personal, ...personalNames(event)) : new Map();
  demand(said, 'a personal part is not of its event');
  entry.story = story(entry, entry.untold ? UNTOLD : event.meaning, state ?? new Map(), said, personal ? null : entry.shown);
  return entry;
}

// All fields that are sealed, or none of them; with a reason, or without.
const personalNames = ({ sealed }) => [sealed, [...sealed, '$reason'], ['$reason'], []];

// The object that these bytes are, where its names are one of these sets.
function objectOf(bytes, ...allowed) {
  try {
    const found = parsed(text(bytes, 'a part of an entry'), 'a part of an entry');
    const fits = (names) => new Set(names).size === found.size && names.every((name) => found.has(name));
    return found instanceof Map && allowed.some(fits) ? found : undefined;
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

// What the personal part says, in bytes; null where it is not opened.
function openedPart(entry, personal, customer) {
  demand((personal === null) === (entry.sealed === null), 'a personal part is missing, or there is none');
  if (!(personal instanceof Map)) {
    demand(personal === null || personal === 'sealed' || personal === 'erased', 'a personal part is none');
    return null;
  }
  demand([...personal.keys()].join(' ') === 'event_key commitment_key', 'the keys of an entry have other names');
  demand(entry.subject.equals(customer), 'a personal part is under the key of somebody else');
  const [eventKey, commitmentKey] = [...personal].map(([name, key]) => base64(key, name, 32));
  return opened(entry, eventKey, commitmentKey);
}
