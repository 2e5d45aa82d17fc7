// Loads traces into real viewers and compares what they show with what the files hold.
//
//   node check.mjs FILE… [--shot=PREFIX]      FILE: Chrome JSON, plain or gz
//
//             ┌─▶ emitted.mjs: the file itself ── counts ─┐
//   trace ────┼─▶ trace_processor.mjs: Perfetto ─ counts ─┼─▶ equal? ──▶ one line for each
//             └─▶ browser.mjs: about:tracing ──── counts ─┘
//
// Exit code: 0 all is shown, 1 warnings, 2 something is lost or wrong, 3 a viewer could not be run.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Browser, aboutTracing, perfettoPicture } from './browser.mjs';
import { count, read } from './emitted.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const LIMIT = 120_000; // ms for one file in one viewer

/** The viewers by name. Each takes a browser, a file and a picture's prefix; gives { counts, errors, warnings }. */
const VIEWERS = {
  perfetto: (_, file) =>
    new Promise((resolve, reject) => {
      const program = [path.join(HERE, 'trace_processor.mjs'), file];
      execFile(process.execPath, program, { timeout: LIMIT, maxBuffer: 1 << 26 }, (failure, stdout, stderr) => {
        if (!failure) resolve(JSON.parse(stdout));
        else if (failure.killed) reject(new Error(`the trace processor took longer than ${LIMIT / 1000} s`));
        else reject(new Error(`the trace processor failed: ${stderr.trim().split('\n').at(-1)}`));
      });
    }),
  tracing: aboutTracing,
};

/** What the file and each viewer say of `file`: [{ who, counts, errors, warnings, unable }]. */
export async function check(browser, file, shot) {
  const rows = [];
  const row = (who, { counts, errors = [], warnings = [], unable }) => {
    rows.push({ who, counts, errors, warnings, unable });
  };
  let emitted;
  try {
    emitted = count(read(file));
    row('emitted', emitted);
  } catch (e) {
    row('emitted', { errors: [`cannot be read: ${e.message}`] });
  }
  for (const [who, load] of Object.entries(VIEWERS)) {
    try {
      const shown = await load(browser, path.resolve(file), shot);
      const { errors = [], warnings = [] } = shown;
      const different = differences(who, emitted, shown);
      row(who, {
        counts: shown.counts,
        errors: [...errors, ...different.errors],
        warnings: [...warnings, ...different.warnings],
      });
    } catch (e) {
      row(who, { unable: e.message.split('\n')[0] });
    }
  }
  return rows;
}

/**
 * One sentence for each count that is not the same.
 *
 * about:tracing decides by whole microseconds which slice lies in which, unless the file says `displayTimeUnit: "ns"`,
 * which a file that begins with `[` cannot. There a slice shorter than that may be drawn inside its neighbour: nothing
 * is lost, so that is a warning.
 */
function differences(who, emitted, shown) {
  const errors = [], warnings = [];
  if (emitted && shown.counts) {
    for (const [what, n] of Object.entries(emitted.counts)) {
      if (shown.counts[what] === n) continue;
      const sentence = `${what}: ${n} emitted, ${shown.counts[what]} shown`;
      const coarse = who === 'tracing' && ['depth', 'nested'].includes(what) && emitted.displayTimeUnit !== 'ns';
      if (coarse) warnings.push(`${sentence}; without displayTimeUnit "ns" it nests by whole microseconds`);
      else errors.push(sentence);
    }
  }
  return { errors, warnings };
}

/** 0 good, 1 warnings, 2 errors, 3 not run: the worst of the rows. */
export function verdict(rows) {
  return Math.max(...rows.map(row => (row.unable ? 3 : row.errors.length ? 2 : row.warnings.length ? 1 : 0)));
}

const COLUMNS = ['slices', 'instants', 'flows', 'series', 'samples', 'tracks', 'depth'];

/** The rows of one file as lines of a table, each followed by what is wrong. */
export function table(file, rows) {
  const lines = [];
  for (const row of rows) {
    const cells = COLUMNS.map(what => String(row.counts?.[what] ?? '-').padStart(9)).join('');
    const end = ['ok', 'warnings', 'ERRORS', 'NOT RUN'][verdict([row])];
    lines.push(`${path.basename(file).padEnd(32)} ${row.who.padEnd(9)}${cells}  ${end}`);
    lines.push(...row.errors.map(e => `    error: ${e}`), ...row.warnings.map(w => `    warning: ${w}`));
    if (row.unable) lines.push(`    not run: ${row.unable}`);
  }
  return lines.join('\n');
}

export const HEADING = `${'file'.padEnd(32)} ${'viewer'.padEnd(9)}${COLUMNS.map(name => name.padStart(9)).join('')}`;

async function main(words) {
  const files = words.filter(word => !word.startsWith('--'));
  const shot = words.find(word => word.startsWith('--shot='))?.slice('--shot='.length);
  if (!files.length || words.some(word => word.startsWith('--') && !word.startsWith('--shot='))) {
    console.error('usage: node check.mjs FILE… [--shot=PREFIX]');
    return 3;
  }
  const browser = await Browser.start();
  try {
    console.log(HEADING);
    let worst = 0;
    for (const file of files) {
      // One file's pictures are PREFIX-*.png, those of several bear the file's name as well.
      const name = shot && (files.length > 1 ? `${shot}-${path.basename(file).replace(/\.json(\.gz)?$/, '')}` : shot);
      const rows = await check(browser, file, name);
      console.log(table(file, rows));
      worst = Math.max(worst, verdict(rows));
      if (name) {
        const failed = e => console.error(`no picture from Perfetto's page: ${e.message}`);
        await perfettoPicture(browser, path.resolve(file), name).catch(failed);
      }
    }
    return worst;
  } finally {
    await browser.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2)).catch(e => {
    console.error(`cannot run: ${e.message}`);
    return 3;
  });
}
