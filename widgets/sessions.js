// The list of sessions: what is looked for, a line for each, two of them chosen to be compared.
//
// The model's `rows`, `counts`, `choices` and `opened` say what is shown; what a person does is sent as a message, and comes back as other rows.
import { make } from "./timeline.js";

const COLUMNS = ["", "when", "scenario", "agent", "voice", "length", "score", "what was said", "file"];
const PAUSE_MS = 150; // after the last key before the query is sent

function render({ model, el }) {
  const chosen = new Set();
  let timer = 0;
  const ask = () => {
    clearTimeout(timer);
    timer = setTimeout(() => model.send_msg({ t: "query", text: text.value, family: family.value, agent: agent.value, since: since.value, until: until.value }), PAUSE_MS);
  };
  const text = make("input", { type: "text", class: "mtd-search", placeholder: "Words said, or a file's name", "aria-label": "Search what was said", oninput: ask });
  const family = make("select", { "aria-label": "Scenario family", onchange: ask });
  const agent = make("select", { "aria-label": "Agent", onchange: ask });
  const since = make("input", { type: "date", "aria-label": "From this day on", onchange: ask });
  const until = make("input", { type: "date", "aria-label": "Until this day", onchange: ask });
  const clear = make("button", { type: "button", onclick: () => { for (const field of [text, family, agent, since, until]) field.value = ""; ask(); } }, "Clear");
  const compare = make("button", { type: "button", class: "mtd-compare", disabled: true, onclick: () => model.send_msg({ t: "compare", names: [...chosen] }) }, "Compare two");
  const count = make("p", { class: "mtd-count", role: "status" });
  const body = make("tbody");
  const table = make("table", { class: "mtd-table" }, make("thead", {}, make("tr", {}, ...COLUMNS.map((name) => make("th", {}, name)))), body);
  const list = make("div", { class: "mtd-list", tabindex: 0, role: "region", "aria-label": "Sessions" }, table);
  el.append(make("div", { class: "microturn mtd" },
    make("form", { class: "mtd-filters", role: "search", onsubmit: (event) => event.preventDefault() }, text, family, agent,
      make("label", {}, "from ", since), make("label", {}, "to ", until), clear, compare),
    count, list));

  function options(select, all, names) {
    const before = select.value;
    select.replaceChildren(make("option", { value: "" }, all), ...names.map((name) => make("option", { value: name }, name.replaceAll("_", " "))));
    select.value = names.includes(before) ? before : "";
  }
  function choose() {
    compare.disabled = chosen.size !== 2;
    compare.textContent = chosen.size === 2 ? "Compare these two" : `Compare two (${chosen.size} chosen)`;
  }
  function line(row) {
    const box = make("input", { type: "checkbox", "aria-label": `Choose ${row.name} to compare`, onchange: () => { chosen[box.checked ? "add" : "delete"](row.name); choose(); } });
    box.checked = chosen.has(row.name);
    const open = () => model.send_msg({ t: "open", name: row.name });
    const cell = (name, ...what) => make("td", { class: `mtd-${name}`, "data-label": name }, ...what);
    if (row.state === "damaged") {
      const problem = make("td", { class: "mtd-problem", colspan: 7 }, make("b", {}, "damaged "), row.problem);
      return make("tr", { "data-name": row.name, "data-state": row.state }, cell("pick"), problem, cell("file", row.name));
    }
    const button = make("button", { type: "button", class: "mtd-open", onclick: open }, row.family || "session", row.seed === "" ? "" : ` · seed ${row.seed}`);
    const length = make("span", { title: `${row.ticks} micro-turns` }, row.length);
    const state = row.state === "whole" ? "" : make("span", { class: "mtd-state", title: row.problem }, row.state === "live" ? `live: ${row.problem}` : "not closed");
    const score = row.score && make("span", { class: row.passed ? "mtd-yes" : "mtd-no", title: "expectations of the scenario that were met" }, row.score);
    return make("tr", { "data-name": row.name, "data-state": row.state, onclick: (event) => { if (!event.target.closest("button, input")) open(); } },
      cell("pick", box), cell("when", row.when), cell("scenario", button), cell("agent", row.agent, make("small", {}, row.setting)), cell("voice", make("span", { title: row.manner }, row.voice)),
      cell("length", length, state), cell("score", score), cell("words", row.words), cell("file", row.name));
  }
  function draw() {
    const focused = el.getRootNode().activeElement?.closest("tr")?.dataset.name, names = new Set(model.rows.map((row) => row.name));
    for (const name of [...chosen]) if (!names.has(name)) chosen.delete(name);
    body.replaceChildren(...model.rows.map(line));
    if (focused) [...body.rows].find((row) => row.dataset.name === focused)?.querySelector("button")?.focus();
    choose();
    mark();
  }
  function mark() {
    list.classList.toggle("mtd-low", model.opened.length > 0);
    for (const row of body.rows) row.classList.toggle("mtd-here", model.opened.includes(row.dataset.name));
  }
  function facts() {
    const { listed, all, damaged } = model.counts;
    const broken = damaged ? ` · ${damaged} damaged` : "";
    count.textContent = all === undefined ? "Looking through the folder …" : all ? `${listed} of ${all} ${all === 1 ? "session" : "sessions"}${broken}` : "No session in this folder yet: microturn run --out FOLDER/one, or talk to the agent under Live.";
  }
  function offer() {
    options(family, "all scenarios", model.choices.families ?? []);
    options(agent, "all agents", model.choices.agents ?? []);
  }
  model.on("rows", draw);
  model.on("opened", mark);
  model.on("counts", facts);
  model.on("choices", offer);
  offer();
  facts();
  draw();
  model.send_msg({ t: "ready" });  // what was told before this page could listen may be lost
}

export default { render };
