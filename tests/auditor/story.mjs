// The story of an entry: docs/auditor/bundle.md, "Format".
import { Numeral, demand, pythons } from './documents.mjs';

const SPACES = /[\u0000-\u0020\u007f-\u009f\u2028-\u202e\u2066-\u2069]+/g;

const plain = (text) => text.replace(SPACES, ' ').replace(/^ | $/g, '');

// Null where nothing is to be told.
export function told(value) {
  if (value === null) return null;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (value instanceof Numeral) return pythons(value.spelling);
  if (typeof value === 'string') return plain(value) || null;
  if (Array.isArray(value)) return value.map(told).filter((one) => one !== null).join(' | ') || null;
  if (value.size === 2 && value.has('old') && value.has('new')) {
    return `${told(value.get('old')) ?? 'nothing'} → ${told(value.get('new')) ?? 'nothing'}`;
  }
  return [...fields(value)].join(', ') || null;
}

function* fields(object) {
  for (const [name, value] of object) {
    const words = told(value);
    if (words !== null) yield `${plain(name.replaceAll('_', ' '))}: ${words}`;
  }
}

const [FIRST, BEHIND] = ['0001-01-01', '+010000-01-01'].map((day) => BigInt(Date.parse(day)) * 1000n);

// Microseconds since 1970, as the second that they fall into.
export function moment(microseconds) {
  demand(microseconds >= FIRST && microseconds < BEHIND, 'a time is none of the years 1 to 9999');
  const beyond = ((microseconds % 1000000n) + 1000000n) % 1000000n;
  return new Date(Number((microseconds - beyond) / 1000n)).toISOString().replace('T', ' ').replace('.000Z', ' UTC');
}

export function story(entry, meaning, state, personal, withheld) {
  const behalf = entry.on_behalf_of === null ? '' : ` for ${plain(entry.on_behalf_of)}`;
  const lines = [
    `${entry.originator_version}. ${moment(entry.occurred_at)}, ${plain(entry.topic)}: ${plain(meaning)}`,
    `by ${plain(entry.actor)}${behalf}, recorded ${moment(entry.recorded_at)} as entry ${entry.position}`,
    ...fields(state),
    ...fields(new Map([...personal].map(([name, value]) => [name === '$reason' ? 'reason' : name, value]))),
    ...(withheld === null ? [] : [`its personal part is ${withheld}`]),
  ];
  return lines.join('\n   ');
}
