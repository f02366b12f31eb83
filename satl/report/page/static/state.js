// The data, what the reader has chosen, and the views that follow from both.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (selector, within = document) => within.querySelector(selector);

// Kept in the address, so that a view can be linked to: …/index.html#view?ratio=0.50
const DEFAULTS = {
  dataset: Object.keys(data.datasets)[0], table: "", metric: "mAP", selection: "last",
  column: "average", values: "gain", ratio: middle(Object.values(data.datasets)[0].known), thresholds: "", scores: "",
  hidden: [], marked: [], category: "", run: "",
};
const state = { ...DEFAULTS, ...fromAddress() };

const views = []; // {keys, render, element}: drawn again when one of its keys changes
const seen = new Set(); // elements that have come into sight

function middle(list) {
  return list[Math.floor((list.length - 1) / 2)];
}

function fromAddress() {
  const [, query] = location.hash.split("?");
  const chosen = {};
  for (const [key, value] of new URLSearchParams(query ?? "")) {
    if (key in DEFAULTS) chosen[key] = Array.isArray(DEFAULTS[key]) ? value.split("|") : value;
  }
  return chosen;
}

function toAddress() {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    const text = Array.isArray(value) ? value.join("|") : value;
    if (text && text !== String(DEFAULTS[key])) query.set(key, text);
  }
  history.replaceState(null, "", query.size ? `#view?${query}` : "#");
}

/** Choose `value` for `key` and draw again what depends on it. */
function choose(key, value) {
  state[key] = value;
  toAddress();
  for (const view of views) {
    if (view.keys.includes(key) && (!view.lazy || seen.has(view.element))) view.render();
  }
}

/** Add `item` to the list `key`, or take it away. */
function toggle(key, item) {
  const others = state[key].filter((one) => one !== item);
  choose(key, others.length < state[key].length ? others : [...others, item]);
}

/** Call `render` now and whenever a key changes. */
function view(keys, render) {
  views.push({ keys, render });
  render();
}

/** The same for a chart, which is not drawn before it comes into sight. */
function chartView(element, keys, render) {
  views.push({ keys, render, element, lazy: true });
  sight.observe(element);
}

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting || seen.has(target)) continue;
    seen.add(target);
    sight.unobserve(target);
    views.filter((one) => one.element === target).forEach((one) => one.render());
  }
}, { rootMargin: "200px" });

/** Everything in sight again, in other colours. */
function redrawCharts() {
  for (const one of views) if (one.lazy && seen.has(one.element)) one.render();
}

// What the choices stand for.

const dataset = () => data.datasets[state.dataset];
const table = () => dataset().tables.find((one) => one.name === state.table) ?? dataset().tables[0];
const shownMethods = () => table()?.methods.filter((name) => !state.hidden.includes(name)) ?? [];
const column = () => (table().known.includes(state.column) ? state.column : table().known[0]);
const ways = () => table().known.filter((name) => name !== "average"); // known ratios, or the one setting
const ratio = () => (ways().includes(state.ratio) ? state.ratio : middle(ways()));
const isRatio = (name) => /^\d/.test(name); // or the average, or what else decides which labels are known
const percent = (name) => (isRatio(name) ? `${Math.round(100 * name)} %` : name);

// Elements.

/** element("a", {href: "x"}, "text", child, …); null children are left out. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) made.style.setProperty(key, text);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function field(label, control) {
  return element("label", { class: "field" }, element("span", {}, label), control);
}

/** A row of buttons for `state[key]`; options are [value, text] pairs. */
function segments(label, key, options, current = state[key]) {
  const buttons = options.map(([value, text]) =>
    element("button", {
      type: "button", "aria-pressed": String(value === current), onclick: () => choose(key, value),
    }, text));
  const group = element("div", { class: "segments", role: "group", "aria-label": label }, ...buttons);
  return element("div", { class: "field" }, element("span", {}, label), group);
}

function menu(label, key, options, current = state[key]) {
  const control = element("select", { onchange: (event) => choose(key, event.target.value) },
    ...options.map(([value, text]) => element("option", { value, selected: value === current }, text)));
  return field(label, control);
}

/** A search box that stays when the view around it is drawn again: it is made once. */
function search(label, key, placeholder) {
  const input = element("input", {
    type: "search", placeholder, value: state[key], oninput: (event) => choose(key, event.target.value),
  });
  return field(label, input);
}

const matches = (text, wanted) => text.toLowerCase().includes(wanted.trim().toLowerCase());

const DARK = matchMedia("(prefers-color-scheme: dark)");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A method's colour; the same, lighter, where it would be lost on a dark page. */
function colour(method) {
  const hex = data.methods[method] ?? css("--context");
  return DARK.matches ? lighter(hex) : hex;
}

function lighter(hex) {
  const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const bright = (0.2 * parts[0] + 0.7 * parts[1] + 0.1 * parts[2]) / 255;
  const share = Math.max(0, 0.62 - bright);
  return `rgb(${parts.map((part) => Math.round(part + (255 - part) * share)).join(",")})`;
}

// Marked categories have colours of their own, in the order in which they were marked.
const MARKS = ["#d1495b", "#2a7de1", "#2e9e6b", "#e0952b", "#8a63d2", "#1fa3b5", "#c2569e", "#7d8a2e"];
const markColour = (category) => MARKS[state.marked.indexOf(category) % MARKS.length];

const dot = (method) => element("span", { class: "dot", style: { "--dot": colour(method) } });
const number = (value, digits = 1) => (value === null ? "–" : value.toFixed(digits));

function signed(value, digits = 2) {
  if (value === null) return "–";
  const size = Math.abs(value).toFixed(digits);
  return `${Number(size) === 0 ? "" : value < 0 ? "−" : "+"}${size}`;
}
