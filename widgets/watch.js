// A timeline to look at: of a finished session, or of one that goes on in the kernel. The same canvas as in the panel to talk through.
//
// What there is to see comes in chunks: deflated, one packed message each, { size, messages } with the frames that were seen as its buffers.
import { unpack } from "./carriers.js";
import { createTimeline, make } from "./timeline.js";

const inflated = async (data) => new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
const breath = () => new Promise((done) => setTimeout(done)); // lets the browser paint and listen between two chunks

/** Build the timeline in `root`: { timeline, begin, add, over, destroy }. `add(chunk)` promises that the chunk is in the picture. */
export function watch(root) {
  root.classList.add("microturn");
  const about = make("p", { class: "mt-about" }), place = make("div", { class: "mt-place" }), panel = make("div", { class: "mt-watch" }, about, place);
  root.append(panel);
  const timeline = createTimeline(place);
  let added = Promise.resolve();
  async function take(chunk) {
    const [{ messages, size }, pictures] = unpack(await inflated(chunk));
    timeline.ticks(messages, size, pictures);
    await breath();
  }
  return {
    timeline,
    begin({ tick_ms, ticks, text }, finished = false) {
      about.textContent = text;
      timeline.reset(tick_ms, [], ticks, !finished);
    },
    add(chunk) { return (added = added.then(() => take(chunk))); },
    over(whole) { return (added = added.then(() => timeline.finish(whole))); },
    destroy() {
      timeline.destroy();
      panel.remove();
    },
  };
}

/** As an anywidget: what was there when the widget was made comes with it, the rest as messages; a page that comes later asks for them. */
function render({ model, el }) {
  const seen = watch(el);
  const hear = ({ t }, buffers = []) => {
    if (t === "ticks") for (const chunk of buffers) seen.add(chunk);
    if (t === "over") seen.over(false);
  };
  seen.begin(model.get("about"), model.get("finished"));
  for (const chunk of model.get("chunks")) seen.add(chunk);
  if (model.get("finished")) seen.over(true);
  else {
    model.on("msg:custom", hear);
    model.send({ t: "ready" });
  }
  return () => {
    model.off("msg:custom", hear);
    seen.destroy();
  };
}

export default { render };
