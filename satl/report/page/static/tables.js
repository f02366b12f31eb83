// Tables that are sorted by a click on a heading.

const sorting = new Map(); // by table: {column, descending}, kept when a table is drawn again

/**
 * A table of `rows`.
 *
 * columns: {title, value(row), cell(row), text}; the first names the row. `value` is what is
 * sorted by, null last; `cell` gives a string or an element; `text` columns are left-aligned.
 * options: sort (column number, descending) to begin with, or none: as given; row(row) →
 * attributes of its tr; footer: further tbody elements.
 */
function sortable(id, columns, rows, options = {}) {
  const body = element("tbody");
  const heads = columns.map((one, at) => element("th", { scope: "col", class: headClass(one, at) },
    element("button", { type: "button", title: one.hint, onclick: () => sortBy(at) }, one.title)));

  function sortBy(at) {
    const before = sorting.get(id);
    const first = !columns[at].text; // numbers begin with the highest, names with A
    sorting.set(id, { at, descending: before?.at === at ? !before.descending : first });
    fill();
  }

  function fill() {
    const order = sorting.get(id) ?? options.sort;
    heads.forEach((head, at) => {
      if (order?.at === at) head.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const sorted = order ? [...rows].sort(comparing(columns[order.at].value, order.descending)) : rows;
    body.replaceChildren(...sorted.map((row) => tableRow(columns, row, options.row?.(row))));
  }

  fill();
  return element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body, ...(options.footer ?? []));
}

function headClass(column, at) {
  return at === 0 ? "first" : column.text ? "text" : null;
}

function tableRow(columns, row, attributes = {}) {
  return element("tr", attributes, ...columns.map((column, at) => {
    const cell = column.cell(row);
    const tag = at === 0 ? "th" : "td";
    const made = element(tag, { scope: at === 0 ? "row" : null, class: headClass(column, at) });
    made.append(...[cell].flat());
    if (column.background) made.style.background = column.background(row);
    return made;
  }));
}

function comparing(value, descending) {
  return (one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
    return descending ? -order : order;
  };
}
