// Opens a cell: the moments that its number counts, and the session of the first of them that is in the page.
(() => {
  let told = null;
  const load = async () => (told ??= JSON.parse(await window.board.unpack("told")));

  function element(name, inner = {}, ...children) {
    const made = Object.assign(document.createElement(name), inner);
    made.append(...children);
    return made;
  }

  const sessionName = (cell, at) => `${cell.column}/${at.family}-${at.seed}`;
  const template = (name) => document.querySelector(`template[data-session="${CSS.escape(name)}"]`);

  function show(place, cell, at) {
    const held = template(sessionName(cell, at));
    place.replaceChildren();
    if (held) {
      place.append(held.content.cloneNode(true));
      place.querySelectorAll("[data-figure]").forEach((figure) => window.board.watch(figure, () => window.board.seek(figure, at.at_s)));
      return;
    }
    const folder = told.columns[cell.column].traces;
    if (!folder) {
      place.append(element("p", { className: "hint", textContent: "The trace of this session was not kept." }));
      return;
    }
    const file = `${folder}/${at.family}-${at.seed}.sqlite`;
    const link = element("a", { href: file, textContent: file, download: "" });
    const command = element("code", { textContent: `microturn export ${file} --to fdb --out OUT  ·  microturn dashboard ${folder}` });
    place.append(element("p", {}, "Its trace lies beside this page: ", link), element("p", {}, command));
  }

  function line(cell, at, place) {
    const mark = at.good === null ? "·" : at.good ? "✓" : "✗";
    const kind = at.good === null ? "" : at.good ? "yes" : "no";
    const button = element("button", { type: "button" },
      element("span", { className: kind, textContent: mark }),
      element("span", { textContent: `${at.family.replaceAll("_", " ")}, seed ${at.seed}` }),
      element("span", { textContent: `${at.at_s.toFixed(1)} s` }),
      element("span", { textContent: at.text }));
    button.addEventListener("click", () => show(place, cell, at));
    return element("li", {}, button);
  }

  async function open(button) {
    const cell = (await load()).cells[button.dataset.cell];
    const row = button.closest("tr"), wide = row.children.length;
    const inside = element("div", { className: "inside" });
    const list = element("ul", { className: "moments" }, ...cell.moments.map((at) => line(cell, at, inside)));
    const more = cell.all > cell.moments.length ? ` The first ${cell.moments.length} of ${cell.all} are listed.` : "";
    const head = element("p", {}, element("b", { textContent: `${cell.title} · ${told.columns[cell.column].name}` }), ` ${cell.about}.${more}`);
    const opened = element("tr", { className: "opened" }, element("td", { colSpan: wide }, head, list, inside));
    row.after(opened);
    const first = cell.moments.find((at) => template(sessionName(cell, at))) ?? cell.moments[0];
    if (first) show(inside, cell, first);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-cell]");
    if (!button) return;
    const was = button.getAttribute("aria-expanded") === "true";
    document.querySelectorAll("tr.opened").forEach((row) => row.remove());
    document.querySelectorAll("[data-cell][aria-expanded=true]").forEach((other) => other.setAttribute("aria-expanded", "false"));
    if (was) return;
    button.setAttribute("aria-expanded", "true");
    open(button);
  });
})();
