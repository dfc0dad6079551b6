// Sound in and out at 16 kHz, in two AudioWorklets; pictures from a camera or the screen; how much of the loudspeaker the microphone hears.

const SOUND_RATE = 16000, FRAME = 640, REPORT = 3200; // samples: 40 ms from the microphone, 200 ms between two reports of what was played
const TONE_HZ = 1000, TONE_LEVEL = 0.1, BESIDE_HZ = [-200, -100, 100, 200]; // a steady tone has nothing there, in frames of 40 ms
const TONE_FRAMES = 5, FAINT_DB = -50, MASKED_DB = -30; // of 20 frames with the tone in 10; what lies above the latter may hide it

/** Something that stands in the way, with what to do about it. */
export class Trouble extends Error {
  constructor(code, text) { super(text); this.code = code; }
}

// Runs in the audio thread. `n` counts microphone samples since capture began; positions count samples of the agent's stream.
const WORKLETS = `
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Int16Array(${FRAME});
    this.filled = this.n = 0;
    this.running = this.over = false;
    this.port.onmessage = ({ data }) => {
      this.running = data === "begin";
      this.over = data === "end";
      this.filled = this.n = 0;
    };
  }
  process([input]) {
    if (!this.running) return !this.over;
    for (let i = 0; i < 128; i++) { // a microphone that went away is silent: the clock goes on
      this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round((input[0] ? input[0][i] : 0) * 32768)));
      if (this.filled < ${FRAME}) continue;
      const samples = this.frame.slice();
      this.port.postMessage({ n: this.n, samples, at: currentTime + i / ${SOUND_RATE} }, [samples.buffer]);
      this.n += ${FRAME};
      this.filled = 0;
    }
    return true;
  }
}

const SIZE = 1 << 18, FADE = 64, HIGH = 4800; // samples: 16 s of room, 4 ms of fade, 300 ms above which waiting silence is skipped
class Playback extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.ring = new Float32Array(SIZE);
    this.read = this.end = 0; // what is played next, and one past what is there
    this.lead = processorOptions.lead;
    this.wait = 0; // samples of silence before a queue that ran dry is played again
    this.left = new Float64Array(256); // read, quantum by quantum: what left the loudspeaker is what was read a little ago
    this.quantum = this.delay = this.unreported = 0;
    this.begun = this.cut = this.over = false;
    this.port.onmessage = ({ data }) => this[data.do](data);
  }
  finish() { this.over = true; }
  latency({ samples }) { this.delay = Math.min(255, Math.round(samples / 128)); }
  play({ position, samples }) {
    if (!this.begun || this.read === this.end) {
      if (this.begun && position + samples.length <= this.read) return;
      this.read = this.end = this.begun ? Math.max(position, this.read) : position;
      if (!this.begun) this.left.fill(position);
      this.wait = this.lead;
      this.begun = true;
    }
    if (position - this.read > SIZE / 2) this.read = this.end = position;
    if (this.cut && this.end < position) this.relabel(position);
    this.cut = false;
    for (; this.end < position; this.end++) this.ring[this.end & (SIZE - 1)] = 0;
    for (let i = Math.max(0, this.read - position); i < samples.length; i++) this.ring[(position + i) & (SIZE - 1)] = samples[i] / 32768;
    this.end = Math.max(this.end, position + samples.length);
    this.read = Math.max(this.read, this.end - SIZE);
  }
  drop({ from }) {
    const cut = Math.max(from, this.read), last = Math.min(this.end, cut + FADE);
    for (let at = cut; at < last; at++) this.ring[at & (SIZE - 1)] *= 1 - (at - cut + 1) / FADE;
    this.end = Math.min(this.end, last);
    this.cut = true;
    this.report();
  }
  relabel(position) { // what was dropped leaves no gap: the few samples of its fade move up to what comes next
    const rest = this.end - this.read;
    for (let i = 1; i <= rest; i++) this.ring[(position - i) & (SIZE - 1)] = this.ring[(this.end - i) & (SIZE - 1)];
    this.read = position - rest;
    this.end = position;
  }
  quiet() {
    for (let i = 0; i < 128; i++) if (Math.abs(this.ring[(this.read + i) & (SIZE - 1)]) > 1e-4) return false;
    return true;
  }
  report() {
    const position = this.left[(this.quantum - this.delay) & 255];
    this.port.postMessage({ position, queued: this.end - this.read });
    this.unreported = 0;
  }
  process(_, [[out]]) {
    if (this.begun) {
      if (this.wait > 0) this.wait -= 128;
      else {
        while (this.end - this.read > HIGH && this.quiet()) this.read += 128;
        for (let i = 0; i < 128 && this.read < this.end; i++) out[i] = this.ring[this.read++ & (SIZE - 1)];
      }
      this.left[++this.quantum & 255] = this.read;
      if ((this.unreported += 128) >= ${REPORT}) this.report();
    }
    return !this.over;
  }
}
registerProcessor("microturn-capture", Capture);
registerProcessor("microturn-playback", Playback);
`;

/** A 16 kHz AudioContext with both worklets loaded. Call it in a click, or the browser keeps it silent and, if it `waits`, does not return. */
async function soundContext(waits = true) {
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
    throw new Trouble("insecure", `A browser gives the microphone only to a secure page, and ${location.origin} is not one. ` +
      "Open it as http://localhost (through an SSH tunnel if it runs elsewhere) or over https.");
  }
  const context = new AudioContext({ sampleRate: SOUND_RATE, latencyHint: "interactive" });
  try {
    if (context.sampleRate !== SOUND_RATE) {
      throw new Trouble("rate", `This browser opened the sound at ${context.sampleRate} Hz where the model hears ${SOUND_RATE} Hz. ` +
        "Use a current Chrome, Edge or Safari.");
    }
    if (!context.audioWorklet) throw new Trouble("worklet", "This browser has no AudioWorklet. Use a current Chrome, Edge, Firefox or Safari.");
    const address = URL.createObjectURL(new Blob([WORKLETS], { type: "text/javascript" }));
    await context.audioWorklet.addModule(address)
      .catch((error) => { throw new Trouble("worklet", `The page's rules forbid loading the sound code (${error.message}). ` +
        "The server must allow `blob:` in its Content-Security-Policy (script-src and worker-src)."); })
      .finally(() => URL.revokeObjectURL(address));
    const running = context.resume();
    if (waits) await running;
    else running.catch(() => {}); // closed before it was let sound
    return context;
  } catch (error) {
    context.close();
    throw error;
  }
}

const MICROPHONE_TROUBLE = {
  NotAllowedError: ["denied", "The microphone was denied. Allow it beside the address bar (or in the system's privacy settings), then press Start again."],
  NotFoundError: ["absent", "No microphone was found. Plug one in, or give the session a recorded user; you can still type."],
  NotReadableError: ["busy", "The microphone is there but cannot be read: another program may hold it. Close that program, then press Start again."],
};

async function microphone(constraints) {
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...constraints } });
  } catch (error) {
    const [code, text] = MICROPHONE_TROUBLE[error.name] ?? ["microphone", `The microphone could not be opened (${error.name}: ${error.message}).`];
    throw new Trouble(code, text);
  }
}

/**
 * Open microphone and loudspeaker: { context, player, settings, begin, play, drop, probe, close }.
 *
 * `begin()` starts the stream of frames: onFrame(n, Int16Array of 640 samples). onPlayed({ position, queued }) comes every 200 ms once
 * something was given to play. Throws Trouble. `leadMs` is the silence played before a queue that ran dry, against jitter.
 */
export async function openSound({ constraints, leadMs, onFrame, onPlayed, onEnded }) {
  const context = await soundContext();
  let stream = null;
  try {
    stream = await microphone(constraints);
    const source = context.createMediaStreamSource(stream);
    return joined(context, stream, source, { leadMs, onFrame, onPlayed, onEnded });
  } catch (error) {
    stream?.getTracks().forEach((track) => track.stop());
    context.close();
    if (error instanceof Trouble) throw error;
    throw new Trouble("rate", `This browser cannot bring the microphone to ${SOUND_RATE} Hz (${error.message}). Use a current Chrome, Edge or Safari.`);
  }
}

function joined(context, stream, source, { leadMs, onFrame, onPlayed, onEnded }) {
  const capture = new AudioWorkletNode(context, "microturn-capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  const player = playerIn(context, leadMs, onPlayed);
  const [track] = stream.getAudioTracks();
  let hear = () => {};
  source.connect(capture);
  capture.port.onmessage = ({ data }) => hear(data.n, data.samples, data.at);
  track.onended = onEnded;
  return {
    context, ...player, settings: { ...track.getSettings(), contextRate: context.sampleRate },
    begin() {
      hear = (n, samples) => { if (n === 0) (hear = onFrame)(n, samples); }; // frames of the probe may still be on their way
      capture.port.postMessage("begin");
    },
    async probe() {
      const found = await listenForTone(context, (ear) => { hear = ear; capture.port.postMessage("begin"); });
      capture.port.postMessage("pause");
      return found;
    },
    close() {
      track.onended = capture.port.onmessage = null; // what is still on its way is of a sound that is gone
      capture.port.postMessage("end");
      player.finish();
      stream.getTracks().forEach((each) => each.stop());
      if (context.state !== "closed") context.close();
    },
  };
}

/** { player, play, drop, finish }: a ring of the agent's stream in front of the loudspeaker. */
function playerIn(context, leadMs, onPlayed) {
  const player = new AudioWorkletNode(context, "microturn-playback", {
    numberOfInputs: 0, outputChannelCount: [1], processorOptions: { lead: Math.round((leadMs * SOUND_RATE) / 1000) },
  });
  player.connect(context.destination);
  player.port.onmessage = ({ data }) => onPlayed(data);
  player.port.postMessage({ do: "latency", samples: ((context.baseLatency || 0) + (context.outputLatency || 0)) * SOUND_RATE });
  return {
    player,
    play(position, samples) { player.port.postMessage({ do: "play", position, samples }, [samples.buffer]); },
    drop(from) { player.port.postMessage({ do: "drop", from }); },
    finish() {
      player.port.onmessage = null;
      player.port.postMessage({ do: "finish" });
    },
  };
}

/**
 * Open the loudspeaker alone: { context, play, drop, allow, close }. Throws Trouble.
 *
 * Before anything was clicked on the page the browser may keep it silent (`context.state` is "suspended"): `allow()` in a click lets it sound.
 */
export async function openLoudspeaker({ leadMs }) {
  const context = await soundContext(false), player = playerIn(context, leadMs, () => {});
  return {
    context, ...player,
    allow: () => context.resume(),
    close() {
      context.onstatechange = null;
      player.finish();
      if (context.state !== "closed") context.close();
    },
  };
}

/** 0.4 s of silence, then 0.4 s of a quiet tone: what of it came back through the microphone. All by the clock of the sound: a page may be busy. */
function listenForTone(context, listen) {
  const before = [], during = [];
  let beginsS = 0;
  return new Promise((done) => {
    const tone = new OscillatorNode(context, { frequency: TONE_HZ }), level = new GainNode(context, { gain: 0 });
    tone.connect(level).connect(context.destination);
    listen((_, samples, endsS) => {
      if (beginsS === 0) {
        if (before.push(samples) < 0.4 * SOUND_RATE / FRAME) return;
        beginsS = context.currentTime + 0.05;
        level.gain.setTargetAtTime(TONE_LEVEL, beginsS, 0.005);
        level.gain.setTargetAtTime(0, beginsS + 0.4, 0.005);
        tone.start(beginsS);
        tone.stop(beginsS + 0.45);
      } else if (endsS - FRAME / SOUND_RATE >= beginsS && during.push(samples) === 0.8 * SOUND_RATE / FRAME) done(leakage(before, during));
    });
  });
}

/** Amplitude (full scale is 1) of one frequency in a frame of PCM16, by Goertzel's single bin. */
function levelAt(hz, samples) {
  let cosine = 0, sine = 0;
  const step = (2 * Math.PI * hz) / SOUND_RATE;
  samples.forEach((value, i) => { cosine += value * Math.cos(step * i); sine += value * Math.sin(step * i); });
  return (2 * Math.hypot(cosine, sine)) / samples.length / 32768;
}

/**
 * { db, leaks, text }: the tone in the microphone against the tone as played, in dB, from the frames before and those with the tone.
 *
 * A voice has sound at the tone's frequency too, but beside it as well, and not for long: a frame holds the tone where it stands out.
 */
export function leakage(before, during) {
  const decibels = (level) => 20 * Math.log10(Math.max(level, 1e-5) / TONE_LEVEL), noise = Math.max(...before.map((frame) => levelAt(TONE_HZ, frame)));
  const levels = during.map((frame) => [levelAt(TONE_HZ, frame), Math.max(...BESIDE_HZ.map((by) => levelAt(TONE_HZ + by, frame)))]);
  const held = levels.filter(([level, beside]) => level > 2 * noise && level > 2 * beside).map(([level]) => level).sort((a, b) => b - a);
  const db = decibels(held[held.length >> 1] ?? 0), masked = levels.filter(([, beside]) => decibels(beside) > MASKED_DB).length > TONE_FRAMES;
  if (held.length >= TONE_FRAMES && db > FAINT_DB) {
    return { db, leaks: true, text: `Probe tone: the microphone hears the loudspeaker at ${db.toFixed(0)} dB, so the agent would hear itself. Use headphones.` };
  }
  const found = masked ? "other sound was too loud to tell whether the microphone hears the loudspeaker. Headphones are advised."
    : "the microphone does not hear the loudspeaker. Good.";
  return { db, leaks: false, text: `Probe tone: ${found}` };
}

/** Small pictures, two a tick: onFrames(Uint8Array of 2 x 32 x 32 x RGB). `kind` is "camera" or "screen". Returns { close }. Throws Trouble. */
export async function openPictures({ kind, size = 32, tickMs = 200, count = 2, onFrames, onEnded }) {
  const devices = navigator.mediaDevices, screen = kind === "screen";
  let stream;
  try {
    stream = await (screen ? devices.getDisplayMedia({ video: true }) : devices.getUserMedia({ video: { width: 320, height: 240 } }));
  } catch (error) {
    throw new Trouble(kind, `The ${kind} was not opened (${error.name}). Allow it beside the address bar; the talk goes on without it.`);
  }
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, srcObject: stream });
  const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  await video.play().catch((error) => {
    stop();
    throw new Trouble(kind, `The ${kind} shows nothing (${error.name}). Press the button again; the talk goes on without it.`);
  });
  let held = new Uint8Array(count * size * size * 3), filled = 0;
  const timer = setInterval(() => {
    pen.drawImage(video, 0, 0, size, size);
    const { data } = pen.getImageData(0, 0, size, size);
    for (let from = 0; from < data.length; from += 4) for (let c = 0; c < 3; c++) held[filled++] = data[from + c];
    if (filled < held.length) return;
    onFrames(held, size, count);
    held = new Uint8Array(held.length);
    filled = 0;
  }, tickMs / count);
  const close = () => { clearInterval(timer); stop(); };
  stream.getVideoTracks()[0].onended = () => { close(); onEnded(); };
  return { close };
}
