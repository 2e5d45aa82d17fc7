// The viewers that are web pages, in a headless Chromium: catapult's about:tracing, which is what chrome://tracing
// shows, and for pictures also Perfetto's own page.
//
// Both pages are given the file as a person gives it: through their own file chooser. They are served to the browser
// from the disk, and it can reach nothing else.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { VIEWERS } from './viewers.mjs';

const PAGES = path.join(VIEWERS, 'perfetto-ui');
const ORIGIN = 'http://localhost'; // nobody listens there: every request is answered in `open`
const LIMIT = 120_000; // ms, for each thing that is waited for

/** A browser with a fresh page for each trace. */
export class Browser {
  static async start() {
    const { chromium } = createRequire(path.join(VIEWERS, 'package.json'))('playwright-core');
    const self = new Browser();
    const executablePath = process.env.CHROMIUM || onPath('chromium');
    self.chromium = await chromium.launch({ executablePath, timeout: LIMIT });
    return self;
  }

  close() {
    return this.chromium.close();
  }

  /** Opens one of the pages under `PAGES`, lets `use` have it, and closes it. */
  async open(name, use) {
    const viewport = { width: 1600, height: 1000 };
    const context = await this.chromium.newContext({ viewport, serviceWorkers: 'block' });
    context.setDefaultTimeout(LIMIT);
    await context.route('**', route => {
      const url = new URL(route.request().url());
      const file = path.join(PAGES, decodeURIComponent(url.pathname));
      if (url.origin === ORIGIN && fs.existsSync(file)) return route.fulfill({ path: file });
      return route.abort();
    });
    try {
      const page = await context.newPage();
      await page.goto(`${ORIGIN}/${name}`);
      return await use(page);
    } finally {
      await context.close();
    }
  }
}

function onPath(program) {
  const places = process.env.PATH.split(':').map(folder => path.join(folder, program));
  return places.find(place => fs.existsSync(place)) ?? program;
}

/** The folder of Perfetto's page: it bears the version. */
function version() {
  return fs.readdirSync(PAGES).find(name => /^v\d/.test(name));
}

/** Loads `file` into about:tracing and reads its model back. */
export function aboutTracing(browser, file, shot) {
  return browser.open(`${version()}/assets/catapult_trace_viewer.html`, async page => {
    const errors = [];
    page.on('pageerror', e => errors.push(`error in the page: ${e.message}`));
    await page.waitForFunction(() => window.profilingView?.loadButton_);
    await page.evaluate(() => {
      // A failed import ends in one of two dialogues; note what they say.
      window.failure = null;
      tr.ui.b.Overlay.showError = (what, e) => (window.failure = `${what} ${e?.message ?? e ?? ''}`);
      tr.showPanic = (title, details) => (window.failure = `${title} ${details}`);
      window.before = profilingView.timelineView_.model;
    });
    const chooser = page.waitForEvent('filechooser');
    await page.evaluate(() => profilingView.loadButton_.click());
    await (await chooser).setFiles(file);
    await page.waitForFunction(() => failure ?? profilingView.timelineView_.model !== before);
    const failure = await page.evaluate(() => window.failure);
    if (failure) return { errors: [`did not load: ${failure.replace(/\s+/g, ' ').slice(0, 300)}`] };
    const shown = await page.evaluate(readModel);
    if (shot) {
      await page.evaluate(() => {
        const style = document.createElement('style'); // hides a hint about this browser
        style.textContent = 'tr-ui-b-info-bar { display: none !important }';
        document.head.appendChild(style);
        // As if every box were ticked in the menu "Flow events".
        const view = profilingView.timelineView_;
        for (const flow of view.model.flowEvents)
          for (const category of tr.b.getCategoryParts(flow.category)) view.selectedFlowEvents.add(category);
        view.trackView_.viewport.selectedFlowEvents = view.selectedFlowEvents;
      });
      await page.waitForTimeout(2_000); // until it is drawn; nothing says when
      await page.screenshot({ path: `${shot}-tracing.png` });
    }
    return { ...shown, errors: [...errors, ...shown.errors] };
  });
}

/** Runs in the page: what about:tracing has made of the trace. */
function readModel() {
  const model = profilingView.timelineView_.model;
  // Only flows that are bound to a slice at both ends are drawn.
  const flows = model.flowEvents.filter(flow => flow.startSlice && flow.endSlice).length;
  const counts = { slices: 0, instants: 0, flows, series: 0, samples: 0, tracks: 0, depth: 0, nested: 0, busy: 0 };
  const nest = (slices, depth) => {
    for (const slice of slices) {
      if (slice.duration > 0) {
        counts.depth = Math.max(counts.depth, depth);
        counts.nested += depth;
      }
      nest(slice.subSlices, depth + 1);
    }
  };
  for (const process of model.getAllProcesses()) {
    for (const thread of Object.values(process.threads)) {
      const { slices, topLevelSlices } = thread.sliceGroup;
      if (slices.length) counts.tracks++;
      for (const slice of slices) {
        // An instant of a thread is a slice of length 0 here; ours has no such slices.
        if (slice.duration > 0) counts.slices++;
        else counts.instants++;
        counts.busy += Math.round(slice.duration * 1e6);
      }
      nest(topLevelSlices, 1);
    }
    counts.instants += process.instantEvents.length;
    for (const counter of Object.values(process.counters)) {
      counts.series += counter.series.length;
      for (const series of counter.series) counts.samples += series.samples.length;
    }
  }
  counts.instants += model.instantEvents.length;
  // It warns once for each event: the first of a kind, and how many there are.
  const kinds = new Map();
  for (const { type, message } of model.importWarnings) {
    const kind = kinds.get(type) ?? { n: 0, message };
    kind.n++;
    kinds.set(type, kind);
  }
  const warnings = [...kinds].map(([type, { n, message }]) => `${type}: ${n}x, first ${message}`);
  return { counts, errors: [], warnings };
}

/** Takes a picture of `file` in Perfetto's page, with an arrow selected. */
export function perfettoPicture(browser, file, shot) {
  return browser.open('index.html', async page => {
    await page.waitForFunction(() => window.app && document.querySelector('main'));
    await page.locator('input[type=file]').first().setInputFiles(file);
    await page.waitForFunction(() => app.trace && !app.isLoadingTrace);
    // The page puts the process with most slices first, whatever its sort index: open, the tasks would hide the rest.
    await page.evaluate(() => {
      for (const track of app.trace.workspace.flatTracks) if (!track.name.startsWith('G:')) track.expand();
    });
    await page.waitForTimeout(1_000); // until it is laid out anew; nothing says when
    await page.evaluate(async () => {
      const flows = 'select slice_in id from flow order by slice_in limit 1 offset (select count() / 2 from flow)';
      const row = (await app.trace.engine.query(flows)).maybeFirstRow({ id: 0 });
      if (row) app.trace.selection.selectSqlEvent('slice', row.id, { scrollToSelection: true });
    });
    await page.addStyleTag({ content: '[class*=cookie-consent] { display: none !important }' });
    await page.waitForTimeout(3_000); // until it is drawn; nothing says when
    await page.screenshot({ path: `${shot}-perfetto.png` });
  });
}
