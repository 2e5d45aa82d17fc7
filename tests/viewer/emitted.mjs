// What a trace file itself says: its events, counted, and the rules that can be checked without a viewer.
//
// Some viewers lose events and say nothing, so what they show is compared with these counts. The rules here are those
// that one viewer or the other breaks silently on: a partial overlap, a negative time, a flow with half its ends.
//
// Absent: everything that a viewer says better, such as an unknown colour or whether an arrow's end lies in a slice.
import fs from 'node:fs';
import zlib from 'node:zlib';

// The layout has these phases only: metadata, slices, instants, flow starts and ends, counters.
const PHASES = ['M', 'X', 'i', 's', 'f', 'C'];

const ns = us => Math.round(us * 1000);

/** A trace file, plain or gz: `{"traceEvents":[…], …}`, or `[…` that may have been cut between two events. */
export function read(path) {
  let bytes = fs.readFileSync(path);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = zlib.gunzipSync(bytes);
  let text = bytes.toString('utf8').trim();
  if (text.startsWith('[') && !text.endsWith(']')) text = text.replace(/,$/, '') + ']';
  const document = JSON.parse(text);
  return Array.isArray(document) ? { traceEvents: document } : document;
}

/** Counts what a trace holds, and says what is wrong with it. */
export function count({ traceEvents: events, displayTimeUnit }) {
  const errors = new Tally(), warnings = new Tally();
  const tracks = new Map(); // "pid/tid" -> its slices
  const flows = new Map(); // "cat name id" -> { s, f }: how many starts and ends
  const series = new Set(), named = new Set(), sorted = new Set();
  let slices = 0, instants = 0, samples = 0, busy = 0;

  for (const e of events) {
    if (!PHASES.includes(e.ph)) warnings.add(`phase "${e.ph}" is not of the layout and is not compared`, e);
    if (!e.cat) warnings.add('an event without a category', e);
    if (e.ph === 'M') {
      const what = e.name.startsWith('thread_') ? `${e.pid}/${e.tid}` : `${e.pid}`;
      if (e.name.endsWith('_name')) named.add(what);
      if (e.name.endsWith('_sort_index')) sorted.add(what);
      continue;
    }
    if (!(e.ts >= 0)) errors.add('a time that is negative or missing', e);
    if (e.ph === 'C') {
      // Each key of args is a series of its own, and a sample in it.
      for (const [key, value] of Object.entries(e.args ?? {})) {
        if (typeof value !== 'number') errors.add('a counter that is not a number', e);
        series.add(`${e.pid} ${e.name} ${key}`);
        samples++;
      }
    } else if (e.ph === 's' || e.ph === 'f') {
      const id = `${e.cat} ${e.name} ${e.id}`;
      if (!flows.has(id)) flows.set(id, { s: [], f: [] });
      flows.get(id)[e.ph].push(e);
    } else if (e.ph === 'X' || e.ph === 'i') {
      if (!(e.tid > 0)) errors.add('a track whose tid is not above 0', e);
      const key = `${e.pid}/${e.tid}`;
      if (!tracks.has(key)) tracks.set(key, []);
      if (e.ph === 'i') {
        instants++;
        continue;
      }
      if (!(ns(e.dur) >= 1)) errors.add('a slice shorter than a nanosecond, or without dur', e);
      slices++;
      busy += ns(e.dur);
      tracks.get(key).push({ start: ns(e.ts), end: ns(e.ts) + ns(e.dur), e });
    }
  }

  for (const [id, { s, f }] of flows) {
    if (s.length !== 1 || f.length !== 1) errors.add(`a flow with ${s.length} starts and ${f.length} ends`, { id });
    else if (s[0].ts > f[0].ts) errors.add('a flow that ends before it starts', f[0]);
  }
  for (const key of tracks.keys()) {
    const [pid] = key.split('/');
    if (!named.has(key) || !named.has(pid)) warnings.add('a track or its process has no name', { track: key });
    if (!sorted.has(key) || !sorted.has(pid)) warnings.add('a track or its process has no sort index', { track: key });
  }
  let depth = 0, nested = 0;
  for (const track of tracks.values()) {
    for (const level of levels(track, errors)) {
      depth = Math.max(depth, level);
      nested += level;
    }
  }
  if (slices === 0) errors.add('there is no slice');
  // nested: the slices' levels together; a viewer that draws one inside another that should not be shows more.
  // busy: the slices' lengths together, in ns; a viewer that shortens one shows less.
  const [arrows, lines] = [flows.size, series.size];
  const counts = { slices, instants, flows: arrows, series: lines, samples, tracks: tracks.size, depth, nested, busy };
  return { counts, displayTimeUnit, errors: errors.list(), warnings: warnings.list() };
}

/** The level of each slice of a track: 1 if it lies in no other. */
function levels(track, errors) {
  const open = [];
  return track
    .sort((a, b) => a.start - b.start || b.end - a.end)
    .map(slice => {
      while (open.length && open.at(-1).end <= slice.start) open.pop();
      if (open.length && open.at(-1).end < slice.end) errors.add('two slices of a track overlap in part', slice.e);
      return open.push(slice);
    });
}

/** Messages, each once, with how often it came and the first event that it is about. */
class Tally {
  seen = new Map();
  add(what, event) {
    const entry = this.seen.get(what);
    if (entry) entry.n++;
    else this.seen.set(what, { n: 1, first: event });
  }
  list() {
    return [...this.seen].map(([what, { n, first }]) => {
      const example = first ? `, first ${JSON.stringify(first).slice(0, 160)}` : '';
      return `${what}: ${n}x${example}`;
    });
  }
}
