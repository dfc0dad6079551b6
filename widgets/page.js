// Joins the sound, the timeline and the table of one page. The time of the audio element is the only state.
(() => {
  const plot = document.getElementById("timeline");
  const sound = document.getElementById("sound");
  const cursor = document.getElementById("cursor");
  const rows = [...document.querySelectorAll("tbody tr")];
  document.getElementById("things").append(...THINGS.map(thingOf));
  const axis = () => plot._fullLayout.xaxis;
  const endS = () => axis().maxallowed;

  function place() {
    const x = axis(), size = plot._fullLayout._size;
    const inside = sound.currentTime > 0 && sound.currentTime >= x.range[0] && sound.currentTime <= x.range[1];
    cursor.style.display = inside ? "block" : "none";
    cursor.style.left = `${x._offset + x.d2p(sound.currentTime) - 1}px`;
    cursor.style.top = `${size.t}px`;
    cursor.style.height = `${size.h}px`;
    let now = null;
    for (const row of rows) if (Number(row.dataset.at) <= sound.currentTime + 1e-3) now = row;
    for (const row of rows) row.classList.toggle("now", row === now && sound.currentTime > 0);
  }

  // Seen from far away the slanted words would lie on each other; pointing at their boxes still names them.
  function tidy() {
    const dense = axis()._length / (axis().range[1] - axis().range[0]) < 55;
    (plot.layout.annotations || []).forEach((note, index) => {
      const drawn = note.name === "word" && plot.querySelector(`g.annotation[data-index="${index}"]`);
      if (drawn) drawn.style.display = dense ? "none" : "";
    });
  }

  function show(fromS, spanS) {
    const start = Math.max(0, Math.min(fromS, endS() - spanS));
    return Plotly.relayout(plot, { "xaxis.range": [start, Math.min(endS(), start + spanS)] });
  }

  function follow() {
    const [from, to] = axis().range;
    if (sound.currentTime > to - 0.1 * (to - from) && to < endS() - 1e-3) show(sound.currentTime - 0.2 * (to - from), to - from);
    place();
    if (!sound.paused) requestAnimationFrame(follow);
  }

  function seek(atS) {
    sound.currentTime = Math.max(0, Math.min(atS, endS()));
    const [from, to] = axis().range;
    if (atS < from || atS > to) show(atS - 0.2 * (to - from), to - from);
    place();
  }

  // A press and release in one place is a click; anything else is a pan, and belongs to the figure.
  let pressed = null;
  plot.addEventListener("pointerdown", (event) => { pressed = [event.clientX, event.clientY]; }, true);
  document.addEventListener("pointerup", (event) => {
    const begun = pressed;
    pressed = null;
    if (!begun || Math.hypot(event.clientX - begun[0], event.clientY - begun[1]) > 4) return;
    const px = event.clientX - plot.getBoundingClientRect().left - axis()._offset;
    if (px >= 0 && px <= axis()._length) seek(axis().p2d(px));
  }, true);

  sound.addEventListener("play", follow);
  for (const name of ["seeked", "timeupdate", "loadedmetadata"]) sound.addEventListener(name, place);
  plot.on("plotly_afterplot", () => { tidy(); place(); });
  const unlessCut = (error) => { if (error.name !== "AbortError") throw error; };
  for (const row of rows) {
    const play = () => { seek(Number(row.dataset.at)); sound.play().catch(unlessCut); }; // paused before it began
    row.addEventListener("click", play);
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") play(); });
  }

  function press(group, button) {
    for (const other of group.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
  }

  // Both sides at once play as they are; one side alone is taken from its channel and sent to both ears.
  let gains = null;
  function listenTo(side) {
    if (!gains) {
      const context = new AudioContext(), split = context.createChannelSplitter(2), join = context.createChannelMerger(2);
      context.createMediaElementSource(sound).connect(split);
      gains = { context, cells: [0, 1].map((from) => [0, 1].map((to) => {
        const gain = context.createGain();
        split.connect(gain, from);
        gain.connect(join, 0, to);
        return gain.gain;
      })) };
      join.connect(context.destination);
    }
    gains.context.resume();
    const levels = { both: [[1, 0], [0, 1]], user: [[1, 1], [0, 0]], agent: [[0, 0], [1, 1]] }[side];
    gains.cells.forEach((line, from) => line.forEach((gain, to) => { gain.value = levels[from][to]; }));
  }
  document.getElementById("sides").addEventListener("click", (event) => {
    if (!event.target.dataset.side) return;
    press(event.currentTarget, event.target);
    listenTo(event.target.dataset.side);
  });
  document.getElementById("zoom").addEventListener("click", (event) => {
    if (!event.target.dataset.zoom) return;
    press(event.currentTarget, event.target);
    show(event.target.dataset.zoom === "all" ? 0 : sound.currentTime - 1, event.target.dataset.zoom === "all" ? endS() : WINDOW_S);
  });
  tidy();
  place();
})();
