// One session, or two on one clock: the timeline, the sound with a moving cursor, a table of ticks, and why a tick came out as it did.
//
// The model's `shown` says what there is, `why` explains the tick that was asked for, `news` that the file has grown. The time of the audio
// element is the only other state. `COLOURS` (light to dark) and `WINDOW_S` stand before this module.
import { make } from "./timeline.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const known = new RegExp(Object.keys(COLOURS).map((colour) => colour.replace(/[()]/g, "\\$&")).join("|"), "gi");
const NARROW_PX = 760, PX_PER_S = 95, LANES_PX = 210, WIDEST_PX = 4000;

let loading = null;
function plotly() {
  loading ??= new Promise((done, failed) => {
    const script = make("script", { src: new URL("plotly/plotly.min.js", document.baseURI).href, onload: done, onerror: () => failed(new Error("the drawing library could not be fetched")) });
    document.head.append(script);
  });
  return loading;
}

function render({ model, el }) {
  let plot = null, drawing = 0, frame = 0;
  const title = make("h2", { tabindex: -1 }), facts = make("p", { class: "mtd-facts" }), verdict = make("p", { class: "mtd-verdict", role: "status" });
  const sound = make("audio", { controls: true, preload: "auto" }), sides = make("span", { class: "mtd-choice", role: "group", "aria-label": "which session to hear" });
  const zoom = make("span", { class: "mtd-choice", role: "group", "aria-label": "how much to see" },
    ...[[WINDOW_S, `${WINDOW_S} s`], [Infinity, "all"]].map(([span, text]) => make("button", { type: "button", onclick: () => show(span === Infinity ? 0 : sound.currentTime - 1, span) }, text)));
  const cursor = make("div", { class: "mtd-cursor" }), place = make("div", { class: "mtd-place" });
  const stage = make("div", { class: "mtd-stage" }, place, cursor), strip = make("div", { class: "mtd-strip" }, stage);
  const why = make("div", { class: "mtd-why", role: "status", "aria-label": "Why" }), heading = make("h3"), hint = make("p", { class: "mtd-facts" });
  const rows = make("div", { class: "mtd-ticks" }), problem = make("p", { class: "mtd-trouble", role: "alert", hidden: true });
  const news = make("button", { type: "button", class: "mtd-news", hidden: true, onclick: () => model.send_msg({ t: "again" }) });
  const whole = make("section", { hidden: true }, title, facts, verdict, make("div", { class: "mtd-bar" }, sound, sides, zoom, news), hint, strip, why, heading, rows);
  const empty = make("p", { class: "mtd-empty" }, "Open a session of the list, or choose two and compare them.");
  const busy = make("p", { class: "mtd-empty", role: "status", hidden: true }, "Drawing …");
  el.append(make("div", { class: "microturn mtd" }, problem, empty, busy, whole));
  const axis = () => plot._fullLayout.xaxis, endS = () => model.shown.end_s;

  function put() {
    if (!plot) return;
    const x = axis(), size = plot._fullLayout._size, at = sound.currentTime;
    cursor.style.display = at > 0 && at >= x.range[0] && at <= x.range[1] ? "block" : "none";
    Object.assign(cursor.style, { left: `${x._offset + x.d2p(at) - 1}px`, top: `${size.t}px`, height: `${size.h}px` });
    let now = null;
    const lines = [...rows.querySelectorAll("[data-at]")];
    for (const line of lines) if (Number(line.dataset.at) <= at + 1e-3) now = line;
    for (const line of lines) line.classList.toggle("mtd-here", line === now && at > 0);
  }
  // Seen from far away the slanted words would lie on each other; pointing at their boxes still names them.
  function tidy() {
    const dense = axis()._length / (axis().range[1] - axis().range[0]) < 55;
    (plot.layout.annotations ?? []).forEach((note, index) => {
      const drawn = note.name === "word" && plot.querySelector(`g.annotation[data-index="${index}"]`);
      if (drawn) drawn.style.display = dense ? "none" : "";
    });
  }
  function show(fromS, spanS) {
    const span = Math.min(spanS, endS()), start = Math.max(0, Math.min(fromS, endS() - span));
    return plot && Plotly.relayout(plot, { "xaxis.range": [start, start + span] });
  }
  function follow() {
    if (!plot) return;
    const [from, to] = axis().range;
    if (sound.currentTime > to - 0.1 * (to - from) && to < endS() - 1e-3) show(sound.currentTime - 0.2 * (to - from), to - from);
    put();
    cancelAnimationFrame(frame);
    if (!sound.paused) frame = requestAnimationFrame(follow);
  }
  function seek(atS) {
    const at = Math.max(0, Math.min(atS, endS() - 1e-3)), [from, to] = axis().range;
    sound.currentTime = at;
    if (at < from || at > to) show(at - 0.2 * (to - from), to - from);
    put();
    model.send_msg({ t: "tick", at_s: at });
  }
  const unlessCut = (error) => { if (error.name !== "AbortError") throw error; };
  function hear(number) {
    const at = sound.currentTime, playing = !sound.paused;
    sound.src = model.shown.sounds[number].url;
    sound.currentTime = at; // where it begins once it is there, unless someone goes elsewhere before
    if (playing) sound.play().catch(unlessCut); // another one was asked for before it began
    [...sides.children].forEach((button, index) => button.setAttribute("aria-pressed", String(index === number)));
  }

  async function draw() {
    const mine = ++drawing, { figure: text, end_s: end } = model.shown;
    busy.hidden = false;
    await plotly();
    if (mine !== drawing) return;
    const figure = JSON.parse(dark.matches ? text.replace(known, (colour) => COLOURS[colour.toUpperCase()] ?? COLOURS[colour] ?? colour) : text);
    if (el.clientWidth < NARROW_PX) { // the session side by side, moved by the strip's own scrolling
      figure.layout.width = Math.min(WIDEST_PX, LANES_PX + PX_PER_S * end);
      figure.layout.xaxis.range = [0, Math.min(end, (WIDEST_PX - LANES_PX) / PX_PER_S)];
      figure.layout.dragmode = false;
    }
    const fresh = make("div");
    place.replaceChildren(fresh);
    await Plotly.newPlot(fresh, figure.data, figure.layout, { displayModeBar: false, responsive: !figure.layout.width, scrollZoom: !figure.layout.width });
    if (mine !== drawing) return void Plotly.purge(fresh);
    const rules = document.getElementById("plotly.js-style-global")?.sheet?.cssRules ?? []; // plotly styles the document; this is a shadow root
    fresh.before(make("style", {}, [...rules].map((rule) => rule.cssText).join("\n")));
    if (plot) Plotly.purge(plot);
    plot = fresh;
    plot.on("plotly_afterplot", () => { if (plot === fresh) { tidy(); put(); } }); // it may be told later, of one that is gone
    tidy();
    put();
    if (!sound.paused) follow();
    busy.hidden = true;
    whole.dataset.drawn = model.shown.names.join(" ");
  }
  function tryToDraw() {
    const mine = drawing + 1; // its number, unless another is begun meanwhile
    draw().catch((error) => {
      if (mine !== drawing) return;
      busy.hidden = true;
      problem.hidden = false;
      problem.textContent = `The timeline cannot be drawn: ${error.message}`;
    });
  }
  function update() {
    const { names, problem: trouble } = model.shown;
    drawing++; // what is being drawn is not shown any more
    problem.hidden = !trouble;
    problem.textContent = trouble ?? "";
    empty.hidden = Boolean(names || trouble || model.busy);
    busy.hidden = !model.busy;
    whole.hidden = !names;
    if (plot) Plotly.purge(plot);
    plot = null;
    delete whole.dataset.drawn;
    if (!names) return;
    title.textContent = model.shown.title;
    facts.textContent = model.shown.facts;
    verdict.textContent = model.shown.verdict;
    heading.textContent = model.shown.heading;
    hint.textContent = model.shown.hint;
    rows.innerHTML = model.shown.table;
    sides.replaceChildren(...model.shown.sounds.map(({ label }, number) => make("button", { type: "button", onclick: () => hear(number) }, label)));
    sides.hidden = model.shown.sounds.length < 2;
    hear(0);
    tryToDraw();
  }
  // A press and release in one place is a click; anything else is a pan, and belongs to the figure.
  let pressed = null;
  stage.addEventListener("pointerdown", (event) => { pressed = [event.clientX, event.clientY]; }, true);
  const released = (event) => {
    const begun = pressed;
    pressed = null;
    if (!plot || !begun || Math.hypot(event.clientX - begun[0], event.clientY - begun[1]) > 4) return;
    const px = event.clientX - plot.getBoundingClientRect().left - axis()._offset;
    if (px >= 0 && px <= axis()._length) seek(axis().p2d(px));
  };
  document.addEventListener("pointerup", released, true);
  const rowOf = (event) => event.target.closest?.("[data-at]");
  rows.addEventListener("click", (event) => { if (plot && rowOf(event)) seek(Number(rowOf(event).dataset.at)); });
  rows.addEventListener("keydown", (event) => { if (event.key === "Enter" && plot && rowOf(event)) seek(Number(rowOf(event).dataset.at)); });
  sound.addEventListener("play", () => { if (plot) follow(); });
  for (const name of ["seeked", "timeupdate", "loadedmetadata"]) sound.addEventListener(name, put);
  const explain = () => { why.innerHTML = model.why || "<p class='mtd-empty'>Click the timeline or a row to read why the agent did what it did there.</p>"; };
  const tell = () => { news.hidden = !model.news; news.textContent = model.news; };
  const recolour = () => { if (model.shown.names) tryToDraw(); }; // also while it is first drawn
  dark.addEventListener("change", recolour);
  model.on("shown", update);
  model.on("busy", () => { busy.hidden = !model.busy; if (model.busy) empty.hidden = true; });
  model.on("why", explain);
  model.on("news", tell);
  model.on("lifecycle:remove", () => { document.removeEventListener("pointerup", released, true); dark.removeEventListener("change", recolour); if (plot) Plotly.purge(plot); });
  explain();
  tell();
  update();
}

export default { render };
