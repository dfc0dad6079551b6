// Opens numbers: the sessions behind one, and the first of them that is in the page. Unfolds rows.
(() => {
  let told = null;
  const load = async () => (told ??= JSON.parse(await window.board.unpack("told")));
  const MARKS = new Map([[true, ["yes", "✓", "as it should be"]], [false, ["no", "✗", "failed"]], [null, ["", "·", ""]]]);

  function element(name, inner = {}, ...children) {
    const made = Object.assign(document.createElement(name), inner);
    made.append(...children);
    return made;
  }

  const template = (cell, [family, seed]) => document.querySelector(`template[data-session="${CSS.escape(`${cell.column}/${family}-${seed}`)}"]`);

  function clear(place) {
    place.querySelectorAll("[data-figure]").forEach((figure) => window.board.forget(figure));
    place.replaceChildren();
  }

  function show(place, button, held, atS) {
    clear(place);
    place.append(held.content.cloneNode(true));
    place.querySelectorAll("[data-figure]").forEach((figure) => window.board.watch(figure, () => { if (atS !== null) window.board.seek(figure, atS); }));
    button.closest("ul").querySelectorAll("[aria-pressed]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
  }

  function line(cell, at, place) {
    const [family, seed, atS, good, text] = at, column = told.columns[cell.column], name = `${family}-${seed}`;
    const [kind, mark, says] = MARKS.get(good);
    const held = template(cell, at), page = column.pages.includes(name);
    const state = held ? "timeline below" : page ? "timeline ↗" : column.absent;
    const sign = element("span", { className: kind, textContent: mark });
    if (says) sign.setAttribute("aria-label", says);
    const parts = [sign, element("span", { textContent: `${family.replaceAll("_", " ")}, seed ${seed}` }),
      element("span", { className: "small", textContent: atS === null ? "" : `${atS.toFixed(1)} s` }),
      element("span", { textContent: text }), element("span", { className: "state", textContent: state })];
    if (held) {
      const button = element("button", { type: "button" }, ...parts);
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => show(place, button, held, atS));
      return element("li", {}, button);
    }
    if (!page) return element("li", {}, element("div", {}, ...parts));
    const from = atS === null ? "" : `#t=${atS.toFixed(2)}`;
    return element("li", {}, element("a", { href: `${column.at}/${encodeURIComponent(name)}.html${from}`, target: "_blank", rel: "noopener" }, ...parts));
  }

  async function open(button) {
    button.setAttribute("aria-expanded", "true");
    const cell = (await load()).cells[Number(button.dataset.cell)];
    const row = button.closest("tr");
    if (button.getAttribute("aria-expanded") !== "true" || row.nextElementSibling?.matches(".opened")) return; // closed, or opened, meanwhile
    const inside = element("div", { className: "inside" });
    const list = element("ul", { className: "sessions" }, ...cell.listed.map((at) => line(cell, at, inside)));
    const count = cell.all === 1 ? "one session" : cell.all > cell.listed.length ? `${cell.listed.length} of ${cell.all} sessions` : `${cell.all} sessions`;
    const head = element("p", {}, element("b", { textContent: cell.title }), element("span", { className: "small", textContent: `${cell.about} · ${count}, the worst first` }));
    const panel = element("td", { colSpan: row.children.length }, element("div", { className: "panel" }, head, list, inside));
    row.after(element("tr", { className: "opened" }, panel));
    const first = list.querySelector("button");
    if (first) first.click();
  }

  function close() {
    document.querySelectorAll("tr.opened").forEach((row) => { clear(row.querySelector(".inside")); row.remove(); });
    const button = document.querySelector("[data-cell][aria-expanded=true]");
    button?.setAttribute("aria-expanded", "false");
    return button;
  }

  function unfold(button) {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    let row = button.closest("tr").nextElementSibling;
    while (row && (row.matches(".more") || row.matches(".opened"))) {
      const next = row.nextElementSibling;
      if (row.matches(".more")) row.hidden = !open;
      else if (!open) close();
      row = next;
    }
  }

  const cellOf = (point) => (point ? document.querySelector(`[data-point="${CSS.escape(point)}"]`) : null);

  async function openPoint(point) { // of a figure: the number that it stands for, unfolded and opened
    const button = cellOf(point);
    if (!button) return;
    const row = button.closest("tr");
    if (row.hidden) {
      let head = row;
      while (!head.querySelector("[data-more]")) head = head.previousElementSibling;
      unfold(head.querySelector("[data-more]"));
    }
    close();
    await open(button);
    row.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    button.focus({ preventScroll: true });
  }
  Object.assign(window.board, { point: openPoint, opens: (point) => cellOf(point) !== null });

  document.addEventListener("click", (event) => {
    const more = event.target.closest("[data-more]");
    if (more) unfold(more);
    const button = event.target.closest("[data-cell]");
    if (button && close() !== button) open(button);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close()?.focus(); });
})();
