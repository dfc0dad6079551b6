// What a tool asks before it may be called: a card for each question, with a button to allow it and one to refuse it.
//
// All of it may come from strangers: it is shown as text, what is invisible or turns the reading direction is spelled out, and no script's
// click counts. The buttons can be pressed only once the card has stood for a while: a click on its way to something else is no answer.
import { make } from "./timeline.js";

const STANDS_MS = 600, GONE_MS = 8000;
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu; // controls, among them those that turn text around

const seen = (text) => String(text).replace(HIDDEN, (sign) => (sign === "\n" ? sign : `\\u{${sign.codePointAt(0).toString(16)}}`));
const value = (given) => seen(typeof given === "string" ? given : JSON.stringify(given));
const row = (name, given) => [make("dt", {}, seen(name)), make("dd", {}, make("bdi", {}, value(given)))];

/** How a question ended, in words. */
function outcome({ given, how, text }) {
  if (given === null) return `Not asked any more${text ? `: ${seen(text)}` : ""}.`;
  if (how === "silence") return `Nobody answered in time, so it is not done${text ? `: ${seen(text)}` : ""}.`;
  return `${given ? "Allowed" : "Refused"} by ${how === "voice" ? "voice" : "click"}.`;
}

/**
 * The place of the cards. `answer({ question, given, version })` hears of a button that a person pressed, `settled(text)` of every end.
 *
 * Returns { element, ask, settle, live, clear }: `ask` and `settle` take the messages of these names, `live(on)` says whether an answer would
 * arrive. A question that is asked again, after the connection was lost, takes its card's place.
 */
export function createQuestions({ answer, settled }) {
  const element = make("section", { class: "mt-questions", "aria-label": "What a tool asks", "aria-live": "polite", tabindex: -1 });
  const cards = new Map();
  let alive = true, count = 0;

  function ask(message) {
    const { question, tool, arguments: given, how, text, reason, left_s: leftS, version } = message, until = performance.now() + leftS * 1000;
    const card = { text: seen(text), stands: false, over: false, sent: null, timers: [] }, name = `mt-question-${question}-${count++}`;
    const press = (yes) => ({ isTrusted }) => {
      if (!isTrusted || !card.stands || card.over || card.sent !== null || !alive) return;
      card.sent = yes;
      answer({ question, given: yes, version });
      show();
    };
    const buttons = [["Allow", true], ["Refuse", false]].map(([label, yes]) => make("button", { type: "button", onclick: press(yes), "aria-describedby": name }, label));
    const left = make("p", { class: "mt-left", "aria-live": "off" });
    function show() {
      const s = Math.max(0, Math.ceil((until - performance.now()) / 1000));
      card.over ||= s === 0;
      const off = !card.stands || card.over || card.sent !== null || !alive;
      for (const button of buttons) button.setAttribute("aria-disabled", String(off));
      left.textContent = card.sent !== null ? `You pressed ${card.sent ? "Allow" : "Refuse"}.`
        : card.over ? "Its time is over." : !alive ? "The connection is lost; wait until it is back." : `Without an answer within ${s} s it is not done.`;
    }
    card.show = show;
    card.node = make("div", { class: "mt-question", role: "group", "aria-labelledby": name, "data-question": question },
      make("p", { id: name }, make("b", {}, "A tool asks: "), make("bdi", {}, `${card.text}?`)),
      make("dl", { tabindex: 0, "aria-label": "The call" }, ...row("tool", tool), ...Object.entries(given).flatMap(([key, each]) => row(key, each)), ...row("you wanted", reason)),
      make("div", { class: "mt-answers" }, ...buttons, make("span", {}, how === "voice" ? "or say yes or no" : "only a click counts, not a spoken yes")), left);
    card.timers = [setTimeout(() => { card.stands = true; show(); }, STANDS_MS), setInterval(show, 1000)];
    const before = cards.get(question);
    if (before) { stop(before); before.node.replaceWith(card.node); } else element.append(card.node);
    cards.set(question, card);
    show();
  }
  function stop({ timers }) {
    timers.forEach(clearInterval); // of either kind
  }
  function settle(message) {
    const card = cards.get(message.question);
    if (!card) return;
    stop(card);
    cards.delete(message.question);
    const words = outcome(message), held = card.node.contains(document.activeElement);
    const end = make("p", { class: "mt-outcome" }, `${card.text}: ${words}`);
    card.node.replaceWith(end);
    if (held) element.focus(); // not lost with the button that was pressed
    setTimeout(() => end.remove(), GONE_MS);
    settled(end.textContent);
  }
  return {
    element, ask, settle,
    live(on) { alive = on; cards.forEach((card) => card.show()); },
    clear() { cards.forEach(stop); cards.clear(); element.replaceChildren(); },
  };
}
