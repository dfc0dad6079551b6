// Before one talks: which agent, at which threshold, keeping what; and the live sessions that go on.
import { make } from "./timeline.js";

const KEPT = { full: "kept in full", features: "only its level", none: "not kept" };

function render({ model, el }) {
  const say = () => model.send_msg({ t: "policy", model: agent.value, threshold: Number(bar.value), voice: voice.value });
  const agent = make("select", { "aria-label": "Agent", onchange: say });
  const pace = make("output", {});
  const bar = make("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": "Threshold to begin with", oninput: () => { pace.textContent = Number(bar.value).toFixed(2); }, onchange: say });
  const voice = make("select", { "aria-label": "What is kept of your voice", onchange: say }, ...Object.entries(KEPT).map(([value, text]) => make("option", { value }, text)));
  const note = make("p", { class: "mtd-facts", role: "status" });
  const body = make("tbody"), none = make("p", { class: "mtd-empty" }, "No live session goes on.");
  const table = make("table", { class: "mtd-table" }, make("thead", {}, make("tr", {}, ...["session", "agent", "state", "so far", ""].map((name) => make("th", {}, name)))), body);
  el.append(make("div", { class: "microturn mtd" },
    make("form", { class: "mtd-filters", onsubmit: (event) => event.preventDefault() }, make("label", {}, "agent ", agent),
      make("label", { class: "mtd-slider" }, "begin at threshold ", bar, pace), make("label", {}, "your voice ", voice)),
    note, table, none));

  function policy() {
    agent.replaceChildren(...model.agents.map((name) => make("option", { value: name }, name)));
    agent.value = model.policy.model;
    bar.value = model.policy.threshold;
    pace.textContent = Number(bar.value).toFixed(2);
    voice.value = model.policy.voice;
  }
  function running() {
    table.hidden = !model.running.length;
    none.hidden = !table.hidden;
    body.replaceChildren(...model.running.map((row) => make("tr", { "data-name": row.name },
      make("td", {}, row.name), make("td", {}, row.agent), make("td", {}, make("span", { class: "mtd-state" }, row.state)), make("td", {}, row.seconds),
      make("td", {}, make("button", { type: "button", onclick: () => { model.send_msg({ t: "open", name: `${row.name}.sqlite` }); location.hash = "#sessions"; } }, "Look")))));
  }
  const tell = () => { note.textContent = model.note; };
  new IntersectionObserver((seen, watch) => { // whoever comes here may want to talk: the agent is loaded by then
    if (seen.some((entry) => entry.isIntersecting)) { watch.disconnect(); say(); }
  }).observe(el);
  model.on(["policy", "agents"], policy);
  model.on("running", running);
  model.on("note", tell);
  policy();
  running();
  tell();
}

export default { render };
