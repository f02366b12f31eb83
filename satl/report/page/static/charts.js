// Charts, in Vega-Lite. Data is prepared here as rows; no number is computed.

// Charts are drawn one after the other, so that the first is soon to be seen.
let before = Promise.resolve();

/** Draw `spec` into `box`, in the page's colours; resolves to Vega's view. */
function draw(box, title, spec) {
  const place = element("div");
  box.replaceChildren(element("h3", {}, ...[title].flat()), place);
  const drawn = before.then(() => embed(box, place, spec));
  before = drawn.catch(() => {}).then(() => new Promise((next) => setTimeout(next)));
  return drawn;
}

async function embed(box, place, spec) {
  const { view } = await vegaEmbed(place, {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container",
    autosize: { type: "fit-x", contains: "padding" }, ...spec, config: theme(),
  }, {
    renderer: "svg", actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: `${data.name}-${box.id || "chart"}`,
    tooltip: { formatTooltip: ({ tip }) => tip, disableDefaultStyle: true },
  });
  document.documentElement.dataset.drawn ??= Math.round(performance.now());
  return view;
}

function nothing(box, title, text) {
  box.replaceChildren(element("h3", {}, ...[title].flat()), element("p", { class: "none" }, text));
}

function theme() {
  const [ink, faint, line, grid] = ["--ink", "--faint", "--line", "--grid"].map(css);
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent", font, view: { stroke: null },
    axis: {
      labelColor: faint, titleColor: faint, gridColor: grid, domainColor: line, tickColor: line,
      labelFontSize: 11.5, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8, labelPadding: 5,
    },
    axisX: { grid: false, labelFlush: true }, axisY: { domain: false, ticks: false, tickCount: 6 },
    legend: {
      labelColor: ink, labelFontSize: 12, title: null, orient: "bottom", symbolType: "circle",
      symbolStrokeWidth: 0, symbolOpacity: 1, columnPadding: 14, rowPadding: 4, offset: 12,
    },
    text: { color: faint, fontSize: 11 },
  };
}

const TIP = { content: "data" }; // a row's `tip`, in HTML
const onlyIf = (wanted, layer) => (wanted ? [layer] : []);
const haveIntervals = (rows) => rows.some(({ low }) => low !== null); // one seed has none
const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const zeroLine = () => ({ mark: { type: "rule", color: css("--context"), strokeDash: [3, 3] }, data: { values: [{}] } });

/**
 * Lines with bands, one a series: rows of {series, x, mean, low, high}.
 * `options`: x and y (titles), ticks, name(x) → what a tooltip is headed with, show(row) → its
 * number, zero: with a line at zero, legend: false for none, height.
 */
function lines(box, rows, options) {
  const names = [...new Set(rows.map((row) => row.series))];
  const byX = Map.groupBy(rows, (row) => row.x);
  const tips = [...byX].map(([x, at]) => ({ x, tip: tipOf(options.name(x), at, options.show) }));
  const columns = Math.max(2, Math.floor(box.clientWidth / 150));
  return {
    height: options.height ?? 300,
    data: { values: rows },
    encoding: {
      x: {
        field: "x", type: "quantitative", title: options.x, scale: { nice: false, padding: 8 },
        axis: { values: options.ticks, format: "d", tickMinStep: 1, labelOverlap: true },
      },
      color: {
        field: "series", type: "nominal", scale: { domain: names, range: names.map(colour) },
        legend: options.legend === false ? null : { columns },
      },
    },
    layer: [
      ...onlyIf(options.zero, { ...zeroLine(), encoding: { y: { datum: 0 }, color: { value: css("--context") }, x: null } }),
      ...onlyIf(haveIntervals(rows), { mark: { type: "area", opacity: Math.max(0.07, 0.3 / names.length) }, encoding: { y: { field: "low", type: "quantitative" }, y2: { field: "high" } } }),
      {
        mark: { type: "line", strokeWidth: 2, point: rows.length < 400 && { size: 28 } },
        encoding: { y: { field: "mean", type: "quantitative", title: options.y, scale: { zero: false } } },
      },
      {
        data: { values: tips },
        params: [{ name: "at", select: { type: "point", fields: ["x"], nearest: true, on: "pointerover", clear: "pointerout" } }],
        mark: { type: "rule", color: css("--context"), strokeWidth: 1, tooltip: TIP },
        encoding: {
          color: { value: css("--context") },
          opacity: { condition: { param: "at", empty: false, value: 0.7 }, value: 0 },
        },
      },
    ],
  };
}

/** A tooltip of all series at one place, the highest on top. */
function tipOf(heading, rows, show) {
  const sorted = rows.filter((row) => row.mean !== null).sort((a, b) => b.mean - a.mean);
  const lines = sorted.map((row) =>
    `<tr><td><span class="dot" style="--dot:${colour(row.series)}"></span>${escaped(row.series)}</td><td>${escaped(show(row))}</td></tr>`);
  return `<b>${escaped(heading)}</b><table>${lines.join("")}</table>`;
}

/** Differences with intervals: rows of {series, mean, low, high, tip}, the highest on top. */
function forest(rows, title, zero = true) {
  const names = rows.map((row) => row.series);
  const y = { field: "series", type: "nominal", sort: null, title: null, axis: { labelColor: css("--ink"), labelFontSize: 12.5, labelLimit: 220 } };
  const tint = { field: "series", scale: { domain: names, range: names.map(colour) }, legend: null };
  return {
    height: Math.max(270, 34 * rows.length),
    data: { values: rows },
    encoding: { y, color: tint },
    layer: [
      ...onlyIf(zero, { ...zeroLine(), encoding: { x: { datum: 0 }, y: null, color: { value: css("--context") } } }),
      ...onlyIf(haveIntervals(rows), { mark: { type: "rule", strokeWidth: 3, strokeCap: "round", tooltip: TIP }, encoding: { x: { field: "low", type: "quantitative", title, scale: { zero }, axis: { grid: true } }, x2: { field: "high" } } }),
      { mark: { type: "point", filled: true, size: 110, opacity: 1, tooltip: TIP }, encoding: { x: { field: "mean", type: "quantitative", title, scale: { zero }, axis: { grid: true } } } },
    ],
  };
}

/** Thresholds: rows of {category, epoch, tau}; marked categories in colour. */
function thresholdLines(rows, height) {
  const values = rows.map((row) => row.tau).sort((a, b) => a - b);
  const at = (share) => values[Math.round(share * (values.length - 1))];
  const room = 0.06 * (at(0.98) - at(0.02)) + 0.1; // those of the first epochs can be far out
  const marked = state.marked.filter((name) => rows.some((row) => row.category === name));
  const last = Math.max(...rows.map((row) => row.epoch));
  const many = rows.length / last > 60; // categories
  const faint = (marked.length ? 0.35 : 0.6) * (many ? 0.6 : 1);
  return {
    height,
    data: { values: rows },
    encoding: {
      x: { field: "epoch", type: "quantitative", title: "epoch", scale: { nice: false, padding: 6, domain: [1, last] }, axis: { tickMinStep: 1, format: "d" } },
      y: { field: "tau", type: "quantitative", title: "logit", scale: { zero: false, nice: false, domain: [at(0.02) - room, at(0.98) + room] } },
      detail: { field: "category" },
    },
    layer: [
      { mark: { type: "line", clip: true, color: css("--context"), strokeWidth: 1.2, opacity: faint } },
      {
        transform: [{ filter: { field: "category", oneOf: marked } }],
        mark: { type: "line", clip: true, strokeWidth: 2.6 },
        encoding: { color: { field: "category", scale: { domain: marked, range: marked.map(markColour) }, legend: null } },
      },
      { transform: [{ filter: { param: "over", empty: false } }], mark: { type: "line", clip: true, color: css("--ink"), strokeWidth: 2.2 } },
      {
        params: [{ name: "over", select: { type: "point", fields: ["category"], nearest: true, on: "pointerover", clear: "pointerout" } }],
        mark: { type: "point", clip: true, opacity: 0, size: 40, cursor: "pointer", tooltip: TIP },
      },
    ],
  };
}

const FEW = 12; // so few labels make no distribution
const KINDS = [
  ["known_negative", "--loss", true], ["known_positive", "--gain", true],
  ["hidden_negative", "--loss", false], ["hidden_positive", "--gain", false],
];

/** Distributions of one category: `labels` by kind, each [first bin, count, …]; `taus` by side. */
function distribution(found, labels, taus) {
  const width = (found.high - found.low) / found.bins;
  const x = { field: "x", type: "quantitative", title: null, scale: { domain: [found.low, found.high], nice: false } };
  const y = { field: "y", type: "quantitative", axis: null, scale: { domain: [0, 1.06] } };
  const layers = KINDS.flatMap(([kind, name, filled]) => {
    const [first, ...counts] = labels[kind] ?? [];
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (!total) return [];
    const left = (at) => found.low + (first + at) * width;
    return total < FEW ? pins(counts, left, width, css(name), filled) : [outline(counts, left, css(name), filled)];
  });
  return { height: 78, encoding: { x, y }, layer: [...layers, ...thresholdRules(taus)] };
}

function outline(counts, left, color, filled) {
  const peak = Math.max(...counts);
  const steps = [0, ...counts, 0].map((count, at) => ({ x: left(at - 1), y: count / peak }));
  const mark = filled ? { type: "area", opacity: 0.35, line: false } : { type: "line", strokeWidth: 1.5 };
  return { data: { values: steps }, mark: { ...mark, interpolate: "step-after", color, clip: true } };
}

function pins(counts, left, width, color, filled) {
  const values = counts.flatMap((count, at) => (count ? [{ x: left(at) + width / 2, y: 0.5 }] : []));
  const point = { type: "point", filled: true, size: 34, opacity: 1, color: filled ? color : css("--card"), stroke: color, strokeWidth: 1.3 };
  return [
    { data: { values }, mark: { type: "rule", color }, encoding: { y2: { datum: 0 } } },
    { data: { values }, mark: point },
  ];
}

function thresholdRules(taus) {
  const rule = (value, color, dash) => ({
    data: { values: [{ x: value }] }, mark: { type: "rule", color, strokeWidth: 2, strokeDash: dash, clip: true },
    encoding: { y: { value: 0 }, y2: { value: 78 } },
  });
  return [
    ...(taus.tau_pos !== null ? [rule(taus.tau_pos, css("--gain"), [1, 0])] : []),
    ...(taus.tau_neg !== null ? [rule(taus.tau_neg, css("--loss"), [4, 2])] : []),
  ];
}
