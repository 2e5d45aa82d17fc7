// Whether the check can fail: a good trace passes, and each of the bad ones is reported, by whom it should be.
//
//   node selftest.mjs        exit code: 0 so it is, 2 a bad trace went through, 3 a viewer could not be run
//
// A viewer that says nothing any more, or a rule that is not applied any more, shows here.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { Browser } from './browser.mjs';
import { check, table } from './check.mjs';

/** A small trace of the layout: two Ps, a steal, a wake, a hand-off, a task that waits. Times in µs. */
function good() {
  const cat = (name, cats) => ({ name, cat: cats });
  const events = [];
  const track = (pid, process, tid, thread) => {
    const name = (what, value) => events.push({ ph: 'M', ...cat(what, '__metadata'), pid, tid, args: value });
    name('process_name', { name: process });
    name('process_sort_index', { sort_index: pid });
    if (!thread) return;
    name('thread_name', { name: thread });
    name('thread_sort_index', { sort_index: tid });
  };
  const slice = (pid, tid, cats, name, ts, dur, more) => {
    events.push({ ph: 'X', ...cat(name, cats), pid, tid, ts, dur, ...more });
  };
  const flow = (name, id, [pid, tid, ts], [pid2, tid2, ts2]) => {
    events.push({ ph: 's', ...cat(name, name), id, pid, tid, ts });
    events.push({ ph: 'f', bp: 'e', ...cat(name, name), id, pid: pid2, tid: tid2, ts: ts2 });
  };
  track(1, 'Scheduler stats', 0);
  for (const p of [0, 1]) track(2, 'P: processors', 100 + p, `P${p}`);
  for (const m of [1, 2]) track(3, 'M: threads', 1000 + m, `M${m}`);
  track(4, 'G: tasks', 10007, 'G7 main');

  slice(2, 100, 'run', 'main G7', 0, 10.5, { args: { g: 7, m: 1, end: 'block', seq: 1 } });
  slice(2, 101, 'steal', 'steal', 4, 1.25, { args: { victim: 'P0', n: 1, tries: 1 } });
  slice(2, 101, 'run', 'fan.rs:42 G8', 5.25, 3, { args: { g: 8, m: 2, end: 'exit', seq: 1 } });
  slice(2, 101, 'run', 'main G7', 12.001, 2, { args: { g: 7, m: 1, end: 'exit', seq: 2 } });
  events.push({ ph: 'i', s: 't', ...cat('stolen', 'steal'), pid: 2, tid: 100, ts: 5.25, args: { thief: 'P1', n: 1 } });
  slice(3, 1001, 'm', 'P0', 0, 12, {});
  slice(3, 1001, 'm', 'blocked (declared)', 2, 4, {}); // nested
  slice(3, 1002, 'm', 'P1', 12.5, 3, {});
  slice(4, 10007, 'g', 'running', 0, 10.5, { cname: 'thread_state_running' });
  slice(4, 10007, 'g', 'waiting: chan receive', 10.5, 1.501, { cname: 'thread_state_sleeping' });
  flow('steal', 1, [2, 101, 5.249], [2, 101, 5.25]);
  flow('wake', 2, [2, 101, 6], [2, 101, 12.001]);
  flow('hand-off', 3, [3, 1001, 11.999], [3, 1002, 12.5]);
  for (const ts of [0, 5]) {
    events.push({ ph: 'C', ...cat('Tasks', 'stats'), pid: 1, tid: 0, ts, args: { running: 1, waiting: 2 } });
  }
  return events;
}

const saved = events => `{"displayTimeUnit":"ns","otherData":{},"traceEvents":[\n${lines(events)}\n]}`;
const streamed = events => `[\n${lines(events)}`; // as a killed process leaves it
const lines = events => events.map(e => JSON.stringify(e)).join(',\n');

/** `good` with one event changed: the first that fits. */
function but(fits, change) {
  const events = good();
  Object.assign(events.find(fits), change);
  return saved(events);
}

/** `events` and a slice of 20 ns, right after another one. */
function brief(events) {
  return [...events, { ph: 'X', name: 'P0', cat: 'm', pid: 3, tid: 1001, ts: 12, dur: 0.02 }];
}

const named = name => e => e.name === name;
const blocked = named('blocked (declared)');

/** Name of the case, the file's bytes, and who must report it; nobody for good ones. */
const CASES = [
  ['good, saved', saved(good()), []],
  ['good, compressed', zlib.gzipSync(saved(good())), []],
  ['good, streamed', streamed(good()) + ',\n', []],
  ['streamed, very short', streamed(brief(good())), ['tracing']], // see `differences`
  ['saved, very short', saved(brief(good())), []],
  ['partial overlap', but(blocked, { dur: 20 }), ['emitted', 'perfetto', 'tracing']],
  ['zero length', but(blocked, { dur: 0 }), ['emitted', 'perfetto', 'tracing']],
  ['negative time', but(blocked, { ts: -3 }), ['emitted', 'perfetto', 'tracing']],
  ['flow without end', saved(good().filter(e => e.ph !== 'f' || e.id !== 2)), ['emitted', 'perfetto', 'tracing']],
  ['flow outside slices', but(e => e.ph === 's' && e.id === 2, { ts: 11 }), ['tracing']],
  ['duplicate flow id', but(named('wake'), { id: 1, name: 'steal', cat: 'steal' }), ['emitted', 'perfetto', 'tracing']],
  ['unknown colour', but(blocked, { cname: 'mauve' }), ['tracing']],
  ['counter of text', but(named('Tasks'), { args: { running: 'one', waiting: 2 } }), ['emitted', 'perfetto']],
  ['nameless track', saved(good().filter(e => e.args?.name !== 'P1')), ['emitted']],
  ['no category', but(blocked, { cat: undefined }), ['emitted']],
  ['tid 0', but(blocked, { tid: 0 }), ['emitted']],
  ['control character', saved(good()).replace('blocked', 'block\u0001ed'), ['emitted', 'tracing']],
  ['cut inside an event', streamed(good()).slice(0, -30), ['emitted', 'tracing']],
  ['no slice', saved(good().filter(e => 'MC'.includes(e.ph))), ['emitted']],
];

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gmprt-viewer-'));
  const browser = await Browser.start();
  let worst = 0;
  try {
    for (const [name, bytes, expected] of CASES) {
      // about:tracing goes by the name's end.
      const end = typeof bytes === 'string' ? 'json' : 'json.gz';
      const file = path.join(folder, `${name.replace(/\W+/g, '-')}.${end}`);
      fs.writeFileSync(file, bytes);
      const rows = await check(browser, file);
      const reported = rows.filter(row => row.errors.length || row.warnings.length).map(row => row.who);
      const unable = rows.some(row => row.unable);
      const same = String(reported) === String(expected);
      const all = names => names.join(', ') || 'nobody';
      console.log(`${name.padEnd(20)} reported by: ${all(reported)}${same ? '' : `; EXPECTED: ${all(expected)}`}`);
      if (!same || unable || process.argv.includes('--verbose')) console.log(table(file, rows));
      worst = Math.max(worst, unable ? 3 : same ? 0 : 2);
    }
  } finally {
    await browser.close();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return worst;
}

process.exitCode = await main().catch(e => {
  console.error(`cannot run: ${e.message}`);
  return 3;
});
