// The shared page around the client: things to try, a table of recent decisions, the sessions that were held, to take home.
//
// `build(element, { root, tries })` fills the page; `root` is where its server keeps the socket (talk) and the traces (trace).
import { clock, make, mount, socketCarrier } from "./talk.js"; // the joined module: see `widgets/client.py`

const ROWS = 12, HELD = 300; // rows in sight, ticks looked through for them
const percent = (value) => value.toFixed(2);

export function build(element, { root, tries }) {
  const place = make("div", { class: "mt-client" });
  const socket = Object.assign(new URL(`${root}talk`, location.href), { protocol: location.protocol === "https:" ? "wss:" : "ws:" });
  const talk = mount(place, { carrier: () => socketCarrier(socket.href, "WebSocket to the server of this page") });
  element.append(trySection(talk, tries), place, decisionSection(talk), sessionSection(talk, root));
  return (window.talk = talk);
}

// Things to try ---------------------------------------------------------------------------------------------------------------

function trySection(talk, tries) {
  const card = make("div", { class: "mt-card", id: "mt-card", "aria-live": "polite" });
  const choice = (each) => make("button", { type: "button", "aria-controls": "mt-card", "aria-pressed": "false", onclick: () => show(each) }, each.title);
  const buttons = tries.map(choice);
  let sends = [];
  const ready = () => sends.forEach((button) => { button.disabled = talk.state !== "talking"; });
  function show(each) {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(tries[i] === each)));
    sends = [];
    const lines = each.say.map((text) => {
      if (!each.typed) return make("li", {}, make("q", {}, text));
      const about = { type: "button", class: "mt-type", title: "send this line as typed text" };
      const send = make("button", { ...about, onclick: () => talk.type(text) }, "⌨ type it");
      sends.push(send);
      return make("li", {}, make("q", {}, text), " ", send);
    });
    card.replaceChildren(
      make("div", {}, make("h3", {}, "Say"), make("ol", {}, ...lines)),
      make("div", {}, make("h3", {}, "Watch"), make("p", {}, each.watch)),
    );
    ready();
  }
  talk.on("panel", ready);
  if (tries.length) show(tries[0]);
  return make("section", { class: "mt-tries", "aria-label": "Things to try" },
    make("h2", {}, "Try"), make("div", { class: "mt-choices" }, ...buttons), card);
}

// Decisions -------------------------------------------------------------------------------------------------------------------

const acting = (gates) => (gates ?? []).filter(([, wanted, done]) => wanted !== done);

/** Why a tick came out as it did: the gate that changed it, or p(speak) against its threshold. */
function reason({ p_speak, p_yield, threshold, gates }, yielded) {
  const told = acting(gates).map(([name, wanted, done, why]) => {
    return `${name}: wanted ${wanted || "nothing"}, did ${done || "nothing"}${why ? ` (${why})` : ""}`;
  });
  if (told.length) return `◆ ${told.join("; ")}`;
  if (yielded) return `p(yield) ${percent(p_yield)}`;
  return `p(speak) ${percent(p_speak)} ${p_speak < threshold ? "<" : "≥"} ${percent(threshold)}`;
}

function decisionSection(talk) {
  const names = ["Time", "Floor", "Said", "p(speak)", "Threshold", "p(yield)", "Why"];
  const body = make("tbody", {}), ticks = [];
  const every = make("input", { type: "checkbox", onchange: () => body.replaceChildren(...shown().map(row)) });
  const telling = (tick) => every.checked || tick.said || tick.yielded || tick.acted || tick.turned;
  const shown = () => ticks.filter(telling).slice(-ROWS).reverse();
  function row({ message, said, yielded, acted }) {
    const { decision } = message, speak = make("td", { class: "mt-number mt-chance" }, percent(decision.p_speak));
    speak.style.setProperty("--mt-p", decision.p_speak);
    speak.style.setProperty("--mt-bar", decision.threshold);
    const says = [yielded ? "yields" : "", said].filter(Boolean).join(", ");
    return make("tr", { class: acted ? "mt-gated" : "" }, make("td", { class: "mt-number" }, clock(message.at_s)),
      make("td", {}, make("span", { class: `mt-state mt-state-${decision.floor}` }, decision.floor)),
      make("td", { class: says ? "mt-saying" : "mt-saying mt-none" }, says || "–"), speak,
      make("td", { class: "mt-number" }, percent(decision.threshold)), make("td", { class: "mt-number" }, percent(decision.p_yield)),
      make("td", { class: "mt-why" }, reason(decision, yielded)));
  }
  let current = null;
  function anew({ session }) {
    if (session === current) return; // resumed
    current = session;
    ticks.length = 0;
    body.replaceChildren();
  }
  talk.on("welcome", anew).on("tick", (message) => {
    const { decision } = message;
    if (!decision) return;
    const tick = {
      message, said: message.said, acted: acting(decision.gates).length > 0,
      yielded: message.events.some(([kind]) => kind === "model.yielded"), turned: ticks.at(-1)?.message.decision.floor !== decision.floor,
    };
    ticks.push(tick);
    if (ticks.length > HELD) ticks.shift();
    if (!telling(tick)) return;
    body.prepend(row(tick));
    while (body.childElementCount > ROWS) body.lastElementChild.remove();
  });
  const table = make("table", {}, make("caption", {}, "One row is one decision, 200 ms. Newest first."),
    make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)))), body);
  return make("section", { class: "mt-decisions", "aria-label": "Decisions" },
    make("div", { class: "mt-title" }, make("h2", {}, "Decisions"), make("label", {}, every, " every tick, also where nothing changes")),
    make("div", { class: "mt-scroll", tabindex: 0, role: "group", "aria-label": "Recent decisions" }, table));
}

// Sessions to take home -------------------------------------------------------------------------------------------------------

function sessionSection(talk, root) {
  const list = make("ul", { class: "mt-sessions" }), told = make("p", { class: "mt-told", role: "status" });
  let current = null;
  async function take({ session, token }) {
    told.textContent = "Fetching …";
    const answer = await fetch(`${root}trace`, { headers: { "x-microturn-token": token } }).catch(() => null);
    told.textContent = answer?.ok ? "" : answer ? `Not to be had: ${await answer.text()}` : "Not to be had: the server does not answer.";
    if (!answer?.ok) return;
    const address = URL.createObjectURL(await answer.blob());
    make("a", { href: address, download: `${session}.sqlite` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }
  talk.on("welcome", ({ session, token }) => { if (session !== current?.session) current = { session, token, recorded: false }; })
    .on("tick", () => { current.recorded = true; })
    .on("panel", (state) => {
      if (state !== "ended" || !current?.recorded) return;
      const mine = current;
      current = null;
      list.prepend(make("li", {}, make("button", { type: "button", onclick: () => take(mine) }, "Download"), ` ${mine.session}`));
    });
  return make("section", { class: "mt-home", "aria-label": "Your sessions" }, make("h2", {}, "Your sessions"), list, told,
    make("p", { class: "mt-hint" }, "When a session has ended you can take its trace home: all that was kept of both sides and every decision with its reasons, ",
      "hash-chained, in one SQLite file. ", make("code", {}, "microturn inspect FILE"), " prints it, ",
      make("code", {}, "microturn replay FILE"), " runs it again."));
}
