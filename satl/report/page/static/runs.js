// The runs with links to their records, the files of the report, and what all was made with.

function runTable() {
  const { runs } = data;
  const rows = runs.folder.map((_, at) => Object.fromEntries(Object.entries(runs).map(([name, values]) => [name, values[at]])))
    .filter((row) => row.dataset === state.dataset && !state.hidden.includes(row.method))
    .filter((row) => state.run.split(/\s+/).every((word) => matches(`${row.folder} ${row.commit} ${row.device}`, word)));
  const link = (row, file, text) => element("a", { href: file, title: file }, text);
  const columns = [
    methodColumn(),
    { title: "known", value: (row) => Number(row.ratio), cell: (row) => percent(row.ratio) },
    { title: "seed", value: (row) => row.seed, cell: (row) => String(row.seed) },
    ...Object.entries(selections()).map(([name, title]) => ({ title: `mAP, ${title}`, value: (row) => row[name], cell: (row) => number(row[name], 2) })),
    { title: "time", value: (row) => row.seconds, cell: (row) => duration(row.seconds) },
    { title: "finished", text: true, value: (row) => row.finished, cell: (row) => (row.finished ?? "–").slice(0, 16).replace("T", " ") },
    { title: "device", text: true, value: (row) => row.device, cell: (row) => row.device ?? "–" },
    { title: "commit", text: true, value: (row) => row.commit, cell: (row) => element("code", {}, row.commit) },
    {
      title: "record", text: true, value: (row) => row.folder, cell: (row) => [
        link(row, `${row.folder}/config.yaml`, "config"), " · ", link(row, `${row.folder}/run.json`, "run"), " · ",
        link(row, `${row.folder}/metrics.json`, "metrics"), " · ", link(row, row.log, "log"),
      ],
    },
  ];
  find("#run-table").replaceChildren(sortable("runs", columns, rows));
}

// Of the main table: that of tuned methods has other blocks.
const selections = () => Object.fromEntries(dataset().tables[0].blocks
  .filter(({ name }) => name in data.runs).map(({ name, title }) => [name, title]));

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The files by what they hold, a line each with its formats as links. */
function fileList() {
  const byStem = Map.groupBy(data.files, (file) => file.replace(/\.[^.]*$/, ""));
  const byFolder = Map.groupBy([...byStem.keys()], (stem) => (stem.includes("/") ? stem.split("/")[0] : "summary"));
  const parts = [...byFolder].flatMap(([folder, stems]) => [
    element("h3", {}, folder[0].toUpperCase() + folder.slice(1)),
    element("ul", {}, ...stems.map((stem) => element("li", {},
      element("span", {}, stem.split("/").at(-1)),
      element("span", {}, ...byStem.get(stem).map((file) => element("a", { href: file }, file.split(".").at(-1))))))),
  ]);
  find("#file-list").replaceChildren(...parts);
}

function provenance() {
  const counted = (name) => [...Map.groupBy(data.runs[name], (value) => value ?? "unknown")].map(([value, of]) => `${value} (${of.length} runs)`).join("; ");
  const facts = {
    experiment: [element("a", { href: "config.yaml" }, "config.yaml"), `, ${data.name}`],
    runs: data.extent || `all ${data.runs.folder.length}`,
    commit: counted("commit"), versions: counted("versions"), device: counted("device"),
    "last run": [...data.runs.finished].sort().at(-1)?.slice(0, 16).replace("T", " ") ?? "–",
  };
  find("#provenance").replaceChildren(element("h3", {}, "Made with"), element("dl", {},
    ...Object.entries(facts).flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, ...[text].flat())])));
}
