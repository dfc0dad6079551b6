// The talk protocol between this page and the live runtime, and the three carriers it travels on: a widget's comm, a WebSocket, a Panel message.
//
// A message is a JSON object and zero or more binary buffers. Where a carrier has no buffers of its own, both travel as one binary message:
// uint32 (little-endian) length of the JSON, the JSON as UTF-8, the buffers one after the other; the JSON then names their lengths.
//
// A carrier is { name, reason, open({ up, message, down }), send(message, buffers), close(), again() }. `again` opens a lost connection anew;
// a carrier that cannot lose its connection without its page (comm, Panel) has `again: null` and is only waited for.

export const RATE = 16000;
export const CLIENT = "microturn-talk 1";
const GRACE_MS = 30000, SILENCE_MS = 3000, RETRY_MS = [100, 250, 500, 1000, 2000];
const REFUSED = { // by the code that a socket is closed with
  4001: () => "This session was opened in another page or view, and goes on there.",
  4003: (why) => `The server refused this page${why ? `: ${why}` : "."}`,
};

const bytesOf = (data) => (ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data));

/** One binary message out of a JSON object and its buffers. */
export function pack(message, buffers = []) {
  const parts = buffers.map(bytesOf);
  const head = parts.length ? { ...message, buffers: parts.map((part) => part.length) } : message;
  const json = new TextEncoder().encode(JSON.stringify(head));
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 4 + json.length));
  new DataView(whole.buffer).setUint32(0, json.length, true);
  whole.set(json, 4);
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 4 + json.length);
  return whole;
}

/** The JSON object and the buffers (as fresh Uint8Arrays, so that they can be read as samples) of one binary message. */
export function unpack(data) {
  const bytes = bytesOf(data);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const { buffers: lengths = [], ...message } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  let at = 4 + length;
  return [message, lengths.map((size) => bytes.slice(at, (at += size)))];
}

/** The comm of an anywidget: its own buffers, no reconnecting (it lives and dies with the kernel). */
export function commCarrier(model, reason = "") {
  let heard = null, lost = null;
  return {
    name: "comm", reason, again: null,
    open({ up, message, down }) {
      heard = (content, buffers = []) => { if (content?.t) message(content, buffers.map((part) => bytesOf(part).slice())); };
      lost = () => down("The kernel was restarted or shut down.", true);
      model.on("msg:custom", heard);
      model.on("comm:close", lost);
      up();
    },
    send(content, buffers = []) { model.send(content, undefined, buffers.map((part) => bytesOf(part))); },
    close() {
      if (heard) model.off("msg:custom", heard);
      if (lost) model.off("comm:close", lost);
    },
  };
}

/** A WebSocket, at the address that carries the secret of the session. */
export function socketCarrier(address, reason = "") {
  let socket = null, ears = null;
  const begin = () => {
    const mine = (socket = new WebSocket(address));
    mine.binaryType = "arraybuffer";
    mine.onopen = () => { if (mine === socket) ears.up(); };
    mine.onmessage = (event) => { if (mine === socket) ears.message(...unpack(event.data)); };
    mine.onclose = (event) => {
      const refused = REFUSED[event.code];
      if (mine === socket) ears.down(refused?.(event.reason) ?? "The connection to the server was lost.", Boolean(refused));
    };
  };
  const drop = () => { const old = socket; socket = null; old?.close(); };
  return {
    name: "websocket", reason,
    open(given) { ears = given; begin(); },
    again() { drop(); begin(); },
    send(content, buffers = []) { if (socket?.readyState === WebSocket.OPEN) socket.send(pack(content, buffers)); },
    close: drop,
  };
}

/** A message of a Panel component: one packed buffer in each direction. */
export function panelCarrier(model, reason = "") {
  let heard = null;
  return {
    name: "panel", reason, again: null,
    open({ up, message }) {
      heard = (event) => { const data = event.data ?? event; if (data.packed) message(...unpack(data.packed)); };
      model.on("msg:custom", heard);
      up();
    },
    send(content, buffers = []) { model.send_msg({ packed: pack(content, buffers) }); },
    close() { if (heard) model.off?.("msg:custom", heard); },
  };
}

/**
 * The WebSocket at `address` if this page can reach it, else the comm; `reason` says which and why.
 *
 * A WebSocket that is refused leaves the comm. One that has not answered in time may be out of reach, or its kernel may compute, which
 * keeps a comm waiting longer than a socket: the widget is asked as well then, and whichever answers first carries the talk.
 */
export function socketOrComm(model, address, unavailable, { patienceMs = 1500, graceMs = GRACE_MS } = {}) {
  if (!address) return Promise.resolve(commCarrier(model, unavailable));
  return new Promise((done) => {
    const trial = new WebSocket(address + "&probe=1"), timers = [];
    const answered = (content) => { if (content?.t === "here") comm(`did not answer within ${patienceMs / 1000} s, the widget did`); };
    const settle = (carrier) => {
      timers.forEach(clearTimeout);
      model.off?.("msg:custom", answered);
      trial.onopen = trial.onerror = null;
      trial.close();
      done(carrier);
    };
    const comm = (why) => settle(commCarrier(model, `widget comm: the kernel's own port ${why}, so a busy cell can delay the sound`));
    timers.push(setTimeout(() => { model.on("msg:custom", answered); model.send({ t: "here" }); }, patienceMs));
    timers.push(setTimeout(() => comm(`did not answer within ${graceMs / 1000} s`), graceMs));
    trial.onopen = () => settle(socketCarrier(address, "WebSocket to the kernel: not delayed by busy cells"));
    trial.onerror = () => comm("cannot be reached from this page");
  });
}

/**
 * Join a carrier to the protocol: greets, keeps the resume token, reconnects and resumes within 30 s.
 *
 * Returns { state, send, on, start, close }. `on(type, handler)` hears every message of the runtime by its type, and "state" with
 * (state, text): "connecting", "open", "waiting" (nothing comes; it is being waited for or reconnected), "ended".
 */
export function connect({ carrier, settings = {}, graceMs = GRACE_MS, silenceMs = SILENCE_MS }) {
  const handlers = new Map(), now = () => performance.now();
  let token = null, greeting = false, tries = 0, retry = 0, watch = 0, heardAt = null, waitingSince = null;

  const link = {
    state: "new", carrier,
    on(type, handler) { handlers.set(type, [...(handlers.get(type) ?? []), handler]); return link; },
    send(message, buffers) { if (link.state === "open") carrier.send(message, buffers); },
    start() { become("connecting", ""); waitingSince = now(); watch = setInterval(look, 250); carrier.open({ up, message, down }); },
    close() {
      if (link.state === "open") carrier.send({ t: "stop" });
      end("");
    },
  };
  const tell = (type, ...what) => (handlers.get(type) ?? []).forEach((handler) => handler(...what));
  function become(state, text) { link.state = state; tell("state", state, text); }
  function end(text) {
    if (link.state === "ended") return;
    clearInterval(watch);
    clearTimeout(retry);
    carrier.close();
    become("ended", text);
  }
  function up() {
    greeting = true;
    carrier.send({ t: "hello", rate: RATE, client: CLIENT, settings, resume: token });
  }
  function message(content, buffers) {
    if (link.state === "ended") return;
    if (greeting && !["welcome", "problem"].includes(content.t)) return; // of the session before, on the same connection
    const denied = greeting && content.t === "problem"; // the answer to a hello is a welcome, or why there is none
    if (content.t === "welcome") { token = content.token; greeting = false; }
    if (content.t === "tick") heardAt = now();
    if (link.state !== "open" && content.t === "welcome" || link.state === "waiting" && content.t === "tick") {
      waitingSince = null;
      tries = 0;
      become("open", "");
    }
    tell(content.t, content, buffers);
    if (content.t === "end" || denied) end(content.text ?? "");
  }
  function wait(text) {
    waitingSince ??= now();
    heardAt = null;
    if (link.state !== "waiting") become("waiting", text);
  }
  function down(text, final = false) {
    if (final) { tell("problem", { t: "problem", code: "gone", text }); end(text); return; }
    wait(`${text} Trying again for ${Math.round(graceMs / 1000)} s.`);
    clearTimeout(retry);
    retry = setTimeout(() => carrier.again(), RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
  }
  function look() {
    if (heardAt !== null && now() - heardAt > silenceMs) {
      wait(`Nothing came for ${silenceMs / 1000} s: the ${carrier.name === "comm" ? "kernel" : "server"} is busy or gone. Waiting.`);
      carrier.again?.();
    }
    if (waitingSince !== null && now() - waitingSince > graceMs) {
      const text = `The server did not answer for ${Math.round(graceMs / 1000)} s. What was said until then is in its trace. ` +
        "Check that the kernel or the server runs, then start again.";
      tell("problem", { t: "problem", code: "gone", text });
      end(text);
    }
  }
  return link;
}
