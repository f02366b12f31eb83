// What is shown by category: AP and gains, thresholds, score distributions; and which are marked.

function categoryTable() {
  const gains = state.values === "gain" && Object.keys(table().gains[column()]).length > 0;
  const values = (gains ? table().gains : table().ap)[column()];
  const methods = shownMethods().filter((name) => name in values);
  const extreme = extremeOf(methods.flatMap((name) => values[name]), gains);
  const rows = dataset().categories
    .map((category, at) => ({ category, at, positives: dataset().positives[at] }))
    .filter(({ category }) => matches(category, state.category));
  const columns = [
    { title: "category", text: true, value: (row) => row.category, cell: (row) => row.category },
    { title: "positives", hint: "training labels, known or hidden", value: (row) => row.positives, cell: (row) => row.positives.toLocaleString("en") },
    ...methods.map((name) => ({
      title: name, value: (row) => values[name][row.at],
      cell: (row) => (gains ? signed(values[name][row.at], 1) : number(values[name][row.at])),
      background: (row) => shade(values[name][row.at], extreme, gains),
    })),
  ];
  find("#category-table").style.setProperty("--columns", methods.length);
  find("#category-table").replaceChildren(sortable("categories", columns, rows, {
    sort: { at: 1, descending: true },
    row: ({ category }) => ({
      class: state.marked.includes(category) ? "pick marked-row" : "pick",
      style: { "--mark": markColour(category) ?? "transparent" }, onclick: () => toggle("marked", category),
    }),
  }));
}

/** What has the strongest colour; a single outlier among many must not pale the rest. */
function extremeOf(values, gains) {
  const sizes = values.filter((value) => value !== null).map(Math.abs).sort((a, b) => a - b);
  return gains ? Math.max(0.5, sizes[Math.floor(0.98 * (sizes.length - 1))] ?? 0) : 100;
}

function shade(value, extreme, gains) {
  if (value === null) return "";
  const strength = Math.min(1, Math.abs(value) / extreme);
  const tint = gains && value < 0 ? "--loss" : "--gain";
  return `color-mix(in srgb, var(${tint}) ${Math.round((gains ? 60 : 38) * strength)}%, transparent)`;
}

function markedChips() {
  const chips = state.marked.map((category) => element("button", {
    type: "button", class: "chip", title: "unmark", style: { "--dot": markColour(category) },
    onclick: () => toggle("marked", category),
  }, element("i"), category, " ×"));
  return chips.length ? [...chips, element("button", { type: "button", class: "chip plain", onclick: () => choose("marked", []) }, "unmark all")] : [];
}

/** A box that marks the category whose name is entered or picked. */
function markBox() {
  const options = dataset().categories.map((value) => element("option", { value }));
  const input = element("input", {
    type: "search", list: "names", placeholder: `one of ${dataset().categories.length} …`,
    onchange: (event) => {
      const name = dataset().categories.find((one) => one === event.target.value)
        ?? dataset().categories.find((one) => matches(one, event.target.value));
      if (event.target.value && name && !state.marked.includes(name)) toggle("marked", name);
    },
  });
  return field("mark a category", element("span", {}, input, element("datalist", { id: "names" }, ...options)));
}

const ratioChoice = (has) => choiceOf("ratio", ways().filter(has), ratio());

/** The method chosen for a section, among those that have something to show there. */
function methodOf(key, found) {
  const names = table().methods.filter((name) => name in found);
  return names.includes(state[key]) ? state[key] : names[0];
}

const ratioOf = (byRatio) => (ratio() in byRatio ? ratio() : ways().find((one) => one in byRatio));

function thresholdControls() {
  const found = dataset().thresholds;
  const method = methodOf("thresholds", found);
  find("#thresholds").hidden = !method;
  find('nav a[href="#thresholds"]').hidden = !method;
  if (!method) return;
  const names = table().methods.filter((name) => name in found);
  find("#thresholds .controls").replaceChildren(
    segments("method", "thresholds", names.map((name) => [name, name]), method),
    ratioChoice((ratio) => ratio in found[method]), markBox());
}

const SIDES = { tau_pos: "τ₊, above which labels become positive", tau_neg: "τ₋, below which labels become negative" };

async function drawThresholds(side) {
  const byRatio = dataset().thresholds[methodOf("thresholds", dataset().thresholds)];
  const courses = byRatio?.[ratioOf(byRatio)]?.[side];
  const box = find(`#${side}`);
  box.hidden = !courses;
  if (!courses) return;
  const rows = courses.flatMap((taus, at) => taus.map((tau, epoch) => ({
    category: dataset().categories[at], epoch: epoch + 1, tau,
    tip: `<b>${escaped(dataset().categories[at])}</b>epoch ${epoch + 1}: ${number(tau, 2)}`,
  }))).filter(({ tau }) => tau !== null);
  const without = courses.filter((taus) => taus.at(-1) === null).length;
  const note = without ? element("span", {}, ` · ${without} of ${courses.length} without one at the end`) : null;
  const drawn = await draw(box, [SIDES[side], note].filter(Boolean), thresholdLines(rows, 250));
  drawn.addEventListener("click", (_, item) => {
    const datum = item?.datum?.datum ?? item?.datum;
    if (datum?.category) toggle("marked", datum.category);
  });
}

function scoreControls() {
  const method = methodOf("scores", dataset().scores);
  if (!method) return;
  find("#scores .controls").replaceChildren(
    menu("method", "scores", table().methods.filter((name) => name in dataset().scores).map((name) => [name, name]), method),
    ratioChoice((ratio) => ratio in dataset().scores[method]), markBox());
}

const filled = (name) => ({ background: `color-mix(in srgb, var(${name}) 38%, transparent)` });
const outlined = (name) => ({ border: `1.5px solid var(${name})`, "border-bottom": "0" });

function scoreKey() {
  const entries = [
    ["known positives", filled("--gain")], ["hidden positives", outlined("--gain")],
    ["known negatives", filled("--loss")], ["hidden negatives", outlined("--loss")],
    ["τ₊", { "border-left": "2px solid var(--gain)" }, "line"],
    ["τ₋", { "border-left": "2px dashed var(--loss)" }, "line"],
  ];
  find("#score-key").replaceChildren(...entries.map(([text, style, kind]) =>
    element("span", {}, element("i", { style, class: kind }), text)));
}

/** Two common, two middling and two rare categories with a positive; all where they are few. */
function typical() {
  const names = dataset().categories.filter((_, at) => dataset().positives[at] > 0);
  const half = Math.floor(names.length / 2);
  return names.length <= 6 ? names : [...names.slice(0, 2), ...names.slice(half - 1, half + 1), ...names.slice(-2)];
}

function drawDistributions() {
  const grid = find("#distributions");
  const method = methodOf("scores", dataset().scores);
  if (!method) return grid.replaceChildren();
  const known = ratioOf(dataset().scores[method]);
  const found = dataset().scores[method][known];
  if (!found) return grid.replaceChildren(); // no run of this method yet
  const courses = dataset().thresholds[method]?.[known] ?? {};
  const names = state.marked.length ? state.marked : typical();
  grid.replaceChildren(...names.map((category) => {
    const at = dataset().categories.indexOf(category);
    const labels = Object.fromEntries(Object.entries(found.labels).map(([kind, all]) => [kind, all[at]]));
    const taus = Object.fromEntries(["tau_pos", "tau_neg"].map((side) => [side, courses[side]?.[at].at(-1) ?? null]));
    const box = element("div", { class: "card chart small", id: `scores-${at}` });
    const positives = element("span", {}, ` ${dataset().positives[at].toLocaleString("en")} positives`);
    requestAnimationFrame(() => draw(box, [category, positives], distribution(found, labels, taus)));
    return box;
  }));
}
