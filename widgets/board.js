// Draws a figure when it comes into sight, in the colours the reader prefers, and joins it to the sound of its session.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 760px)");
  const colours = JSON.parse(document.getElementById("colours").textContent);
  const known = new RegExp(Object.keys(colours).map((c) => c.replace(/[()]/g, "\\$&")).join("|"), "gi");

  async function unpack(id) {
    const inner = document.getElementById(id)?.textContent ?? window.packed[id]; // in the page, or in a file that pages share
    const bytes = Uint8Array.from(atob(inner), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  let loading = null;
  function plotly() {
    loading ??= unpack("plotly").then((code) => {
      const script = document.createElement("script");
      script.textContent = code;
      document.head.append(script);
    });
    return loading;
  }

  const drawing = new WeakMap(); // a place is drawn once at a time: it is emptied before its first figure, and only then
  function draw(place) {
    const turn = (drawing.get(place) ?? Promise.resolve()).then(() => drawOnce(place)).catch((error) => console.error(error));
    drawing.set(place, turn);
  }

  async function drawOnce(place) {
    if (!wanted.has(place)) return; // closed while another was drawn
    const [text] = await Promise.all([unpack(place.dataset.figure), plotly()]);
    if (!wanted.has(place)) return; // closed meanwhile
    const figure = JSON.parse(dark.matches ? text.replace(known, (c) => colours[c.toUpperCase()] ?? colours[c] ?? c) : text);
    const session = place.dataset.endS !== undefined;
    if (session && narrow.matches) { // the whole session side by side, moved by the page's own scrolling
      figure.layout.width = 210 + 95 * Number(place.dataset.endS);
      figure.layout.xaxis.range = [0, Number(place.dataset.endS)];
      figure.layout.dragmode = false;
    }
    if (!place.dataset.ready) place.textContent = "";
    place.classList.remove("waiting");
    await Plotly.react(place, figure.data, figure.layout, { displayModeBar: false, responsive: !figure.layout.width, scrollZoom: false });
    if (!wanted.has(place)) return void Plotly.purge(place); // closed while it was drawn
    if (session && !place.dataset.ready) joinSound(place);
    if (!session && !place.dataset.ready) joinPoints(place);
    place.dataset.ready = "yes";
    ready.get(place)?.();
    ready.delete(place);
  }

  const ready = new Map(); // what is to be done once a figure has been drawn
  const joined = new Map(); // figures with a sound: how to go to a time, and how to let go

  const wanted = new Set();
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting || wanted.has(entry.target)) continue;
      wanted.add(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "200px" });
  document.querySelectorAll("[data-figure]").forEach((place) => seen.observe(place));
  dark.addEventListener("change", () => wanted.forEach((place) => draw(place)));

  window.board = {
    unpack,
    watch(place, then) { ready.set(place, then); seen.observe(place); },
    seek(place, atS) { joined.get(place)?.seek(atS); },
    forget(place) {
      joined.get(place)?.away.abort();
      for (const known of [joined, ready, wanted]) known.delete(place);
      seen.unobserve(place);
      if (place.dataset.ready) Plotly.purge(place);
    },
  };

  const from = /^#t=([0-9.]+)$/.exec(location.hash), only = document.querySelector("[data-end-s]");
  if (from && only) ready.set(only, () => window.board.seek(only, Number(from[1]))); // a page of one session, opened at a moment

  function joinPoints(place) { // of a curve, which open the sessions behind them
    place.on("plotly_click", ({ points }) => window.board.point?.(points[0].customdata));
    place.on("plotly_hover", ({ points }) => place.classList.toggle("opens", window.board.opens?.(points[0].customdata) ?? false));
    place.on("plotly_unhover", () => place.classList.remove("opens"));
  }

  function joinSound(place) {
    const inside = place.closest(".inside"), sound = inside.querySelector("audio"), cursor = inside.querySelector(".cursor");
    const strip = place.closest(".scroll"), away = new AbortController(), { signal } = away;
    const axis = () => place._fullLayout.xaxis;
    const put = () => {
      const x = axis(), size = place._fullLayout._size, at = sound.currentTime;
      cursor.style.display = at > 0 && at >= x.range[0] && at <= x.range[1] ? "block" : "none";
      Object.assign(cursor.style, { left: `${x._offset + x.d2p(at) - 1}px`, top: `${size.t}px`, height: `${size.h}px` });
    };
    const show = (atS) => {
      const [from, to] = axis().range, span = to - from, end = axis().maxallowed;
      if (atS >= from && atS <= to) return;
      const start = Math.max(0, Math.min(atS - 0.2 * span, end - span));
      Plotly.relayout(place, { "xaxis.range": [start, start + span] });
    };
    const reveal = () => { // where the figure is wider than the screen
      const left = cursor.offsetLeft - strip.scrollLeft;
      if (left < 0 || left > strip.clientWidth - 20) strip.scrollLeft = cursor.offsetLeft - 0.4 * strip.clientWidth;
    };
    const follow = () => {
      if (signal.aborted) return;
      show(sound.currentTime);
      put();
      reveal();
      if (!sound.paused) requestAnimationFrame(follow);
    };
    const seek = (atS) => { sound.currentTime = atS; show(atS); put(); reveal(); };
    joined.set(place, { seek, away });
    place.on("plotly_afterplot", put);
    // A sound tells of a seek later, when the figure may be gone.
    sound.addEventListener("play", follow, { signal });
    for (const name of ["seeked", "timeupdate"]) sound.addEventListener(name, put, { signal });
    let pressed = null;
    place.addEventListener("pointerdown", (event) => { pressed = [event.clientX, event.clientY]; }, true);
    document.addEventListener("pointerup", (event) => {
      const begun = pressed;
      pressed = null;
      if (!begun || Math.hypot(event.clientX - begun[0], event.clientY - begun[1]) > 4) return;
      const px = event.clientX - place.getBoundingClientRect().left - axis()._offset;
      if (px >= 0 && px <= axis()._length) seek(axis().p2d(px));
    }, { capture: true, signal });
    const unlessCut = (error) => { if (error.name !== "AbortError") throw error; };
    inside.querySelectorAll("[data-at]").forEach((row) => {
      const play = () => { seek(Number(row.dataset.at)); sound.play().catch(unlessCut); }; // closed or paused before it began
      row.addEventListener("click", play);
      if (row.matches("tr")) row.addEventListener("keydown", (event) => { if (event.key === "Enter") play(); });
    });
  }
})();
