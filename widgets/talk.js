// The panel one talks through: start and stop, consent, what stands in the way, typed text, the log of what was said, the timeline.
//
// `mount(root, { carrier })` builds it; the default export is the same as an anywidget. One file with the others for a page without modules
// of its own: see `widgets/client.py`.
import { connect, panelCarrier, socketOrComm } from "./carriers.js";
import { Trouble, openLoudspeaker, openPictures, openSound } from "./sound.js";
import { clock, createTimeline, make } from "./timeline.js";
import { createQuestions } from "./questions.js";
import { thingOf } from "./things.js";
export { connect, panelCarrier, socketCarrier } from "./carriers.js";

const LEAD_MS = { websocket: 40, panel: 80, comm: 120 }; // silence before a dry queue plays again: what each carrier's jitter needs
const KEPT = { full: "kept in full", features: "only features kept", none: "not kept" };
const STREAMS = { "user.audio": "your voice", "user.text": "what you type", "user.camera": "your pictures", "agent.audio": "the agent's voice", "agent.text": "its words", transcript: "the words it hears" };
const THINGS_HELD = 4, LINES_HELD = 500, JOIN_S = 2;
const MICROPHONE = { echoCancellation: true, noiseSuppression: false, autoGainControl: false };

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
/** What is kept how, in one part for each way: "kept in full: your voice, what you type · not kept: your pictures". */
function keptText(kept) {
  const ways = new Map();
  for (const [stream, how] of Object.entries(kept ?? {})) ways.set(how, [...(ways.get(how) ?? []), STREAMS[stream] ?? stream]);
  return [...ways].map(([how, streams]) => `${KEPT[how] ?? how}: ${streams.join(", ")}`).join(" · ");
}

/** A rule that one number sets, as a labelled slider or choice; `set(value)` hears of every move. */
function dialOf({ says, low, high, step, off, value, unit, choices, given }, set) {
  if (choices.length) {
    const options = choices.map((each, i) => make("option", { value: low + i, selected: low + i === value }, each));
    return make("label", {}, `${says} `, make("select", { disabled: true, onchange: ({ target }) => set(Number(target.value)) }, ...options));
  }
  const told = (at) => (at === off ? "no rule" : `${Number(at.toFixed(2))} ${unit}`.trim()), shown = make("output", {}, given || told(value));
  return make("label", {}, `${says} `, make("input", { type: "range", min: low, max: high, step, value, disabled: true, oninput: ({ target }) => {
    shown.textContent = told(Number(target.value));
    set(Number(target.value));
  } }), shown);
}

/**
 * Build the panel in `root`. `carrier()` gives, or promises, a fresh carrier for each start.
 *
 * Options: `microphone` (constraints), `probe` (offer a probe tone, true), `standIn` (who talks in the person's place: the page looks on, from
 * now on, and opens no microphone), `graceMs`, `silenceMs`. Returns { state, link, sound, timeline, start, agree, stop, type, on, destroy };
 * `state` is idle, connecting, asking, opening, talking, waiting or ended. `on(type, ear)` hears every message of the runtime by its type, in
 * this session and later ones, and "panel" with every new state; `type(text)` types a line, and tells whether it was sent.
 */
export function mount(root, { carrier, microphone = MICROPHONE, probe = true, standIn = "", ...patience }) {
  root.classList.add("microturn");
  const talk = { state: "idle", link: null, sound: null, welcome: null }, ears = [];
  let pictures = null, starts = 0, looks = 0, nowS = 0, agreed = null;

  // Elements ----------------------------------------------------------------------------------------------------------------

  const button = (text, onclick, more = {}) => make("button", { type: "button", onclick, ...more }, text);
  const startStop = button("Start", () => (active() ? stop() : start()), { class: "mt-start" });
  const light = make("span", { class: "mt-light", "aria-hidden": "true" });
  const recording = make("span", { class: "mt-recording", role: "status" }, "not recording");
  const kept = make("span", { class: "mt-kept" });
  const level = make("meter", { class: "mt-level", min: 0, max: 1, value: 0, "aria-label": "Microphone level", title: "microphone level" });
  const route = make("p", { class: "mt-route" }, "");
  const finding = make("p", { class: "mt-finding", role: "status" },
    standIn ? `${standIn} talks in your place: no microphone is opened.` : "Headphones advised: without them the agent may hear itself.");
  const loud = button("Hear it", () => talk.sound?.allow?.().then(() => { loud.hidden = true; }, () => {}), { hidden: true });
  const trouble = make("div", { class: "mt-trouble", role: "alert", hidden: true });
  const tone = make("input", { type: "checkbox", checked: probe });
  const yes = button("Agree and start the microphone", () => agree(true), { class: "mt-yes" });
  const question = make("div", { class: "mt-consent", role: "alertdialog", "aria-label": "Before your microphone opens", tabindex: -1, hidden: true });
  const questions = createQuestions({
    answer: (given) => talk.link.send({ t: "click", ...given }), settled: (text) => write("tool", text, nowS),
  });
  const pace = make("output", {}, "–");
  const bar = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0.5, disabled: true, "aria-label": "Threshold of p(speak)", oninput: () => {
    pace.textContent = Number(bar.value).toFixed(2);
    talk.link.send({ t: "set", name: "threshold", value: Number(bar.value) });
  } });
  const see = { camera: button("Camera", () => look("camera"), { "aria-pressed": "false", disabled: true }), screen: button("Screen", () => look("screen"), { "aria-pressed": "false", disabled: true }) };
  const dials = make("div", { class: "mt-dials" });
  const rules = make("details", { class: "mt-rules", hidden: true }, make("summary", {}, "Rules of speaking"), dials);
  const line = make("input", { type: "text", "aria-label": "Type to the agent", placeholder: "Type instead of speaking", maxlength: 500, autocomplete: "off", disabled: true });
  const send = make("button", { type: "submit", disabled: true }, "Send");
  const typing = make("form", { class: "mt-typing", onsubmit: (event) => { event.preventDefault(); if (type(line.value)) line.value = ""; } }, line, send);
  const log = make("ol", { class: "mt-log", role: "log", "aria-label": "What was said", tabindex: 0 });
  let following = true; // the last line, until someone scrolls away from it
  let room = ""; // the place's size when it was last followed: what moves between a new size and that is the layout, nobody's hand
  const size = () => `${log.clientWidth} ${log.clientHeight}`;
  const follow = () => { if (following) log.scrollTop = log.scrollHeight; room = size(); };
  log.addEventListener("scroll", () => { if (size() === room) following = log.scrollHeight - log.scrollTop - log.clientHeight < 30; });
  const resized = new ResizeObserver(follow); // in a narrower place lines take more room
  resized.observe(log);
  const place = make("div", { class: "mt-place" });
  const things = make("section", { class: "mt-things", "aria-label": "What the agent shows", "aria-live": "polite" });
  const panel = make("div", { class: "mt-panel" },
    make("div", { class: "mt-head" }, startStop, loud, make("span", { class: "mt-lamp" }, light, recording, standIn ? null : level), kept),
    question, questions.element, trouble,
    make("div", { class: "mt-notes" }, finding, route),
    make("div", { class: "mt-controls" }, typing, ...(standIn ? [] : [see.camera, see.screen]), make("label", { class: "mt-bar" }, "threshold ", bar, pace)),
    rules, things, place, make("h3", { class: "mt-logname" }, "What was said"), log);
  root.append(panel);
  for (const control of [line, bar, dials]) control.addEventListener("keydown", (event) => event.stopPropagation()); // a notebook has keys of its own
  const timeline = createTimeline(place);

  const active = () => ["connecting", "asking", "opening", "talking", "waiting"].includes(talk.state);
  const RECORDING = { talking: standIn ? `${standIn} talks` : "recording", waiting: standIn ? "connection lost" : "recording, connection lost", opening: "opening the microphone", ended: standIn ? "ended" : "ended, not recording", asking: "not recording yet" };
  function become(state) {
    talk.state = state;
    panel.dataset.state = state;
    startStop.textContent = active() ? "Stop" : "Start";
    recording.textContent = RECORDING[state] ?? "not recording";
    for (const control of [line, send, bar, see.camera, see.screen, ...dials.querySelectorAll("input, select")]) control.disabled = state !== "talking";
    if (state !== "asking") question.hidden = true;
    questions.live(state === "talking");
    if (!["talking", "waiting"].includes(state)) level.value = 0;
    ears.forEach(([type, ear]) => { if (type === "panel") ear(state); });
  }
  function complain(text) {
    trouble.hidden = !text;
    trouble.textContent = text;
  }

  // Start, consent, stop ----------------------------------------------------------------------------------------------------

  /** `begin`: where someone stands in, begin another session if the last one is over. */
  async function start(begin = true) {
    const mine = ++starts;
    complain("");
    become("connecting");
    const chosen = await carrier();
    if (mine !== starts) { chosen.close(); return; }
    route.textContent = chosen.reason;
    const link = (talk.link = connect({ carrier: chosen, settings: { agent: navigator.userAgent, ...(standIn ? { begin } : { microphone }) }, ...patience }));
    link.on("welcome", welcome).on("tick", tick).on("question", questions.ask).on("settled", questions.settle).on("drop", ({ from }) => { talk.sound?.drop(from); timeline.drop(from); })
      .on("problem", ({ text }) => complain(text))
      .on("end", ({ reason, text, trace }) => complain([sentence(text || `The session ended (${reason})`), trace ? `Its trace: ${trace}` : ""].filter(Boolean).join(" ")))
      .on("state", (state, text) => {
        if (mine !== starts) return;
        if (state === "waiting") { complain(text); if (talk.state === "talking") become("waiting"); }
        if (state === "open" && talk.state === "waiting") { complain(""); become("talking"); }
        if (state === "ended") finish();
      });
    ears.forEach(([type, ear]) => link.on(type, ear));
    link.start();
  }
  function welcome(message) {
    questions.clear(); // those that are open are asked again
    if (talk.welcome?.session === message.session) { // resumed: the timeline and the microphone go on
      if (agreed) talk.link.send(agreed); // it may have been lost with the connection; the server takes it twice
      return;
    }
    talk.welcome = message;
    capturedNoMore(); // what was agreed to was another session
    timeline.reset(message.tick_ms, message.lanes);
    log.replaceChildren();
    things.replaceChildren();
    nowS = 0;
    kept.textContent = keptText(message.kept);
    rules.hidden = !message.dials?.length;
    dials.replaceChildren(...(message.dials ?? []).map((dial) => dialOf(dial, (value) => talk.link.send({ t: "set", name: dial.name, value }))));
    for (const each of Object.values(see)) each.hidden = message.lanes?.length > 0 && !message.lanes.includes("camera"); // an agent without eyes
    if (standIn) { lookOn(); return; }
    question.replaceChildren(
      make("p", {}, make("b", {}, `May ${message.agent || "the agent"} hear you? `), "Nothing is captured until you agree."),
      make("p", {}, `Of this session, ${keptText(message.kept) || "the server does not say what is kept"}.`),
      ...(message.sent ? [make("p", {}, `Sent to others: ${message.sent}.`)] : []),
      make("label", {}, tone, " first check with a short tone whether the microphone hears the loudspeaker"),
      make("div", { class: "mt-answers" }, yes, button("No", () => agree(false))));
    become("asking");
    question.hidden = false;
    yes.focus();
  }
  async function lookOn() {
    const { welcome: asked } = talk;
    become("talking");
    try {
      const sound = await openLoudspeaker({ leadMs: LEAD_MS[talk.link.carrier.name] ?? LEAD_MS.comm });
      if (talk.welcome !== asked) { sound.close(); return; }
      talk.sound = sound;
      loud.hidden = sound.context.state === "running";
      sound.context.onstatechange = () => { loud.hidden = sound.context.state !== "suspended"; };
    } catch (error) {
      route.textContent += ` The sound cannot be played: ${error.message}`;
    }
  }
  async function agree(given) {
    if (talk.state !== "asking") return;
    const { link, welcome: asked } = talk;
    const past = () => talk.welcome !== asked; // the session is over, or another was begun
    if (!given) {
      link.send({ t: "consent", given: false });
      complain("You did not agree, so nothing was captured. Press Start when you change your mind.");
      stop();
      return;
    }
    become("opening");
    try {
      const sound = await openSound({
        constraints: microphone, leadMs: LEAD_MS[link.carrier.name] ?? LEAD_MS.comm,
        onFrame: (n, samples) => { link.send({ t: "audio", n, at: performance.now() }, [samples]); loudness(samples); },
        onPlayed: ({ position, queued }) => { timeline.played(position); link.send({ t: "played", position, queued, at: performance.now() }); },
        onEnded: () => complain("The microphone went away (unplugged, or its permission was withdrawn). You can still type; Stop and Start opens it again."),
      });
      if (past()) { sound.close(); return; }
      talk.sound = sound;
      if (tone.checked) hear(await sound.probe());
      if (past()) return;
      agreed = { t: "consent", given: true, text: [...question.querySelectorAll("p")].map((part) => part.textContent).join(" ") };
      link.send(agreed);
      sound.begin();
      become(link.state === "open" ? "talking" : "waiting");
      line.focus();
    } catch (error) {
      if (past()) return;
      complain(error instanceof Trouble ? error.message : `The sound could not be opened: ${error.message}`);
      stop();
    }
  }
  function hear({ text, leaks }) {
    finding.textContent = text;
    finding.classList.toggle("mt-leaks", leaks);
  }
  function stop() {
    if (talk.link && talk.link.state !== "ended") talk.link.close();
    else finish();
  }
  function finish() {
    starts++;
    capturedNoMore();
    talk.welcome = null;
    questions.clear();
    loud.hidden = true;
    if (timeline.record.last >= 0) timeline.finish();
    become("ended");
  }
  function capturedNoMore() {
    looks++;
    talk.sound?.close();
    pictures?.close();
    talk.sound = pictures = agreed = null;
    for (const each of Object.values(see)) each.setAttribute("aria-pressed", "false");
  }

  // What comes and what goes --------------------------------------------------------------------------------------------------

  function tick(message, buffers) {
    if (message.tick <= timeline.record.last) return; // told again, after the connection was lost
    nowS = message.at_s;
    const samples = new Int16Array(buffers[0]?.buffer ?? 0), count = samples.length;
    timeline.tick(message, count, buffers[1]);
    if (count) talk.sound?.play(message.position, samples);
    if (standIn && message.typed) write("typed", message.typed, timeline.typed(message.typed));
    for (const thing of message.shown ?? []) show(thing);
    for (const [side, word, startS] of message.words ?? []) write(side, word, startS);
    if (message.decision?.threshold !== undefined && !bar.matches(":focus")) {
      bar.value = message.decision.threshold;
      pace.textContent = message.decision.threshold.toFixed(2);
    }
  }
  /** What a task shows takes the place of what it has shown before. */
  function show(thing) {
    const made = thingOf(thing), before = [...things.children].find(({ dataset }) => dataset.task === made.dataset.task);
    if (before) before.replaceWith(made);
    else things.append(made);
    while (things.childElementCount > THINGS_HELD) things.firstElementChild.remove();
  }
  function loudness(samples) {
    let peak = 0;
    for (const value of samples) peak = Math.max(peak, Math.abs(value));
    level.value = Math.max(0, 1 + Math.log10(peak / 32768 + 1e-3) / 3);
  }
  const NAMES = { user: "you, as heard", model: "agent", typed: "you, typed", tool: "a tool" }; // the sides of the protocol's words, and what was typed here
  function write(side, word, startS) {
    const last = log.lastElementChild;
    if (last && last.dataset.side === side && !["typed", "tool"].includes(side) && startS - Number(last.dataset.at) < JOIN_S) {
      last.lastElementChild.append(` ${word}`);
      last.dataset.at = startS;
    } else {
      const name = make("b", { class: `mt-${side}` }, NAMES[side] ?? side);
      log.append(make("li", { "data-side": side, "data-at": startS }, make("time", {}, clock(startS)), name, make("span", {}, word)));
      if (log.childElementCount > LINES_HELD) log.firstElementChild.remove();
    }
    follow();
  }
  function type(typed) {
    const text = typed.trim();
    if (!text || talk.state !== "talking") return false;
    talk.link.send({ t: "text", text });
    if (!standIn) write("typed", text, timeline.typed(text)); // what someone else types is told with its tick, and so is this then
    return true;
  }
  async function look(kind) {
    const on = see[kind].getAttribute("aria-pressed") === "true", mine = ++looks, { link } = talk;
    pictures?.close();
    pictures = null;
    for (const each of Object.values(see)) each.setAttribute("aria-pressed", "false");
    if (on) return;
    try {
      const opened = await openPictures({
        kind, tickMs: talk.welcome.tick_ms, onEnded: () => see[kind].setAttribute("aria-pressed", "false"),
        onFrames: (bytes, size, count) => link.send({ t: "frame", at: performance.now(), w: size, h: size, count }, [bytes]),
      });
      if (mine !== looks) { opened.close(); return; } // another was asked for meanwhile, or the session is over
      pictures = opened;
      see[kind].setAttribute("aria-pressed", "true");
    } catch (error) {
      if (mine === looks) complain(error.message);
    }
  }

  const leave = () => { if (active()) stop(); };
  window.addEventListener("pagehide", leave);
  become("idle");
  if (standIn) start(false);
  return Object.assign(talk, {
    timeline, start, agree, stop, type,
    on(type, ear) { ears.push([type, ear]); return talk; },
    destroy() {
      window.removeEventListener("pagehide", leave);
      leave();
      resized.disconnect();
      timeline.destroy();
      panel.remove();
    },
  });
}

/** The panel as an anywidget or a Panel component: closes microphone and session when its view goes away. One view of a widget talks at a time. */
function render({ model, el }) {
  if (model.send_msg) {
    const talk = mount(el, { carrier: () => panelCarrier(model, "Panel message: one connection with the page's own"), probe: model.probe });
    model.on("lifecycle:remove", () => talk.destroy());
    return undefined;
  }
  const carrier = () => socketOrComm(model, model.get("address"), model.get("unavailable"));
  const talk = mount(el, { carrier, probe: model.get("probe"), standIn: model.get("stand_in") });
  return () => talk.destroy();
}

export default { render };
