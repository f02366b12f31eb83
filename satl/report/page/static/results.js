// Results by known ratio, differences to the reference, and what changes over the epochs.

const METRICS = () => ["mAP", ...Object.keys(table().metrics)].map((name) => [name, name.replace("_", " ")]);
const blocks = () => (state.metric === "mAP" ? table().blocks : table().metrics[state.metric]);
// Of a setting, other metrics have a column each of their own, and are not those of the table.
const headings = () => (table().setting && state.metric !== "mAP" ? [state.metric.replace("_", " ")] : table().headings);
const block = () => blocks().find((one) => one.name === state.selection) ?? blocks()[0];

/** The cells of one method's row, or null. */
function cellsOf(one, method) {
  const at = one.rows.indexOf(method);
  if (at < 0) return null;
  const many = one.mean.length / one.rows.length;
  return Array.from({ length: many }, (_, place) => {
    const index = at * many + place;
    return { mean: one.mean[index], std: one.std[index], rank: one.rank?.[index], written: one.written?.[index] };
  });
}

const ratioPlaces = () => table().known.map((name, at) => ({ name, at })).filter(({ name }) => isRatio(name));
const inBrackets = (low, high) => (low === null ? "" : ` [${signed(low)}, ${signed(high)}]`);

function drawResults() {
  const box = find("#results .chart");
  const rows = shownMethods().flatMap((series) => {
    const cells = cellsOf(block(), series);
    return ratioPlaces().map(({ name, at }) => {
      const { mean, std } = cells[at];
      return { series, x: 100 * name, mean, low: mean - (std ?? 0), high: mean + (std ?? 0), std };
    }).filter(({ mean }) => mean !== null);
  });
  const title = `${state.metric.replace("_", " ")} (%) by share of known labels, ${block().title}${extent()}`;
  if (ratioPlaces().length < 2) return drawOneColumn(box);
  if (!rows.length) return nothing(box, title, "No run that is shown has a value.");
  draw(box, title, lines(box, rows, {
    x: "known labels (%)", y: null, ticks: ratioPlaces().map(({ name }) => 100 * name), height: 320,
    name: (x) => `${Math.round(x)} % known`,
    show: ({ mean, std }) => number(mean, 2) + (std === null ? "" : ` ± ${number(std, 2)}`),
  }));
}

/** Where there is no course over known ratios: the first column, a line per method. */
function drawOneColumn(box) {
  const rows = shownMethods().map((series) => ({ series, ...cellsOf(block(), series)[0] }))
    .filter(({ mean }) => mean !== null).sort((a, b) => b.mean - a.mean)
    .map((row) => ({ ...row, low: row.mean - (row.std ?? 0), high: row.mean + (row.std ?? 0), tip: `<b>${escaped(row.series)}</b>${number(row.mean, 2)}` }));
  const known = table().setting ? `labels known: ${table().setting}` : `${table().headings[0]} known`;
  const title = `${state.metric} (%), ${known}, ${block().title}${extent()}`;
  if (!rows.length) return nothing(box, title, "No run that is shown has a value.");
  draw(box, title, forest(rows, `${state.metric} (%)`, false));
}

const extent = () => (data.extent ? ` (${data.extent})` : "");

function resultTable() {
  const columns = [methodColumn(), ...headings().map((title, at) => ({
    title, value: (row) => row.cells[at].mean, cell: (row) => scoreCell(row.cells[at]),
  }))];
  const rows = shownMethods().map((method) => ({ method, cells: cellsOf(block(), method) }));
  const published = state.metric === "mAP" && blocks().find((one) => one.name === "published");
  const footer = published ? [publishedRows(published, columns)] : [];
  find("#table").replaceChildren(sortable("results", columns, rows, { footer }));
  find("#notes").replaceChildren(...table().notes.map((note) => element("li", {}, note)));
}

function methodColumn() {
  return { title: "method", text: true, value: (row) => row.method, cell: (row) => [dot(row.method), row.method] };
}

function scoreCell({ mean, std, rank, written }) {
  if (written) return written;
  const kind = { 1: "best", 2: "second" }[rank];
  return [
    element("span", { class: kind }, number(mean)),
    std === null ? "" : element("span", { class: "sd" }, `± ${number(std)}`),
  ];
}

function publishedRows(published, columns) {
  const many = table().columns.length;
  const rows = published.rows.map((method, at) => element("tr", {},
    element("th", { class: "first", scope: "row" }, method),
    ...table().columns.map((_, place) => element("td", {}, number(published.mean[at * many + place])))));
  const head = element("tr", { class: "group" }, element("th", { colspan: columns.length }, "published, see the notes"));
  return element("tbody", {}, head, ...rows);
}

function differenceRows(name) {
  const found = table().differences[name];
  return found.methods.map((method, at) => ({
    method, series: method, mean: found.mean[at], low: found.low[at], high: found.high[at], p: found.p[at],
  })).filter(({ method, mean }) => shownMethods().includes(method) && mean !== null);
}

const pText = (p) => (p === null ? "–" : p < 0.001 ? "< 0.001" : p.toFixed(3));

function drawForest() {
  const rows = differenceRows(column()).sort((a, b) => b.mean - a.mean).map((row) => ({
    ...row, tip: `<b>${escaped(row.method)}</b>${signed(row.mean)}${inBrackets(row.low, row.high)}<br>p (Holm) ${escaped(pText(row.p))}`,
  }));
  const over = column() === "average" ? "average over the known ratios" : `labels known: ${percent(column())}`;
  if (!rows.length) return nothing(find("#forest"), over, "Nothing to compare: no other method with the same runs.");
  draw(find("#forest"), over + extent(), forest(rows, "difference in mAP (points)"));
}

function drawDifferencesByRatio() {
  const box = find("#by-ratio");
  const rows = ratioPlaces().flatMap(({ name }) => differenceRows(name).map((row) => ({ ...row, x: 100 * name })));
  box.hidden = ratioPlaces().length < 2;
  if (box.hidden || !rows.length) return nothing(box, "by known ratio", "Nothing to compare.");
  draw(box, `by known ratio${extent()}`, lines(box, rows, {
    x: "known labels (%)", y: null, ticks: ratioPlaces().map(({ name }) => 100 * name), zero: true, height: 230,
    name: (x) => `${Math.round(x)} % known`, show: ({ mean, low, high }) => signed(mean) + inBrackets(low, high),
  }));
}

function differenceTable() {
  const columns = [
    methodColumn(),
    { title: "difference", value: (row) => row.mean, cell: (row) => signed(row.mean) },
    { title: "95 % interval", value: (row) => row.low, cell: (row) => (row.low === null ? "–" : inBrackets(row.low, row.high).trim()) },
    { title: "p (Holm)", value: (row) => row.p, cell: (row) => pText(row.p) },
  ];
  find("#difference-table").replaceChildren(
    sortable("differences", columns, differenceRows(column()), { sort: { at: 1, descending: true } }));
}

function drawCourses() {
  const titles = { test_mAP: "mAP on test images (%)", ...data.measures };
  const cards = Object.entries(titles).flatMap(([measure, title]) => {
    const rows = shownMethods().flatMap((series) => courseRows(series, measure));
    return rows.length ? [[measure, title, rows]] : [];
  });
  const boxes = cards.map(([measure]) => element("div", { class: "card chart", id: `course-${measure}` }));
  find("#courses").replaceChildren(...boxes);
  cards.forEach(([, title, rows], at) => draw(boxes[at], title, lines(boxes[at], rows, {
    x: "epoch", y: null, height: 190, name: (x) => `epoch ${x}`, show: ({ mean }) => number(mean, 2),
  })));
  if (!cards.length) find("#courses").replaceChildren(element("p", { class: "none" }, "No run that is shown."));
}

function courseRows(series, measure) {
  const found = dataset().courses[series]?.[ratio()]?.[measure];
  return (found?.mean ?? []).map((mean, at) => ({
    series, x: at + 1, mean, low: mean - (found.std[at] ?? 0), high: mean + (found.std[at] ?? 0),
  })).filter(({ mean }) => mean !== null);
}
