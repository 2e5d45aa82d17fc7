// Loads one trace into Perfetto's trace processor and prints what it holds, as JSON: node trace_processor.mjs FILE
//
// The processor is the WebAssembly program behind Perfetto's page. It comes with two scripts made for a browser:
//
//   engine.mjs, which asks   ◀── messages ──▶   engine_bundle.node.js, which runs trace_processor.wasm
//
// This file stands in for the browser between them. It is a program of its own, so that a processor that aborts takes
// nobody with it.
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { pathToFileURL } from 'node:url';
import { VIEWERS } from './viewers.mjs';

// The processor's depth starts at 0. An instant is a slice of length 0 to it; ours are never that short.
const COUNTS = {
  slices: 'select count() from slice join thread_track t on t.id = track_id where dur > 0',
  instants: 'select count() from slice join thread_track t on t.id = track_id where dur = 0',
  flows: 'select count() from flow',
  series: 'select count() from counter_track',
  samples: 'select count() from counter',
  tracks: 'select count(distinct track_id) from slice join thread_track t on t.id = track_id',
  depth: 'select ifnull(max(depth) + 1, 0) from slice where dur > 0',
  nested: 'select ifnull(sum(depth + 1), 0) from slice where dur > 0',
  busy: 'select ifnull(sum(dur), 0) from slice join thread_track t on t.id = track_id where dur > 0',
};
const COMPLAINTS = "select name || ' = ' || value from stats where value > 0 and severity in ('error', 'data_loss')";

/** Starts the processor: its scripts look for a browser's globals, and ask where the wasm is. */
async function start(folder) {
  globalThis.self = globalThis;
  globalThis.WorkerGlobalScope = function () {};
  globalThis.location = { href: pathToFileURL(folder + '/').href };
  globalThis.wasmBinary = fs.readFileSync(path.join(folder, 'trace_processor.wasm'));
  let script = fs.readFileSync(path.join(folder, 'engine_bundle.node.js'), 'utf8');
  const change = (from, to) => {
    if (!script.includes(from)) throw new Error(`the processor's script has changed: no "${from}"`);
    script = script.replace(from, to);
  };
  change('this.useMemory64 = hasMemory64Support();', 'this.useMemory64 = false;');
  change('locateFile: (s) => s,', 'locateFile: (s) => s, wasmBinary: globalThis.wasmBinary,');
  const bridge = 'const wasmBridge = new wasm_bridge_1.WasmBridge();';
  change(bridge, `${bridge} globalThis.bridge = wasmBridge;`);
  vm.runInThisContext(script);

  const { EngineBase } = await import(pathToFileURL(path.join(folder, 'engine.mjs')).href);
  class Engine extends EngineBase {
    mode = 'WASM';
    id = 'check';
    constructor(port) {
      super();
      this.port = port;
      port.onmessage = message => message.data instanceof Uint8Array && this.onRpcResponseBytes(message.data);
    }
    rpcSendRequestBytes(bytes) {
      this.port.postMessage(bytes);
    }
  }
  const { port1, port2 } = new MessageChannel();
  globalThis.bridge.initialize(port1);
  return new Engine(port2);
}

async function column(engine, sql) {
  const result = await engine.query(sql);
  const [name] = result.columns();
  const values = [];
  for (const row = result.iter({}); row.valid(); row.next()) {
    const value = row.get(name);
    values.push(typeof value === 'bigint' ? Number(value) : value);
  }
  return values;
}

/** Prints the answer and ends. What the processor prints goes to stderr: stdout holds the answer alone. */
function answer(shown) {
  fs.writeSync(1, JSON.stringify(shown));
  process.exit(0);
}

const failed = e => answer({ errors: [`did not load: ${String(e?.message ?? e).split('\n')[0].slice(0, 300)}`] });
process.on('uncaughtException', failed);
process.on('unhandledRejection', failed);
console.log = console.info = console.warn = console.error;

const engine = await start(path.join(VIEWERS, 'trace-processor'));
const bytes = new Uint8Array(fs.readFileSync(process.argv[2]));
const PIECE = 1 << 25; // bytes handed over at once, as Perfetto's page does
for (let at = 0; at < bytes.length; at += PIECE) await engine.parse(bytes.subarray(at, at + PIECE));
await engine.notifyEof();
const counts = {};
for (const [what, sql] of Object.entries(COUNTS)) counts[what] = (await column(engine, sql))[0];
answer({ counts, errors: await column(engine, COMPLAINTS) });
