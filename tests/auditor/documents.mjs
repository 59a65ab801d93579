// JSON as RFC 8259 has it, keeping what JSON.parse loses: the order of names, names that stand twice, how numbers are spelled.
// Objects become Maps, numbers Numerals; everything else what JSON.parse makes of it.

export class Refused extends Error {
  constructor(why, told) {
    super(why);
    this.told = told;
  }
}

export function demand(holds, why, told) {
  if (!holds) throw new Refused(why, told);
}

export class Numeral {
  constructor(spelling) {
    this.spelling = spelling;
  }
}

export function text(bytes, what) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refused(`${what} is not UTF-8`);
  }
}

const TOKEN =
  /[\u0020\t\n\r]*(?:([{}[\]:,])|(true|false|null)|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|$)/y;

export function parsed(source, what) {
  TOKEN.lastIndex = 0;
  let token;
  const next = () => {
    token = TOKEN.exec(source);
    demand(token, `${what} is not JSON`);
  };
  const at = (sign) => token[1] === sign;
  const take = (sign) => {
    demand(at(sign), `${what} is not JSON`);
    next();
  };
  const value = () => {
    const [, sign, word, string, numeral] = token;
    if (sign === '{') return members();
    if (sign === '[') return elements();
    demand(!sign && (word || string || numeral), `${what} is not JSON`);
    next();
    return numeral ? new Numeral(numeral) : string ? spoken(string) : JSON.parse(word);
  };
  // A text; half of a surrogate pair is none, for it has no UTF-8.
  const spoken = (string) => {
    const found = JSON.parse(string);
    demand(found.isWellFormed(), `${what} is not JSON`);
    return found;
  };
  const members = () => {
    const found = new Map();
    take('{');
    while (!at('}')) {
      if (found.size) take(',');
      demand(token[3], `${what} is not JSON`);
      const name = spoken(token[3]);
      demand(!found.has(name), `${what} has the name ${JSON.stringify(name)} twice`);
      next();
      take(':');
      found.set(name, value());
    }
    next();
    return found;
  };
  const elements = () => {
    const found = [];
    take('[');
    while (!at(']')) {
      if (found.length) take(',');
      found.push(value());
    }
    next();
    return found;
  };
  next();
  const whole = value();
  demand(TOKEN.lastIndex === source.length && token[0].trim() === '', `${what} is not JSON`);
  return whole;
}

// As Python's json.dumps(…, ensure_ascii=False, indent=1) writes it.
export function written(value, indent = '\n') {
  const inner = `${indent} `;
  const between = (open, parts, close) => (parts.length ? `${open}${inner}${parts.join(`,${inner}`)}${indent}${close}` : open + close);
  if (value instanceof Map) {
    return between('{', [...value].map(([name, one]) => `${quoted(name)}: ${written(one, inner)}`), '}');
  }
  if (Array.isArray(value)) return between('[', value.map((one) => written(one, inner)), ']');
  if (value instanceof Numeral) return pythons(value.spelling);
  return typeof value === 'string' ? quoted(value) : String(value);
}

const quoted = (string) => JSON.stringify(string);

// A number as Python spells it.
export function pythons(spelling) {
  if (/^-?[0-9]+$/.test(spelling)) return String(BigInt(spelling));
  const [mantissa, exponent] = Number(spelling).toExponential().split('e').map(String);
  const sign = mantissa.startsWith('-') ? '-' : '';
  const digits = mantissa.replace(/[-.]/g, '');
  const power = Number(exponent);
  if (!Number.isFinite(power)) return `${sign}Infinity`;
  if (power < -4 || power >= 16) {
    const places = String(Math.abs(power)).padStart(2, '0');
    return `${mantissa}e${power < 0 ? '-' : '+'}${places}`;
  }
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${digits}`;
  const whole = digits.padEnd(power + 1, '0');
  return `${sign}${whole.slice(0, power + 1)}.${whole.slice(power + 1) || '0'}`;
}

export function base64(spelling, what, length) {
  demand(typeof spelling === 'string', `${what} is not base64`);
  const bytes = Buffer.from(spelling, 'base64');
  demand(bytes.toString('base64') === spelling, `${what} is not base64 in its one spelling`);
  demand(length === undefined || bytes.length === length, `${what} has ${bytes.length} bytes`);
  return bytes;
}
