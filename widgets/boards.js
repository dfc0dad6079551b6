// The evaluations of a folder: a line for each, and the scoreboard of the one that is chosen, in a frame of its own that may run its script alone.
import { make } from "./timeline.js";

function render({ model, el }) {
  const body = make("tbody");
  const table = make("table", { class: "mtd-table" }, make("thead", {}, make("tr", {}, ...["agent", "both right", "95 % interval", "of", "in", "file"].map((name) => make("th", {}, name)))), body);
  const frame = make("iframe", { title: "Scoreboard", sandbox: "allow-scripts", hidden: true });
  const empty = make("p", { class: "mtd-empty" }, "No evaluation.json in this folder yet: microturn evaluate --out FOLDER/one writes one.");
  el.append(make("div", { class: "microturn mtd" }, table, empty, frame));

  function line(row) {
    if (row.problem) return make("tr", { "data-name": row.name, "data-state": "damaged" }, make("td", { class: "mtd-problem", colspan: 5 }, make("b", {}, "damaged "), row.problem), make("td", { class: "mtd-file" }, row.name));
    const open = () => model.send_msg({ t: "board", name: row.name });
    const share = make("span", { class: "mtd-share" }, make("i", { style: `width:${row.share}%` }));
    return make("tr", { "data-name": row.name, onclick: (event) => { if (!event.target.closest("button")) open(); } },
      make("td", {}, make("button", { type: "button", class: "mtd-open", onclick: open }, row.title)), make("td", { class: "mtd-score" }, share, row.mean),
      make("td", {}, row.interval), make("td", {}, `${row.families} families`), make("td", {}, `${row.episodes} episodes`), make("td", { class: "mtd-file" }, row.name));
  }
  function draw() {
    table.hidden = !model.rows.length;
    empty.hidden = !table.hidden;
    body.replaceChildren(...model.rows.map(line));
    mark();
  }
  const mark = () => { for (const row of body.rows) row.classList.toggle("mtd-here", row.dataset.name === model.opened); };
  function page() {
    frame.hidden = !model.page;
    frame.srcdoc = model.page;
    mark();
  }
  model.on("rows", draw);
  model.on("page", page);
  draw();
  page();
}

export default { render };
