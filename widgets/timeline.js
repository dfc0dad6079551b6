// The live timeline on a canvas: what was said, decided and played, one column of pixels per micro-turn.
//
// Ticks live in typed arrays used as rings (an hour of them). New columns are painted at the right edge after the picture has moved left by
// whole pixels; nothing that is already right is painted again. Lines under the pointer and the cursor of the loudspeaker lie on a second canvas.

const HELD = 18000; // ticks kept in sight's reach: one hour
const BINS = 10; // pairs of a wave's outline in a tick
const FLOORS = ["idle", "listen", "speak", "wait", "dual"];
const WORDS_HELD = 6000, LABEL_ROWS = 3, LABEL_PX = 13;
const ZOOMS = [20, 40, 60, 120, 300, 600]; // ticks in sight
const RUN = 40; // ticks of a floor state that are looked at to place its name
const GATED = 1, DECIDED = 2, MARKED = 4;
const TASK_ROWS = 3, TASK_PX = 15, FINAL = new Set(["delivered", "failed", "cancelled", "stale", "refused"]);

// `of` is the name by which a runtime's welcome asks for the lane; without one it is always there. A rare lane is there once something is in it.
const LANES = [
  { key: "user", of: "user", height: 46, title: "User", note: "microphone", ink: "user" },
  { key: "words", of: "user", height: 48, note: "words heard by the agent" },
  { key: "camera", of: "camera", rare: true, height: 36, title: "Camera", note: "shown to the agent" },
  { key: "floor", of: "floor", height: 18, title: "Floor" },
  { key: "speak", of: "decision", height: 78, title: "p(speak)", note: "- - threshold\n◆ gate acted", ink: "agent-ink" },
  { key: "yield", of: "decision", height: 34, title: "p(yield)", note: "give up the floor", ink: "yielded" },
  { key: "said", of: "agent", height: 48, title: "Agent", note: "words said", short: "words · pale: not yet played · struck: dropped", ink: "agent-ink" },
  { key: "agent", of: "agent", height: 46, note: "played · pale: not yet\nstruck out: dropped" },
  { key: "tasks", of: "background", rare: true, height: TASK_ROWS * TASK_PX, title: "Background", note: "tasks and their state" },
  { key: "cost", of: "deadline", height: 38, title: "Cost of a tick", note: "against its deadline" },
  { key: "axis", height: 18 },
];
const JOINED = new Set(["words", "agent", "axis"]);

/** An element with attributes (`onclick` and its like are listeners) and children. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Seconds as 7.2 s or 1:07.2. */
export const clock = (s) => (s < 60 ? `${s.toFixed(1)} s` : `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`);
const loud = (level) => (level / 127) ** 0.6; // a quiet voice is still to be seen
const percent = (p) => (p === null || p === undefined ? "–" : p.toFixed(2));
const ruled = (message) => (message.events ?? []).filter(([kind]) => kind === "gates.acted").map(([, , text]) => text); // without a decision
const pale = (colour, share) => `color-mix(in srgb, ${colour} ${Math.round(share * 100)}%, transparent)`;

/** What was said and decided, tick by tick, without a pixel: typed arrays as rings, words in order, where the loudspeaker is. */
class TickRecord {
  constructor(tickMs = 200, held = HELD) {
    this.tickMs = tickMs;
    this.held = held;
    const ring = (Kind, each = 1) => new Kind(held * each);
    Object.assign(this, {
      number: ring(Int32Array).fill(-1), flags: ring(Uint8Array), floor: ring(Uint8Array), speak: ring(Float32Array), yield_: ring(Float32Array),
      threshold: ring(Float32Array), cost: ring(Float32Array), late: ring(Float32Array), lost: ring(Int32Array), position: ring(Float64Array),
      samples: ring(Int32Array), kept: ring(Float32Array), user: ring(Int8Array, 2 * BINS), agent: ring(Int8Array, 2 * BINS), details: new Array(held), pictures: new Array(held),
    });
    this.words = [];
    this.tasks = new Map(); // id -> { text, row, states: [[tick, state], ...] }
    this.seeing = false;
    this.first = this.last = -1;
    this.played = -1;
  }
  slot(tick) { const at = tick % this.held; return this.number[at] === tick ? at : -1; }
  /** Keep a tick message, and the frame (RGB8) that came with it; returns the first tick whose picture it changes. */
  add(message, samples, picture = null) {
    const { tick, decision } = message, at = tick % this.held, floor = FLOORS.indexOf(decision?.floor);
    this.first = this.first < 0 ? tick : Math.min(this.first, tick);
    this.number[at] = tick;
    this.last = Math.max(this.last, tick);
    this.first = Math.max(this.first, this.last - this.held + 1);
    const acted = decision?.gates?.some(([, wanted, done]) => wanted !== done) || ruled(message).length > 0;
    this.flags[at] = (decision ? DECIDED : 0) | (acted ? GATED : 0) | (message.events?.length ? MARKED : 0);
    this.floor[at] = Math.max(0, floor);
    this.speak[at] = decision?.p_speak ?? 0;
    this.yield_[at] = decision?.p_yield ?? 0;
    this.threshold[at] = decision?.threshold ?? 0;
    this.cost[at] = message.cost_ms ?? 0;
    this.late[at] = message.late_ms ?? 0;
    this.lost[at] = message.lost ?? 0;
    this.position[at] = message.position ?? 0;
    this.samples[at] = samples;
    this.kept[at] = 1;
    this.user.set((message.user ?? []).flat().slice(0, 2 * BINS), at * 2 * BINS);
    this.agent.set((message.agent ?? []).flat().slice(0, 2 * BINS), at * 2 * BINS);
    this.details[at] = message;
    this.pictures[at] = picture && message.seen ? { width: message.seen[0], height: message.seen[1], bytes: picture } : null;
    this.seeing ||= this.pictures[at] !== null;
    let from = tick;
    for (const [id, state, text] of message.tasks ?? []) from = Math.min(from, this.task(tick, id, state, text));
    if (message.heard !== undefined && message.heard !== null) from = Math.min(from, this.hear(message.heard) - 1);
    for (const [side, word, start, end, p] of message.words ?? []) from = Math.min(from, this.say(side, word, start, end, p));
    return from;
  }
  say(side, text, startS, endS, p = 1) {
    const at = (startS * 1000) / this.tickMs, word = { side, text, at, end: Math.max((endS * 1000) / this.tickMs, at + 0.1), p, row: null, reach: at };
    this.words.push(word);
    if (this.words.length > WORDS_HELD) this.words.splice(0, WORDS_HELD / 10);
    return Math.floor(at);
  }
  /** A background task is in another state; returns the tick it began at. */
  task(tick, id, state, text) {
    let task = this.tasks.get(id);
    if (!task) {
      const taken = [...this.tasks.values()].filter(({ states }) => !FINAL.has(states.at(-1)[1]) || states.at(-1)[0] >= tick).map(({ row }) => row);
      task = { text, row: Math.max(0, [...Array(TASK_ROWS).keys()].find((row) => !taken.includes(row)) ?? TASK_ROWS - 1), states: [] };
      this.tasks.set(id, task);
    }
    task.states.push([tick, state]);
    return task.states[0][0];
  }
  /** Where the loudspeaker is, in samples of the agent's stream; returns the first tick whose picture that changes. */
  hear(position) {
    const before = this.played;
    this.played = Math.max(before, position);
    return this.tickOf(before);
  }
  /** Nothing of the agent's stream from this sample on is played, of what was said up to tick `last`. */
  drop(from, last = this.last) {
    let tick = last;
    for (; tick >= this.first; tick--) {
      const at = this.slot(tick);
      if (at < 0) continue;
      if (this.position[at] + this.samples[at] <= from) break;
      if (this.samples[at]) this.kept[at] = Math.min(this.kept[at], Math.max(0, (from - this.position[at]) / this.samples[at]));
    }
    return Math.max(this.first, tick);
  }
  tickOf(position) {
    for (let tick = this.last; tick >= this.first; tick--) {
      const at = this.slot(tick);
      if (at >= 0 && this.position[at] <= position) return tick;
    }
    return Math.max(0, this.first);
  }
  /** Share (0 to 1) of a tick's own sound that has left the loudspeaker. */
  heard(at) {
    if (!this.samples[at]) return 1;
    return Math.max(0, Math.min(this.kept[at], (this.played - this.position[at]) / this.samples[at]));
  }
}

/**
 * The timeline inside `root` (an element with the class `microturn`): { tick, ticks, played, drop, typed, reset, finish, destroy, record, view, box }.
 *
 * `tick(message, samples, picture)` shows a tick message of the protocol; `box(lane)` is a lane's rectangle in canvas pixels.
 */
export function createTimeline(root) {
  const base = make("canvas", { class: "mt-base", "aria-hidden": "true" });
  const over = make("canvas", {
    class: "mt-over", tabindex: 0, role: "slider", "aria-label": "Timeline, one step per micro-turn", "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0,
    "aria-valuetext": "nothing yet", "aria-keyshortcuts": "ArrowLeft ArrowRight PageUp PageDown Home End Space + -",
  });
  const labels = make("div", { class: "mt-labels", "aria-hidden": "true" });
  const tip = make("div", { class: "mt-tip", hidden: true });
  const stage = make("div", { class: "mt-stage" }, labels, base, over, tip);
  const follow = make("button", { type: "button", class: "mt-follow", "aria-pressed": "false", onclick: () => (view.follow ? pause() : live()) }, "Pause");
  const said = make("span", { class: "mt-said", "aria-hidden": "true" });
  const slide = make("input", { type: "range", class: "mt-slide", min: 0, max: 0, step: 1, value: 0, "aria-label": "Scroll through the session", hidden: true,
    oninput: () => scroll(Number(slide.value) - view.right), onkeydown: (event) => event.stopPropagation() });
  const bar = make("div", { class: "mt-timebar" }, follow,
    make("button", { type: "button", "aria-label": "Show less time", title: "Show less time (+)", onclick: () => zoom(-1) }, "+"),
    make("button", { type: "button", "aria-label": "Show more time", title: "Show more time (-)", onclick: () => zoom(1) }, "−"), slide, said);
  const inspector = make("section", { class: "mt-inspector", "aria-label": "Inspector", hidden: true });
  root.append(make("div", { class: "mt-timeline" }, bar, stage, inspector));

  const pen = base.getContext("2d"), top = over.getContext("2d"), scratch = document.createElement("canvas"), scratchPen = scratch.getContext("2d");
  let record = new TickRecord();
  const view = { follow: true, over: false, right: 0, inView: 60, zoom: 2, hover: null, chosen: null, names: [], lanes: [] };
  const pic = { ratio: 1, width: 0, height: 0, bottom: 0, column: 10, stride: 4, boxes: {}, colours: {}, shown: null }; // a lane that is not shown has no box
  let dirty = Infinity, frame = 0, whole = true;
  const rowsReach = { words: [], said: [] };

  // Measures ----------------------------------------------------------------------------------------------------------------

  function measure() {
    const there = { camera: record.seeing, tasks: record.tasks.size > 0 };
    view.lanes = LANES.filter(({ key, of, rare }) => (rare ? there[key] : !of || !view.names.length || view.names.includes(of)));
    const ratio = window.devicePixelRatio || 1, css = getComputedStyle(root), narrow = root.clientWidth < 560;
    const gutter = narrow ? 0 : 118, width = Math.max(160, stage.clientWidth - gutter);
    const boxes = {}, notes = [];
    let y = 0;
    for (const lane of view.lanes) {
      y += JOINED.has(lane.key) ? 3 : narrow ? 19 : 9;
      boxes[lane.key] = { y: Math.round(y * ratio), height: Math.round(lane.height * ratio) };
      if (lane.title || lane.note) notes.push([lane, y]);
      y += lane.height;
    }
    Object.assign(pic, { ratio, boxes, width: Math.round(width * ratio), height: Math.round(y * ratio), bottom: boxes.axis.y - 1 });
    pic.column = Math.max(2, Math.round(pic.width / ZOOMS[view.zoom]));
    pic.stride = boxes.camera ? Math.max(1, Math.ceil(boxes.camera.height / pic.column)) : 1; // ticks from one picture to the next
    view.inView = Math.max(1, Math.floor(pic.width / pic.column));
    for (const canvas of [base, over]) {
      Object.assign(canvas, { width: pic.width, height: pic.height });
      Object.assign(canvas.style, { left: `${gutter}px`, width: `${pic.width / ratio}px`, height: `${pic.height / ratio}px` });
    }
    stage.style.height = `${y}px`;
    const names = ["page", "lane", "ink", "muted", "grid", "grid-minor", "user", "heard", "agent", "threshold", "gate", "yielded", "cost"];
    for (const name of [...names, ...FLOORS.map((state) => `floor-${state}`)]) pic.colours[name] = css.getPropertyValue(`--mt-${name}`).trim() || "#888";
    pic.font = `${Math.round(11 * ratio)}px ${css.fontFamily}`;
    writeLabels(notes, narrow, gutter);
    layWords();
    whole = true;
  }
  function writeLabels(notes, narrow, gutter) {
    labels.replaceChildren(...notes.filter(([lane]) => lane.title || !narrow).map(([lane, y]) => {
      const title = lane.title ? make("b", { style: lane.ink ? `color: var(--mt-${lane.ink})` : "" }, lane.title) : null;
      const note = narrow ? lane.short ?? (lane.note ?? "").replace("\n", " · ") : lane.note ?? "";
      const place = narrow ? `top:${y - 17}px;left:0` : `top:${y}px;width:${gutter - 10}px`;
      return make("div", { class: narrow ? "mt-label mt-narrow" : "mt-label", style: place }, title, make("span", {}, note));
    }));
  }
  const x = (tick) => pic.width - (view.right - tick) * pic.column;
  /** Make room for a lane that is rare, once there is something in it. */
  function welcomeRare() {
    if (record.seeing === !!pic.boxes.camera && record.tasks.size > 0 === !!pic.boxes.tasks) return;
    measure();
    all();
  }
  const tickAt = (px) => Math.floor(view.right - (pic.width - px * pic.ratio) / pic.column);

  // Words: each label takes the first row in which it does not lie on another; without a free row only its box is drawn.

  function layWords() {
    rowsReach.words = new Array(LABEL_ROWS).fill(-Infinity);
    rowsReach.said = new Array(LABEL_ROWS).fill(-Infinity);
    record.words.forEach(layWord);
  }
  /** Lay the words at the end that are not laid yet. */
  function layNew() {
    let at = record.words.length;
    while (at > 0 && record.words[at - 1].row === null) at--;
    for (; at < record.words.length; at++) layWord(record.words[at]);
  }
  const laneOf = (word) => (word.side === "model" ? "said" : "words");
  function layWord(word) {
    const rows = rowsReach[laneOf(word)];
    pen.font = pic.font;
    const label = word.side === "typed" ? `⌨ ${word.text}` : word.text;
    const reach = word.at + (pen.measureText(label).width + 6 * pic.ratio) / pic.column;
    word.row = rows.findIndex((end) => end <= word.at);
    word.reach = Math.max(word.end, word.row < 0 ? 0 : reach);
    if (word.row >= 0) rows[word.row] = reach;
  }

  // Painting ----------------------------------------------------------------------------------------------------------------

  function later(from) {
    dirty = Math.min(dirty, from);
    frame ||= requestAnimationFrame(flush);
  }
  function all() { whole = true; later(0); }
  function flush() {
    frame = 0;
    if (!pic.width) return;
    const target = view.follow ? Math.max(record.last + 1, record.first + view.inView, view.inView) : view.right;
    const moved = pic.shown === null ? Infinity : target - pic.shown;
    view.right = target;
    if (whole || Math.abs(moved) >= view.inView) paint(target - view.inView - 1, target);
    else {
      if (moved) {
        pen.globalCompositeOperation = "copy";
        pen.drawImage(base, -moved * pic.column, 0);
        pen.globalCompositeOperation = "source-over";
      }
      if (moved < 0) paint(target - view.inView - 1, target - view.inView - moved);
      paint(Math.max(target - view.inView - 1, Math.min(dirty, moved > 0 ? target - moved : Infinity)), target);
    }
    pic.shown = target;
    whole = false;
    dirty = Infinity;
    const least = record.first + view.inView, most = record.last + 1;
    slide.hidden = most <= least;
    Object.assign(slide, { min: least, max: Math.max(most, least), value: view.right });
    cursor();
  }
  /** Paint the columns of the ticks from `from` up to `to`, and nothing beside them. */
  function paint(from, to) {
    if (from >= to) return;
    pen.save();
    pen.beginPath();
    pen.rect(x(from), 0, (to - from) * pic.column, pic.height);
    pen.clip();
    pen.fillStyle = pic.colours.page;
    pen.fillRect(x(from), 0, (to - from) * pic.column, pic.height);
    ground(from, to);
    for (let tick = Math.max(from, record.first); tick < to; tick++) {
      const at = record.slot(tick);
      if (at < 0) continue;
      outline("user", record.user, at, tick, pic.colours.user, 1, 1);
      outline("agent", record.agent, at, tick, pic.colours.agent, record.heard(at), record.kept[at]);
      if (record.lost[at]) fill("user", tick, 0.1, 1, 0.92, pic.colours.gate);
      if (record.flags[at] & DECIDED) decisions(at, tick);
      costs(at, tick);
    }
    for (let tick = from - 2; tick < to + 2; tick++) if (tick >= 0) gate(tick); // wider than a narrow column
    floors(from, to);
    words(from, to);
    pictures(from, to);
    tasks(from, to);
    pen.restore();
  }
  function ground(from, to) {
    const { ratio, colours, boxes } = pic;
    for (const lane of view.lanes) {
      if (lane.key === "axis") continue;
      pen.fillStyle = colours.lane;
      pen.fillRect(x(from), boxes[lane.key].y, (to - from) * pic.column, boxes[lane.key].height);
    }
    const perSecond = 1000 / record.tickMs, everyS = [1, 2, 5, 10, 30].find((s) => s * perSecond * pic.column > 46 * ratio) ?? 60;
    pen.font = pic.font;
    pen.textBaseline = "middle";
    for (let s = Math.max(0, Math.floor(from / perSecond) - everyS); s * perSecond < to; s++) {
      const px = Math.round(x(s * perSecond)), major = s % everyS === 0;
      if (!major && pic.column < 5) continue;
      pen.fillStyle = colours["grid-minor"];
      pen.fillRect(px, 0, Math.max(1, Math.round(ratio / 2)), pic.bottom);
      if (!major) continue;
      pen.fillStyle = colours.muted;
      pen.fillText(s < 60 ? `${s} s` : `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`, px + 2 * ratio, boxes.axis.y + boxes.axis.height / 2);
    }
  }
  /** A box in a lane; `low` and `high` are shares of its height, from the bottom; `inset` is the share of the column it fills. */
  function fill(lane, tick, low, inset, high, colour) {
    const box = pic.boxes[lane], width = Math.max(1, Math.round(pic.column * inset) - (pic.column > 5 ? 1 : 0));
    if (!box) return;
    pen.fillStyle = colour;
    pen.fillRect(x(tick), Math.round(box.y + box.height * (1 - high)), width, Math.max(1, Math.round(box.height * (high - low))));
  }
  function outline(lane, pairs, at, tick, colour, heard, kept) {
    const box = pic.boxes[lane];
    if (!box) return;
    const middle = box.y + box.height / 2, half = box.height / 2 - pic.ratio, bins = Math.min(BINS, Math.max(1, Math.floor(pic.column / 2)));
    for (let bin = 0; bin < bins; bin++) {
      const first = Math.floor((bin * BINS) / bins), last = Math.floor(((bin + 1) * BINS) / bins);
      let low = 0, high = 0;
      for (let i = first; i < last; i++) {
        low = Math.min(low, pairs[(at * BINS + i) * 2]);
        high = Math.max(high, pairs[(at * BINS + i) * 2 + 1]);
      }
      const from = x(tick) + Math.round((bin * pic.column) / bins), to = x(tick) + Math.round(((bin + 1) * pic.column) / bins);
      const share = (bin + 0.5) / bins, dropped = share > kept && high - low > 2;
      pen.fillStyle = dropped ? pale(pic.colours.muted, 0.45) : share > heard ? pale(colour, 0.35) : colour;
      const above = Math.round(loud(high) * half), below = Math.round(loud(-low) * half);
      pen.fillRect(from, Math.round(middle) - above, to - from, Math.max(1, above + below));
      if (dropped) { pen.fillStyle = pic.colours.ink; pen.fillRect(from, Math.round(middle), to - from, Math.max(1, Math.round(1.5 * pic.ratio))); }
    }
  }
  function decisions(at, tick) {
    const { colours, boxes, ratio } = pic, p = record.speak[at], bar = record.threshold[at];
    if (!boxes.speak) return;
    fill("speak", tick, 0, 1, p, p >= bar ? colours.agent : pale(colours.agent, 0.45));
    fill("yield", tick, 0, 1, record.yield_[at], colours.yielded);
    const box = boxes.speak, y = Math.round(box.y + box.height * (1 - bar)), gap = pic.column > 6 ? Math.round(pic.column * 0.3) : 0;
    const thick = Math.max(1, Math.round(1.5 * ratio)), rim = Math.max(1, Math.round(ratio));
    pen.fillStyle = colours.lane;
    pen.fillRect(x(tick), y - rim, pic.column - gap, thick + 2 * rim);
    pen.fillStyle = colours.threshold;
    pen.fillRect(x(tick), y, pic.column - gap, thick);
  }
  function gate(tick) {
    const { colours, boxes, ratio } = pic, box = boxes.speak, at = record.slot(tick);
    if (!box || at < 0 || !(record.flags[at] & GATED)) return;
    const middle = x(tick) + pic.column / 2, size = 4.5 * ratio, height = box.y + size + ratio;
    pen.beginPath();
    pen.moveTo(middle, height - size);
    pen.lineTo(middle + size, height);
    pen.lineTo(middle, height + size);
    pen.lineTo(middle - size, height);
    pen.closePath();
    pen.fillStyle = colours.gate;
    pen.strokeStyle = colours.page;
    pen.lineWidth = ratio;
    pen.stroke();
    pen.fill();
  }
  function costs(at, tick) {
    const { colours, boxes, ratio } = pic;
    if (!boxes.cost) return;
    const most = 1.25 * record.tickMs, over_ = record.cost[at] > record.tickMs;
    fill("cost", tick, 0, 1, Math.min(1, record.cost[at] / most), over_ ? colours.agent : colours.cost);
    if (record.late[at] > 1) fill("cost", tick, 0, 0.35, Math.min(1, record.late[at] / most), colours.muted);
    pen.fillStyle = colours.muted;
    pen.fillRect(x(tick), Math.round(boxes.cost.y + boxes.cost.height * 0.2), Math.ceil(pic.column / 2), Math.max(1, Math.round(ratio)));
  }
  const floorOf = (tick) => { const at = record.slot(tick); return at >= 0 && record.flags[at] & DECIDED ? record.floor[at] : -1; };
  function floorRun(tick) {
    const state = floorOf(tick);
    let begin = tick, end = tick + 1;
    while (floorOf(begin - 1) === state && tick - begin < RUN) begin--;
    while (floorOf(end) === state && end - begin < RUN) end++;
    return [state, begin, end];
  }
  function floors(from, to) {
    const { colours, boxes, ratio } = pic, box = boxes.floor;
    if (!box) return;
    for (let tick = Math.max(from, record.first); tick < Math.min(to, record.last + 1);) {
      const [state, begin, end] = floorRun(tick), stop = Math.max(tick + 1, Math.min(end, to));
      if (state >= 0) {
        const left = x(tick), width = (stop - tick) * pic.column;
        pen.save();
        pen.beginPath();
        pen.rect(left, box.y, width, box.height);
        pen.clip();
        pen.fillStyle = colours[`floor-${FLOORS[state]}`];
        pen.fillRect(left, box.y, width, box.height);
        pen.fillStyle = colours.ink;
        const fits = pen.measureText(FLOORS[state]).width + 6 * ratio < (end - begin) * pic.column;
        if (fits && floorOf(begin - 1) !== state) pen.fillText(FLOORS[state], x(begin) + 4 * ratio, box.y + box.height / 2 + ratio / 2);
        pen.restore();
      }
      tick = stop;
    }
  }
  function words(from, to) {
    const { ratio, colours, boxes } = pic;
    for (let i = record.words.length - 1; i >= 0; i--) {
      const word = record.words[i];
      if (word.end < from - 400) break;
      if (word.reach < from || word.at > to) continue;
      const lane = laneOf(word), box = boxes[lane];
      if (!box) continue;
      const colour = colours[{ model: "agent", typed: "muted" }[word.side] ?? "heard"];
      const left = Math.round(x(word.at)), right = Math.max(left + 2, Math.round(x(word.end)) - 1), tall = Math.round(6 * ratio), y = box.y + box.height - tall;
      const at = record.slot(Math.floor((word.at + word.end) / 2)), unheard = word.side === "model" && at >= 0 && record.heard(at) < 0.5;
      pen.fillStyle = unheard ? pale(colour, 0.35) : colour;
      pen.fillRect(left, y, right - left, tall);
      if (word.row < 0) continue;
      const middle = box.y + (word.row + 0.5) * LABEL_PX * ratio + ratio;
      pen.fillStyle = pale(colour, 0.5);
      pen.fillRect(left, middle - 5 * ratio, Math.max(1, Math.round(ratio)), y - middle + 5 * ratio);
      pen.fillStyle = unheard ? colours.muted : colours.ink;
      pen.fillText(word.side === "typed" ? `⌨ ${word.text}` : word.text, left + 3 * ratio, middle);
    }
  }

  /** Of each stretch of ticks as wide as a picture, the first frame in it, from the tick in which it was shown. */
  function pictures(from, to) {
    const box = pic.boxes.camera;
    if (!box) return;
    for (let begin = Math.floor(from / pic.stride) * pic.stride; begin < to; begin += pic.stride) {
      const pictureOf = (tick) => { const at = record.slot(tick); return at < 0 ? null : record.pictures[at]; };
      let tick = Math.max(0, begin);
      while (tick < begin + pic.stride && !pictureOf(tick)) tick++;
      if (tick >= begin + pic.stride) continue;
      const { width, height, bytes } = pictureOf(tick);
      Object.assign(scratch, { width, height });
      const image = scratchPen.createImageData(width, height);
      for (let i = 0; i < width * height; i++) { image.data.set(bytes.subarray(3 * i, 3 * i + 3), 4 * i); image.data[4 * i + 3] = 255; }
      scratchPen.putImageData(image, 0, 0);
      pen.save();
      pen.beginPath();
      pen.rect(x(tick), box.y, (begin + pic.stride - tick) * pic.column - 1, box.height);
      pen.clip();
      pen.drawImage(scratch, x(tick), box.y, Math.round((box.height * width) / height), box.height);
      pen.restore();
    }
  }
  const inkOf = ({ colours }, state) => ({ created: pale(colours.muted, 0.3), queued: pale(colours.muted, 0.3), running: pale(colours.user, 0.45), completed: pale(colours.agent, 0.3),
    delivering: pale(colours.agent, 0.6), cancelling: pale(colours.gate, 0.35) })[state];
  /** A row for each background task, from when it was asked for until its end: a segment for each state, a mark where it ended. */
  function tasks(from, to) {
    const box = pic.boxes.tasks, tall = Math.round((TASK_PX - 2) * pic.ratio);
    if (!box) return;
    for (const { text, row, states } of record.tasks.values()) {
      const [begin] = states[0], [end, state] = states.at(-1), stop = FINAL.has(state) ? end + 1 : record.last + 1;
      if (stop < from || begin > to) continue;
      const y = box.y + Math.round(row * TASK_PX * pic.ratio) + 1;
      pen.save();
      pen.beginPath();
      pen.rect(x(begin), y, (stop - begin) * pic.column, tall);
      pen.clip();
      let ink = inkOf(pic, "created");
      states.forEach(([tick, each], i) => {
        ink = inkOf(pic, each) ?? ink; // a note or a result is no state: the colour goes on
        pen.fillStyle = ink;
        pen.fillRect(x(tick), y, ((states[i + 1]?.[0] ?? stop) - tick) * pic.column, tall);
      });
      if (FINAL.has(state)) { pen.fillStyle = state === "delivered" ? pic.colours.agent : pic.colours.gate; pen.fillRect(x(end), y, pic.column, tall); }
      pen.fillStyle = pic.colours.ink;
      pen.fillText(text ? `${text} · ${state}` : state, x(begin) + 4 * pic.ratio, y + tall / 2);
      pen.restore();
    }
  }

  // The second canvas: pointer, chosen tick, loudspeaker ---------------------------------------------------------------------

  function cursor() {
    const { ratio, colours, boxes, column, bottom } = pic;
    top.clearRect(0, 0, pic.width, pic.height);
    if (view.chosen !== null) {
      top.fillStyle = pale(colours.ink, 0.12);
      top.fillRect(x(view.chosen), 0, column, bottom);
      top.strokeStyle = colours.ink;
      top.lineWidth = Math.max(1, ratio);
      top.strokeRect(x(view.chosen) + 0.5, 0.5, column - 1, bottom - 1);
    }
    if (view.hover !== null) { top.fillStyle = colours.muted; top.fillRect(Math.round(x(view.hover) + column / 2), 0, Math.max(1, Math.round(ratio)), bottom); }
    const tick = record.played >= 0 && record.last >= 0 ? record.tickOf(record.played) : -1, at = record.slot(Math.max(0, tick));
    if (boxes.agent && tick >= 0 && at >= 0 && record.samples[at]) {
      const share = Math.min(1, (record.played - record.position[at]) / record.samples[at]), box = boxes.agent;
      top.fillStyle = colours.ink;
      top.fillRect(Math.round(x(tick + share)), box.y, Math.max(1, Math.round(1.5 * ratio)), box.height);
    }
  }
  function lines(tick) {
    const at = record.slot(tick);
    if (at < 0) return [];
    const { decision, said: what, at_s: atS, cost_ms: cost, late_ms: late, lost } = record.details[at];
    const middle = tick + 0.5, spoken = record.words.filter((word) => word.at <= middle && word.end >= middle).map((word) => `${word.side}: ${word.text}`);
    return [
      `tick ${tick} · ${clock(atS ?? (tick * record.tickMs) / 1000)}${decision ? ` · ${decision.floor}` : ""}`,
      decision ? `p(speak) ${percent(decision.p_speak)}, threshold ${percent(decision.threshold)}, p(yield) ${percent(decision.p_yield)}` : null,
      what ? `says ${what}` : null,
      ...(decision?.gates ?? []).filter(([, wanted, done]) => wanted !== done).map(([name, , , why]) => `◆ ${name}${why ? `: ${why}` : ""}`),
      ...ruled(record.details[at]).map((text) => `◆ ${text}`),
      ...spoken,
      `${(cost ?? 0).toFixed(0)} of ${record.tickMs} ms${late > 1 ? `, ${late.toFixed(0)} ms late` : ""}${lost ? `, ${lost} samples lost` : ""}`,
    ].filter(Boolean);
  }
  function hover(event) {
    const px = event.clientX - over.getBoundingClientRect().left, tick = tickAt(px), text = lines(tick);
    view.hover = text.length ? tick : null;
    tip.hidden = !text.length;
    tip.replaceChildren(...text.map((line) => make("div", {}, line)));
    const left = over.offsetLeft + px, room = stage.clientWidth - tip.offsetWidth - 4;
    Object.assign(tip.style, { left: `${Math.max(0, Math.min(left + 14, room))}px`, top: `${Math.min(event.offsetY + 14, stage.clientHeight - tip.offsetHeight)}px` });
    cursor();
  }

  // The inspector -------------------------------------------------------------------------------------------------------------

  function choose(tick) {
    if (record.slot(tick) < 0) return;
    view.chosen = tick;
    inspect(record.details[record.slot(tick)], tick);
    over.setAttribute("aria-valuenow", tick);
    over.setAttribute("aria-valuetext", lines(tick).join("; "));
    if (tick < view.right - view.inView || tick >= view.right) scroll(tick + Math.ceil(view.inView / 2) - view.right);
    cursor();
  }
  function inspect(message, tick) {
    const { decision } = message, at = record.slot(tick);
    const fact = (name, value) => [make("dt", {}, name), make("dd", {}, value)];
    const gates = (decision?.gates ?? []).map(([name, wanted, done, reason]) => {
      const acted = wanted !== done;
      return make("li", { class: acted ? "mt-acted" : "" }, `${acted ? "◆ " : ""}${name}: `, acted ? `${wanted || "silence"} → ${done || "silence"}` : "let pass", reason ? `, ${reason}` : "");
    });
    const top_ = (decision?.top ?? []).map(([word, p]) => make("li", {},
      make("span", { class: "mt-word" }, word || "silence"), make("meter", { min: 0, max: 1, value: p, "aria-label": `probability of ${word || "silence"}` }), ` ${percent(p)}`));
    const events = (message.events ?? []).map(([type, atS, text]) => make("li", {}, `${clock(atS)} ${type}${text ? `: ${text}` : ""}`));
    const list = (name, items) => (items.length ? make("div", {}, make("h4", {}, name), make("ul", {}, ...items)) : null);
    inspector.hidden = false;
    inspector.replaceChildren(
      make("header", {}, make("h3", {}, `Tick ${tick} · ${clock(message.at_s ?? (tick * record.tickMs) / 1000)}`),
        make("button", { type: "button", "aria-label": "Tick before", onclick: () => choose(tick - 1) }, "‹"),
        make("button", { type: "button", "aria-label": "Tick after", onclick: () => choose(tick + 1) }, "›"),
        make("button", { type: "button", "aria-label": "Close the inspector", onclick: unchoose }, "×")),
      make("div", { class: "mt-facts" },
        make("dl", {},
          ...(decision ? [...fact("floor", decision.floor), ...fact("says", message.said || "silence"),
            ...fact("p(speak)", `${percent(decision.p_speak)} against ${percent(decision.threshold)}`),
            ...fact("p(yield)", percent(decision.p_yield)), ...fact("p(user speaks)", percent(decision.p_user))]
            : fact("decision", "none recorded: this agent does not report why it acts")),
          ...fact("cost", `${(message.cost_ms ?? 0).toFixed(1)} ms of ${record.tickMs}, ${(message.late_ms ?? 0).toFixed(1)} ms late`),
          ...fact("microphone", message.lost ? `${message.lost} samples lost` : "complete"),
          ...fact("loudspeaker", `${Math.round(100 * record.heard(at))} % of this tick played${record.kept[at] < 1 ? ", the rest dropped" : ""}`)),
        list("Candidates", top_), list("Gates", gates), list("Events", events)),
    );
  }
  function unchoose() {
    view.chosen = null;
    inspector.hidden = true;
    cursor();
  }

  // Moving through time ---------------------------------------------------------------------------------------------------------

  function pause() {
    view.follow = false;
    follow.textContent = "Live";
    follow.setAttribute("aria-pressed", "true");
    if (!view.over) said.textContent = "paused: the session goes on";
    later(Infinity);
  }
  function live() {
    if (view.over) { scroll(Infinity); return; }
    view.follow = true;
    follow.textContent = "Pause";
    follow.setAttribute("aria-pressed", "false");
    said.textContent = "";
    later(Infinity);
  }
  /** The nearest right edge that leaves no more empty room than there must be. */
  function inReach(right) {
    const least = record.first + view.inView;
    return Math.round(Math.max(least, Math.min(right, Math.max(record.last + 1, least))));
  }
  function scroll(ticks) {
    const right = inReach(view.right + ticks);
    if (right === view.right) return;
    if (view.follow) pause();
    view.right = right;
    all();
  }
  function zoom(step) {
    const middle = view.right - view.inView / 2;
    view.zoom = Math.max(0, Math.min(ZOOMS.length - 1, view.zoom + step));
    measure();
    if (!view.follow) view.right = inReach(middle + view.inView / 2);
    all();
  }

  let held = null;
  over.addEventListener("pointerdown", (event) => { held = { x: event.clientX, right: view.right, moved: false }; over.setPointerCapture(event.pointerId); });
  over.addEventListener("pointermove", (event) => {
    if (!held) { hover(event); return; }
    const ticks = Math.round(((held.x - event.clientX) * pic.ratio) / pic.column);
    if (Math.abs(held.x - event.clientX) > 4) held.moved = true;
    if (held.moved) scroll(held.right + ticks - view.right);
  });
  over.addEventListener("pointerup", (event) => {
    if (held && !held.moved) choose(tickAt(event.clientX - over.getBoundingClientRect().left));
    held = null;
  });
  over.addEventListener("pointercancel", () => { held = null; });
  over.addEventListener("pointerleave", () => { view.hover = null; tip.hidden = true; cursor(); });
  over.addEventListener("wheel", (event) => {
    const along = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.shiftKey ? event.deltaY : 0;
    if (!along) return; // up and down belong to the page
    event.preventDefault();
    scroll(Math.sign(along) * Math.max(1, Math.round((Math.abs(along) * pic.ratio) / pic.column)));
  }, { passive: false });
  const keys = {
    ArrowLeft: () => choose((view.chosen ?? record.last + 1) - 1), ArrowRight: () => choose((view.chosen ?? record.last - 1) + 1),
    PageUp: () => scroll(-Math.round(view.inView / 2)), PageDown: () => scroll(Math.round(view.inView / 2)),
    Home: () => scroll(-Infinity), End: live, " ": () => (view.over ? null : view.follow ? pause() : live()), Escape: unchoose, "+": () => zoom(-1), "-": () => zoom(1),
  };
  over.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook has keys of its own
    keys[event.key]();
  });

  function reach() {
    over.setAttribute("aria-valuemax", record.last);
    over.setAttribute("aria-valuemin", record.first);
  }

  const resized = new ResizeObserver(() => { measure(); all(); });
  resized.observe(stage);
  const dark = matchMedia("(prefers-color-scheme: dark)"), recolour = () => { measure(); all(); };
  dark.addEventListener("change", recolour);
  const themed = new MutationObserver(recolour); // JupyterLab names its theme on the body
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-theme", "class"] });
  measure();
  all();

  return {
    view,
    get record() { return record; },
    box: (lane) => ({ ...pic.boxes[lane], column: pic.column, width: pic.width, x }),
    tick(message, samples = 0, picture = null) {
      const from = record.add(message, samples, picture);
      layNew();
      welcomeRare();
      reach();
      later(Math.min(from, message.tick - pic.stride, Math.max(floorRun(message.tick)[1], message.tick - 10))); // the floor's name waits for room
    },
    /** Many messages at once, ticks and drops in order, perhaps of a time before what is shown; `pictures` are the frames, in order. */
    ticks(messages, samples, pictures = []) {
      let picture = 0;
      const before = record.last, held = record.words.length;
      for (const message of messages) {
        if (message.t === "drop") { record.drop(message.from, message.before - 1); continue; }
        const seen = message.seen ? pictures[picture++] : null;
        if (record.slot(message.tick) >= 0) continue;
        record.add(message, samples, seen);
        if (message.typed) record.say("typed", message.typed, message.at_s, message.at_s + 0.4);
      }
      if (messages[0]?.tick < before && record.words.length > held) {
        record.words.sort((one, other) => one.at - other.at);
        layWords();
      } else layNew();
      welcomeRare();
      reach();
      if (view.follow || Math.min(before, messages[0]?.tick ?? 0) < view.right) all();
      else later(Infinity);
    },
    played(position) { later(record.hear(position) - 1); },
    drop(from) { later(record.drop(from) - 1); },
    typed(text) {
      const atS = ((record.last + 1) * record.tickMs) / 1000;
      later(record.say("typed", text, atS, atS + 0.4));
      layNew();
      return atS;
    },
    /** Begin anew, with the lanes of these names (all, without any), to keep `held` ticks; `following` the newest, or staying at the first. */
    reset(tickMs, names = [], held = HELD, following = true) {
      record = new TickRecord(tickMs, held);
      Object.assign(view, { names, over: false });
      follow.hidden = false;
      unchoose();
      Object.assign(view, { right: 0, hover: null });
      live();
      view.follow = following;
      measure();
      if (!following) view.right = view.inView;
      all();
    },
    /** Nothing more comes. `whole`: show it from its beginning, all of it where that can be read. */
    finish(whole = false) {
      view.over = true;
      view.follow = false;
      follow.hidden = true;
      const count = record.last + 1 - Math.max(0, record.first);
      said.textContent = record.last < 0 ? "an empty session" : `${clock((count * record.tickMs) / 1000)} in ${count} micro-turns`;
      if (whole) {
        const fits = ZOOMS.findIndex((ticks) => ticks >= count);
        view.zoom = fits < 0 ? 3 : Math.max(1, fits);
        measure();
        view.right = record.first + view.inView;
      }
      all();
    },
    destroy() {
      cancelAnimationFrame(frame);
      resized.disconnect();
      themed.disconnect();
      dark.removeEventListener("change", recolour);
      stage.closest(".mt-timeline").remove();
    },
  };
}
