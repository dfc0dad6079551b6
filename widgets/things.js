// What an agent shows beside its words: text, a table, a chart, a picture, drawn from plain data (`workbench.background.shown`).
//
// All of it may come from strangers: text becomes text nodes, colours and pictures are checked, and nothing is read as markup or address.
const SVG = "http://www.w3.org/2000/svg";
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}$/;
const COLOUR = /^(#[0-9a-f]{3,8}|[a-z]{3,20})$/i;
const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#9AA3AD", "#8A5D00"];
const WIDE = 440, TALL = 230, LEFT = 54, TOP = 12, RIGHT = 10, BOTTOM = 44, MOST_NAMES = 12;

const text = (tag, value) => Object.assign(document.createElement(tag), { textContent: String(value ?? "") });
const colourOf = (colour, index) => (COLOUR.test(colour ?? "") ? colour : COLOURS[index % COLOURS.length]);
const brief = (value) => Number(value.toPrecision(4)).toString();

function drawn(tag, attributes, words) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  if (words !== undefined) node.textContent = words;
  return node;
}

function table({ caption = "", columns = [], rows = [], more = 0 }) {
  const made = document.createElement("table"), head = made.createTHead().insertRow(), body = made.createTBody();
  for (const name of columns) head.append(text("th", name));
  for (const row of rows) body.insertRow().append(...row.map((cell) => text("td", cell)));
  const about = [caption, more ? `and ${more} more rows` : ""].filter(Boolean).join("; ");
  if (about) made.createCaption().textContent = about;
  return made;
}

function pie({ names, values }, svg) {
  const total = values.reduce((sum, value) => sum + Math.max(0, value), 0) || 1, radius = TALL / 2 - 20, x = radius + 20, y = TALL / 2;
  let from = -Math.PI / 2;
  values.forEach((value, i) => {
    const to = from + (2 * Math.PI * Math.max(0, value)) / total, large = to - from > Math.PI ? 1 : 0;
    const at = (angle) => `${x + radius * Math.cos(angle)} ${y + radius * Math.sin(Math.min(angle, from + 2 * Math.PI - 1e-4))}`;
    const slice = drawn("path", { d: `M ${x} ${y} L ${at(from)} A ${radius} ${radius} 0 ${large} 1 ${at(to)} Z`, fill: COLOURS[i % COLOURS.length] });
    slice.append(drawn("title", {}, `${names[i]}: ${brief(value)}`));
    svg.append(slice);
    if (i < MOST_NAMES) svg.append(drawn("text", { x: 2 * radius + 40, y: 24 + 16 * i, fill: "currentColor" }, `${names[i]}: ${brief(value)}`));
    from = to;
  });
}

function axes(series, svg, { x, y }) {
  const names = [...new Set(series.flatMap((one) => one.names))], values = series.flatMap((one) => one.values);
  const low = Math.min(0, ...values), high = Math.max(0, ...values), span = high - low || 1, wide = WIDE - LEFT - RIGHT, tall = TALL - TOP - BOTTOM;
  const place = (name) => LEFT + (wide * (names.indexOf(name) + 0.5)) / (names.length || 1), level = (value) => TOP + tall * (1 - (value - low) / span);
  for (const value of [low, low + span / 2, high]) {
    svg.append(drawn("line", { x1: LEFT, x2: WIDE - RIGHT, y1: level(value), y2: level(value), stroke: "currentColor", opacity: 0.2 }));
    svg.append(drawn("text", { x: LEFT - 6, y: level(value) + 4, "text-anchor": "end", fill: "currentColor" }, brief(value)));
  }
  const every = Math.ceil(names.length / MOST_NAMES);
  names.forEach((name, i) => {
    if (i % every === 0) svg.append(drawn("text", { x: place(name), y: TALL - BOTTOM + 16, "text-anchor": "middle", fill: "currentColor" }, name));
  });
  svg.append(drawn("text", { x: LEFT + wide / 2, y: TALL - 8, "text-anchor": "middle", fill: "currentColor", opacity: 0.7 }, [y, x].filter(Boolean).join(" by ")));
  series.forEach((one, index) => lines(one, index, svg, { place, level, width: (wide / (names.length || 1)) * 0.7 / series.length, of: series.length }));
}

function lines({ look, names, values, colour }, index, svg, { place, level, width, of }) {
  const fill = colourOf(colour, index), points = names.map((name, i) => [place(name), level(values[i]), `${name}: ${brief(values[i])}`]);
  if (look === "line") svg.append(drawn("polyline", { points: points.map(([x, y]) => `${x},${y}`).join(" "), fill: "none", stroke: fill, "stroke-width": 2 }));
  for (const [x, y, words] of points) {
    const from = Math.min(y, level(0)), left = x - (width * of) / 2 + width * index;
    const mark = look === "bar" ? drawn("rect", { x: left, y: from, width, height: Math.abs(level(0) - y), fill }) : drawn("circle", { cx: x, cy: y, r: 3.5, fill });
    mark.append(drawn("title", {}, words));
    svg.append(mark);
  }
}

function chart({ title, x, y, series = [] }) {
  const made = document.createElement("div"), svg = drawn("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, role: "img", "font-size": 12 });
  svg.setAttribute("aria-label", title || "a chart");
  if (series[0]?.look === "pie") pie(series[0], svg);
  else axes(series, svg, { x, y });
  made.append(text("b", title), svg);
  return made;
}

function picture({ data, alt }) {
  if (!PICTURE.test(data ?? "")) return text("p", "(a picture that cannot be shown)");
  return Object.assign(document.createElement("img"), { src: data, alt: alt || "a picture" });
}

/** An element that shows one thing; `data-task` names the task it came of. */
export function thingOf(thing) {
  const made = document.createElement("figure"), draw = { table, figure: chart, image: picture }[thing.kind];
  made.className = "mt-thing";
  made.dataset.task = String(thing.task ?? "");
  made.append(draw ? draw(thing) : text("p", thing.text));
  return made;
}
