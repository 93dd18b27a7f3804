// Probes of a run on one time axis: the share of attempts that passed, what failed in red above
// it, latency as a thin line, unknown hatched, the fault's window shaded. Samples come in
// increments, each second, until the run is final.

const BAND = 40;
const BAND_NARROW = 30; // on a phone ten probes are to fit one screen
const NARROW_PX = 480;
const LABEL_PX = 28; // half a time label: nearer to an end it would be cut off
const BAND_ALONE = 84;
const HEAD = 38; // two rows for the marks' words
const GAP = 26;
const FOOT = 30;
const WORD_PX = 62; // a mark's word needs about this; nearer ones go a row up
const OVERLAP_MS = 15000; // late blocks (after a takeover) are merged, not lost
const ALERT = "alert_expected";
const LOOK_MS = 1000; // a look is due every second
const UNKNOWN_AFTER_MS = 2500; // a longer silence between two samples is unknown
const AWAITED_MS = 8000; // a look may take 5 s, and is then written and fetched: not unknown yet

function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  probe.style.display = "none";
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function palette() {
  return {
    pass: colour("--chart-pass"), fail: colour("--chart-fail"), window: colour("--chart-window"),
    ink: colour("--ink"), quiet: colour("--ink-2"), line: colour("--line"),
    surface: colour("--surface"), latency: colour("--work"), rope: colour("--rope"),
    fires: colour("--care"),
  };
}

function hatch(ink) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 8;
  const pen = canvas.getContext("2d");
  pen.strokeStyle = ink;
  pen.globalAlpha = 0.55;
  pen.lineWidth = 1.2;
  for (const shift of [-8, 0, 8]) {
    pen.beginPath();
    pen.moveTo(shift, 8);
    pen.lineTo(shift + 8, 0);
    pen.stroke();
  }
  return { image: canvas, repeat: "repeat" };
}

class RunChart {
  constructor(element) {
    this.element = element;
    this.only = element.dataset.only || "";
    this.samples = new Map();
    this.newest = 0;
    this.meta = null;
    this.drawnPx = 0;
    // Times are in the person's zone, as everywhere on the page; the browser's may differ.
    const zone = element.dataset.zone || undefined;
    const parts = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
    this.clock = new Intl.DateTimeFormat("en-GB", { ...parts, timeZone: zone });
  }

  async poll() {
    const url = new URL(this.element.dataset.samples, location.href);
    if (this.newest) url.searchParams.set("after", String(Math.max(0, this.newest - OVERLAP_MS)));
    let done = false;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      if (answer.ok && !answer.redirected) {
        const payload = await answer.json();
        this.merge(payload);
        this.draw();
        done = payload.final;
      }
    } catch {
      // No contact: the live strip says so, and the next turn asks again.
    }
    if (!done) setTimeout(() => this.poll(), 1000);
  }

  merge(payload) {
    this.meta = payload;
    for (const [key, rows] of Object.entries(payload.samples)) {
      if (!this.samples.has(key)) this.samples.set(key, new Map());
      const known = this.samples.get(key);
      for (const row of rows) {
        known.set(row[0], row);
        this.newest = Math.max(this.newest, row[0]);
      }
    }
  }

  probes() {
    const all = this.meta.probes.filter((probe) => !this.only || probe.key === this.only);
    return this.only && !all.length ? this.meta.probes.slice(0, 1) : all;
  }

  rowsOf(probe) {
    return [...(this.samples.get(probe.key) || new Map()).values()].sort((a, b) => a[0] - b[0]);
  }

  draw() {
    const probes = this.probes();
    const some = probes.some((probe) => this.rowsOf(probe).length);
    if (!probes.length || !some || !window.echarts) return;
    this.bandPx = probes.length === 1 ? BAND_ALONE : this.element.clientWidth < NARROW_PX ? BAND_NARROW : BAND;
    const height = HEAD + probes.length * (this.bandPx + GAP) + FOOT;
    if (!this.chart) this.element.replaceChildren();
    // Each time: a turned phone has other bands, and a probe may be made while the run is watched.
    this.element.style.height = `${height}px`;
    this.element.style.minHeight = "0";
    if (!this.chart) {
      this.chart = window.echarts.init(this.element, null, { renderer: "canvas" });
      new ResizeObserver(() => this.resized()).observe(this.element);
    }
    // Merging keeps a tooltip that somebody reads; only another set of probes starts afresh.
    const shape = probes.map((probe) => probe.key).join(" ");
    this.chart.setOption(this.option(probes), { notMerge: shape !== this.shape });
    this.shape = shape;
  }

  resized() {
    this.chart.resize();
    const width = this.element.clientWidth;
    if (width !== this.drawnPx) this.draw();
    this.drawnPx = width;
  }

  option(probes) {
    const ink = palette();
    const marks = this.meta.marks;
    const all = probes.flatMap((probe) => this.rowsOf(probe).map((row) => row[0]));
    const begin = Math.min(...all, ...marks.map((mark) => mark.at));
    const lastMark = marks.length ? marks[marks.length - 1].at : 0;
    const end = this.meta.final ? Math.max(...all, lastMark) : Math.max(...all, this.meta.now);
    const at = Object.fromEntries(marks.map((mark) => [mark.key, mark.at]));
    const option = {
      animation: false,
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: ink.ink },
      title: [], grid: [], xAxis: [], yAxis: [], series: [],
      axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: ink.quiet } },
      tooltip: {
        trigger: "axis", confine: true, transitionDuration: 0,
        backgroundColor: ink.surface, borderColor: ink.line,
        textStyle: { color: ink.ink, fontSize: 12 },
        formatter: (points) => this.tooltip(points, probes),
      },
    };
    probes.forEach((probe, index) => {
      this.band(option, probe, index, { ink, begin, end, at, marks, last: index === probes.length - 1 });
    });
    return option;
  }

  band(option, probe, index, { ink, begin, end, at, marks, last }) {
    const top = HEAD + index * (this.bandPx + GAP) + 20;
    const rows = this.rowsOf(probe);
    option.title.push({
      text: probe.title, left: 4, top: top - 21,
      textStyle: { fontSize: 12, fontWeight: 500, color: ink.quiet, width: this.element.clientWidth - 16, overflow: "truncate" },
    });
    option.grid.push({ left: 6, right: 10, top, height: this.bandPx, containLabel: false, outerBoundsMode: "none", show: true, borderColor: ink.line, borderWidth: 1 });
    option.xAxis.push({
      type: "time", gridIndex: index, min: begin, max: end,
      axisLine: { show: false }, axisTick: { show: last, lineStyle: { color: ink.line } },
      splitLine: { show: false },
      axisLabel: { show: last, color: ink.quiet, fontSize: 11, hideOverlap: true, formatter: (value) => this.timeLabel(value, begin, end) },
      axisPointer: { label: { show: false } },
    });
    option.yAxis.push(
      { type: "value", gridIndex: index, min: 0, max: 1, show: false },
      { type: "value", gridIndex: index, min: 0, max: Math.max(50, ...rows.map((row) => row[3] || 0)) * 1.15, show: false },
    );
    // An alert neither passes nor fails: it is silent, and then it fires.
    const alert = probe.kind === ALERT;
    const { passed, failed, latency, unknown } = shape(rows, begin, end, this.meta.final);
    const areas = unknown.map(([from, to]) => [{ xAxis: from, itemStyle: { color: hatch(ink.quiet) } }, { xAxis: to }]);
    if (at.bitten) {
      areas.unshift([{ xAxis: at.bitten, itemStyle: { color: ink.window } }, { xAxis: at.undo_asked || (this.meta.final ? at.restored || end : end) }]);
    }
    const rowsUp = rowsOf(marks, begin, end, this.element.clientWidth - 16);
    const lines = marks.map((mark, position) => ({
      xAxis: mark.at,
      label: {
        show: index === 0, formatter: mark.word, position: "end", fontSize: 11, color: ink.ink,
        distance: 24 + 14 * rowsUp[position],
        align: edge(mark.at, begin, end),
      },
    }));
    option.series.push(
      {
        name: "areas", type: "line", data: [], xAxisIndex: index, yAxisIndex: 2 * index, silent: true, z: 0,
        markArea: { silent: true, data: areas }, tooltip: { show: false },
      },
      {
        name: `passed ${probe.key}`, type: "line", step: "end", stack: `share ${probe.key}`, symbol: "none",
        xAxisIndex: index, yAxisIndex: 2 * index, data: passed, connectNulls: false,
        lineStyle: { width: 1.5, color: alert ? ink.fires : ink.pass },
        areaStyle: { color: alert ? ink.fires : ink.pass, opacity: alert ? 0.5 : 0.2 }, z: 2,
      },
      {
        name: `failed ${probe.key}`, type: "line", step: "end", stack: `share ${probe.key}`, symbol: "none",
        xAxisIndex: index, yAxisIndex: 2 * index, data: failed, connectNulls: false,
        lineStyle: { width: 0 }, areaStyle: { color: alert ? ink.quiet : ink.fail, opacity: alert ? 0.08 : 0.9 }, z: 3,
      },
      {
        name: `latency ${probe.key}`, type: "line", symbol: "none", xAxisIndex: index, yAxisIndex: 2 * index + 1,
        data: latency, connectNulls: false, lineStyle: { width: 1, color: ink.latency, opacity: 0.8 }, z: 4,
        markLine: {
          silent: true, symbol: "none", animation: false,
          lineStyle: { color: ink.ink, width: 1, type: "dashed", opacity: 0.6 }, data: lines,
        },
      },
    );
  }

  timeLabel(value, begin, end) {
    const width = this.element.clientWidth - 16;
    const x = ((value - begin) / Math.max(1, end - begin)) * width;
    return x < LABEL_PX || x > width - LABEL_PX ? "" : this.clock.format(value);
  }

  tooltip(points, probes) {
    const time = points.length ? points[0].axisValue : null;
    if (time === null) return "";
    const box = document.createElement("div");
    const head = document.createElement("b");
    head.textContent = this.clock.format(time);
    box.append(head);
    for (const probe of probes) {
      const near = this.rowsOf(probe).filter((row) => row[0] <= time + 600).pop();
      const line = document.createElement("div");
      let what = "unknown";
      if (near && time - near[0] < UNKNOWN_AFTER_MS && near[2]) {
        what = `${near[1]} of ${near[2]} passed`;
        if (probe.kind === ALERT) what = near[1] ? "firing" : "not firing";
        if (near[3] !== null) what += `, ${Math.round(near[3])} ms`;
        if (near[1] < near[2] && near[4] && near[4] !== what) what += ` · ${String(near[4]).slice(0, 60)}`;
      }
      if (near && time - near[0] < UNKNOWN_AFTER_MS && !near[2] && near[4]) what = `unknown: ${String(near[4]).slice(0, 80)}`;
      line.textContent = `${probe.title}: ${what}`;
      box.append(line);
    }
    return box;
  }
}

/** Words of marks that stand close together share the head in two rows. */
function rowsOf(marks, begin, end, width) {
  const free = [-Infinity, -Infinity];
  return marks.map((mark) => {
    const x = ((mark.at - begin) / Math.max(1, end - begin)) * width;
    const row = x - free[0] >= WORD_PX ? 0 : 1;
    free[row] = x;
    return row;
  });
}

function edge(at, begin, end) {
  const share = (at - begin) / Math.max(1, end - begin);
  if (share < 0.04) return "left";
  return share > 0.96 ? "right" : "center";
}

/** Series and gaps of one probe. A gap, or a look that could not be made, is unknown. */
function shape(rows, begin, end, final) {
  const passed = [], failed = [], latency = [], unknown = [];
  let before = begin;
  let broken = false; // nothing is drawn up to here: a first known look begins anew
  for (const [time, good, attempts, ms] of rows) {
    if (time - before > UNKNOWN_AFTER_MS) {
      // Nobody looked. The look that ends the gap speaks of its own second, and of no more.
      const until = attempts === 0 ? time : time - LOOK_MS;
      unknown.push([before, until]);
      for (const list of [passed, failed, latency]) list.push([before, null]);
      before = until;
      broken = true;
    }
    if (attempts === 0) {
      if (time > before) unknown.push([before, time]);
      for (const list of [passed, failed, latency]) list.push([time, null]);
      broken = true;
    } else {
      // `step: end` holds the value back to the sample before: the second that it speaks of. After
      // a gap there is none, and a look between two unknown ones would not be seen at all.
      if (broken) {
        passed.push([before + 1, good / attempts]); // stacked by time, so no time comes twice
        failed.push([before + 1, 1 - good / attempts]);
      }
      passed.push([time, good / attempts]);
      failed.push([time, 1 - good / attempts]);
      latency.push([time, ms]);
      broken = false;
    }
    before = time;
  }
  if (!rows.length) unknown.push([begin, end]);
  else if (!final && end - before > AWAITED_MS) unknown.push([before, end]);
  return { passed, failed, latency, unknown: join(unknown) };
}

function join(spans) {
  const joined = [];
  for (const span of spans) {
    const last = joined[joined.length - 1];
    if (last && span[0] - last[1] <= 1) last[1] = span[1];
    else joined.push([...span]);
  }
  return joined;
}

const charts = [...document.querySelectorAll("[data-samples]")].map((each) => new RunChart(each));
for (const chart of charts) chart.poll();
const redraw = () => charts.forEach((chart) => chart.meta && chart.draw());
addEventListener("belay:theme", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
