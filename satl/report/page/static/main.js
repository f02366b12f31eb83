// Puts the page together: controls, then the views and what each depends on.

const WHICH = ["dataset", "table"];
const SHOWN = [...WHICH, "hidden"];

function facts() {
  const count = (many, one, several = `${one}s`) =>
    many ? [element("li", {}, element("b", {}, String(many)), many === 1 ? one : several)] : [];
  const known = dataset().known, ratios = known.filter(isRatio).length;
  find("#facts").replaceChildren(
    ...count(data.runs.folder.length, "run"), ...count(Object.keys(data.methods).length, "method"),
    ...count(ratios, "known ratio"),
    ...count(known.length - ratios, ratios ? "other setting" : "setting"),
    ...count(data.seeds.length, "seed"),
    ...count(dataset().categories?.length ?? 0, "category", "categories"),
    element("li", {}, "commit ", element("code", {}, data.commits)));
  find("#incomplete").hidden = !data.extent;
  find("#incomplete").textContent = `Incomplete: ${data.extent} are evaluated. Means are of the runs that are there.`;
}

function whichControls() {
  const names = Object.keys(data.datasets).map((name) => [name, name]);
  const tables = dataset().tables.map(({ name }) => [name, name]);
  find("#which").replaceChildren(
    ...(names.length > 1 ? [menu("data set", "dataset", names)] : []),
    ...(tables.length > 1 ? [menu("table", "table", tables, table()?.name)] : []));
}

function methodChips() {
  find("#methods").replaceChildren(...(table()?.methods ?? []).map((name) => element("button", {
    type: "button", class: "chip", style: { "--dot": colour(name) }, title: "show or hide; double click: this one alone",
    "aria-pressed": String(!state.hidden.includes(name)), onclick: () => toggle("hidden", name),
    ondblclick: () => choose("hidden", table().methods.filter((other) => other !== name)),
  }, element("i"), name)), ...(state.hidden.length ? [element("button", { type: "button", class: "chip plain", onclick: () => choose("hidden", []) }, "show all")] : []));
}

function resultControls() {
  const own = blocks().filter(({ name }) => name !== "published");
  find("#results .controls").replaceChildren(
    ...(own.length > 1 ? [segments("epoch", "selection", own.map(({ name, title }) => [name, title]), block().name)] : []),
    menu("metric", "metric", METRICS()));
}

/** Buttons that choose among `names`, known ratios or settings; none where there is no choice. */
function choiceOf(key, names, current) {
  return names.length > 1 ? segments("known labels", key, names.map((name) => [name, percent(name)]), current) : "";
}

const columnChoice = () => choiceOf("column", table().known, column());

function differenceControls() {
  find("#differences .reference").textContent = table().reference;
  find("#differences .controls").replaceChildren(columnChoice());
}

function categoryControls() {
  const gain = `gain over ${table().reference}`;
  const box = find("#categories .search") ?? element("div", { class: "search" }, search("search", "category", "name of a category"));
  find("#categories .controls").replaceChildren(
    box, segments("values", "values", [["gain", gain], ["ap", "AP (%)"]]), columnChoice());
}

function start() {
  view(["dataset"], facts);
  view(WHICH, whichControls);
  if (!table()) {
    find("main").replaceChildren(element("p", { class: "none" }, "No run on this data set is evaluated yet."));
    return;
  }
  view(SHOWN, methodChips);
  view([...WHICH, "metric", "selection"], resultControls);
  view([...SHOWN, "metric", "selection"], resultTable);
  view([...WHICH, "column"], differenceControls);
  view([...SHOWN, "column"], differenceTable);
  view([...WHICH, "column", "values"], categoryControls);
  view([...SHOWN, "column", "values", "category", "marked"], categoryTable);
  view([...WHICH, "thresholds", "ratio"], thresholdControls);
  view([...WHICH, "scores", "ratio"], scoreControls);
  view(["marked"], () => document.querySelectorAll(".marked").forEach((box) => box.replaceChildren(...markedChips())));
  scoreKey();
  view(WHICH, () => find("#epochs .controls").replaceChildren(ratioChoice(() => true)));
  view(["ratio"], () => find("#epochs .controls").replaceChildren(ratioChoice(() => true)));
  find("#runs .controls").replaceChildren(search("search", "run", "e.g. satl 0.50 seed-1"));
  view([...SHOWN, "run"], runTable);
  fileList();
  provenance();

  chartView(find("#results .chart"), [...SHOWN, "metric", "selection"], drawResults);
  chartView(find("#forest"), [...SHOWN, "column"], drawForest);
  chartView(find("#by-ratio"), SHOWN, drawDifferencesByRatio);
  for (const side of Object.keys(SIDES)) {
    chartView(find(`#${side}`), [...WHICH, "thresholds", "ratio", "marked"], () => drawThresholds(side));
  }
  chartView(find("#distributions"), [...WHICH, "scores", "ratio", "marked"], drawDistributions);
  chartView(find("#courses"), [...SHOWN, "ratio"], drawCourses);
}

/** Underline the section that is being read. */
function followReading() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.getAttribute("href").slice(1), link]));
  const reading = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) links.get(target.id)?.classList.toggle("here", isIntersecting);
  }, { rootMargin: "-30% 0px -65% 0px" });
  document.querySelectorAll("section").forEach((section) => reading.observe(section));
}

start();
followReading();
DARK.addEventListener("change", () => { methodChips(); resultTable(); differenceTable(); redrawCharts(); });
