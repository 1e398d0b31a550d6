"use strict";
// The map is painted point by point into the pixels of one canvas; what changes with the pointer is on another above it.
const $ = (id) => document.getElementById(id);
const base = location.pathname.replace(/\/?$/, "/");
const points = $("points"), marks = $("marks");
const PALETTE = 12, SHOWN = 60, NEAR = 14, MOST_ZOOM = 400;
const state = {
  count: 0, places: null, scene: null, labels: { names: [], undo: 0 }, colour: "cluster", values: null, names: [],
  paint: null, selected: new Set(), reasons: new Map(), list: [], listed: 0, focus: -1, hover: -1,
  view: { x: 0.5, y: 0.5, zoom: 1 }, lasso: null, drawing: false, grid: null, known: new Map(),
};

// --- The server

async function ask(path, body) {
  const how = body === undefined ? {} :
    { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  let answer;
  try {
    answer = await fetch(base + path, how);
  } catch {
    throw new Error("the server does not answer: it was ended, or the connection is lost");
  }
  if (!answer.ok) {
    const text = await answer.text();
    let told = text;
    try { told = JSON.parse(text).error; } catch { /* a line of text */ }
    throw new Error(told || `the server answers ${answer.status}`);
  }
  return answer;
}

const askJSON = async (path, body) => (await ask(path, body)).json();
const asked = (promise) => promise.catch((error) => say(error.message));

async function about(places) {
  const unknown = places.filter((place) => !state.known.has(place));
  for (let i = 0; i < unknown.length; i += 100) {
    const some = unknown.slice(i, i + 100);
    for (const each of await askJSON(`samples?at=${some.join(",")}`)) state.known.set(each.place, each);
  }
  return places.map((place) => state.known.get(place));
}

// --- Elements: what comes from the data is text, never markup

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value; else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function say(text) { $("status").textContent = text; }

const number = (value) => value.toLocaleString("en");

function samples(count) { return count === 1 ? "1 sample" : `${number(count)} samples`; }

function pictures(sample) {
  return Array.from({ length: sample.pictures }, (_, part) => {
    const image = element("img", { className: "seen", loading: "lazy", alt: `Picture of ${sample.id}` });
    image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth <= 32));
    image.src = `${base}samples/${sample.place}/picture/${part}`;
    return image;
  });
}

function said(text) { return element("p", { className: "said", dir: "auto", textContent: text }); }

function facts(sample) {
  const rows = [["id", sample.id]];
  if (sample.label !== null) rows.push(["label", sample.given ? `${sample.label} (given here)` : sample.label]);
  if (sample.predicted !== undefined && sample.predicted !== null) {
    const sure = sample.probability === undefined ? "" : ` (${(100 * sample.probability).toFixed(1)} %)`;
    rows.push(["predicted", sample.predicted + sure]);
  }
  rows.push(["cluster", state.scene.clusters[sample.cluster].name]);
  if (sample.unusual !== undefined) rows.push(["unusual", String(sample.unusual)]);
  for (const fault of sample.faults) rows.push([fault.kind, fault.reason]);
  const list = element("dl");
  for (const [name, value] of rows) {
    list.append(element("dt", { textContent: name }), element("dd", { dir: "auto", textContent: value }));
  }
  return list;
}

function described(sample) {
  const sounds = Array.from({ length: sample.sounds }, (_, part) => element("audio", {
    controls: true, preload: "metadata", src: `${base}samples/${sample.place}/sound/${part}`,
    "aria-label": `Sound of ${sample.id}`,
  }));
  return [...pictures(sample), ...sample.texts.map(said), ...sounds, facts(sample)];
}

// --- The view: the map's coordinates are from 0 to 1; pixels are those of the screen

function size() {
  const box = marks.getBoundingClientRect();
  return { width: Math.max(1, box.width), height: Math.max(1, box.height) };
}

function scale() {
  const { width, height } = size();
  return 0.9 * Math.min(width, height) * state.view.zoom;
}

function onScreen(place) {
  const { width, height } = size(), s = scale();
  return [
    width / 2 + (state.places[2 * place] - state.view.x) * s, height / 2 - (state.places[2 * place + 1] - state.view.y) * s,
  ];
}

function onMap(x, y) {
  const { width, height } = size(), s = scale();
  return [state.view.x + (x - width / 2) / s, state.view.y - (y - height / 2) / s];
}

function zoomBy(factor, x, y) {
  const { width, height } = size();
  const [mapX, mapY] = onMap(x ?? width / 2, y ?? height / 2);
  state.view.zoom = Math.min(MOST_ZOOM, Math.max(0.3, state.view.zoom * factor));
  const [nowX, nowY] = onMap(x ?? width / 2, y ?? height / 2);
  state.view.x += mapX - nowX;
  state.view.y += mapY - nowY;
  draw();
}

function panBy(dx, dy) {
  state.view.x = Math.min(1.5, Math.max(-0.5, state.view.x - dx / scale()));
  state.view.y = Math.min(1.5, Math.max(-0.5, state.view.y + dy / scale()));
  draw();
}

function showAll() {
  state.view = { x: 0.5, y: 0.5, zoom: 1 };
  draw();
}

// --- Where points are: a grid of cells, each with the points in it

function makeGrid() {
  const side = Math.max(1, Math.min(1000, Math.ceil(Math.sqrt(state.count / 3)))), n = state.count;
  const start = new Uint32Array(side * side + 1), order = new Uint32Array(n), cells = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    const x = Math.min(side - 1, Math.floor(state.places[2 * i] * side));
    const y = Math.min(side - 1, Math.floor(state.places[2 * i + 1] * side));
    cells[i] = y * side + x;
    start[cells[i] + 1]++;
  }
  for (let cell = 0; cell < side * side; cell++) start[cell + 1] += start[cell];
  const next = start.slice();
  for (let i = 0; i < n; i++) order[next[cells[i]]++] = i;
  state.grid = { side, start, order };
}

function* within(left, bottom, right, top) {
  const { side, start, order } = state.grid;
  const at = (value) => Math.min(side - 1, Math.max(0, Math.floor(value * side)));
  for (let y = at(bottom); y <= at(top); y++) {
    for (let i = start[y * side + at(left)]; i < start[y * side + at(right) + 1]; i++) yield order[i];
  }
}

function nearest(x, y, pixels, fits = () => true) {
  const radius = pixels / scale();
  let best = -1, least = radius * radius;
  for (const i of within(x - radius, y - radius, x + radius, y + radius)) {
    const dx = state.places[2 * i] - x, dy = state.places[2 * i + 1] - y, distance = dx * dx + dy * dy;
    if (distance <= least && fits(i, dx, dy)) { best = i; least = distance; }
  }
  return best;
}

function inView() {
  const { width, height } = size();
  const [left, top] = onMap(0, 0), [right, bottom] = onMap(width, height);
  return [...within(left, bottom, right, top)].filter((i) => {
    const x = state.places[2 * i], y = state.places[2 * i + 1];
    return x >= left && x <= right && y >= bottom && y <= top;
  });
}

// --- Colours

function cssColour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

function packed(hex) {
  const value = parseInt(hex.slice(1, 7), 16);
  return ((255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

function mixed(one, other, share) {
  const parts = [0, 8, 16].map((shift) => {
    const a = (one >> shift) & 255, b = (other >> shift) & 255;
    return Math.round(a + (b - a) * share) << shift;
  });
  return ((255 << 24) | parts[0] | parts[1] | parts[2]) >>> 0;
}

const isScore = () => state.colour === "doubt" || state.colour === "unusual";

function colourOf() {
  const paper = packed(cssColour("--paper")), pale = packed(cssColour("--pale"));
  const paint = new Uint32Array(state.count);
  if (isScore()) {
    const low = packed(cssColour("--low")), high = packed(cssColour("--high"));
    const ramp = Array.from({ length: 64 }, (_, i) => mixed(low, high, i / 63));
    const [least, most] = scoreRange();
    for (let i = 0; i < state.count; i++) {
      const share = (state.values[i] - least) / (most - least || 1);
      paint[i] = Number.isNaN(share) ? pale : ramp[Math.max(0, Math.min(63, Math.round(63 * share)))];
    }
  } else {
    const palette = Array.from({ length: PALETTE }, (_, i) => packed(cssColour(`--c${i}`)));
    for (let i = 0; i < state.count; i++) paint[i] = state.values[i] < 0 ? pale : palette[state.values[i] % PALETTE];
  }
  if (state.selected.size) {
    const faded = new Map();
    for (let i = 0; i < state.count; i++) {
      if (state.selected.has(i)) continue;
      if (!faded.has(paint[i])) faded.set(paint[i], mixed(paint[i], paper, 0.78));
      paint[i] = faded.get(paint[i]);
    }
  }
  state.paint = paint;
}

function scoreRange() {
  if (state.colour === "doubt") return [0, 1];
  let most = 1;
  for (const value of state.values) if (value > most) most = value;
  return [0, Math.min(4, most)];
}

async function colourBy(name) {
  const Kind = name === "doubt" || name === "unusual" ? Float32Array : Int32Array;
  const values = new Kind(await (await ask(`values/${name}`)).arrayBuffer());
  state.colour = name;
  state.values = values;
  state.names = name === "cluster" ? state.scene.clusters.map((each) => each.name)
    : name === "predicted" ? state.scene.predicted : state.labels.names;
  $("colour").value = name;
  colourOf();
  showLegend();
  draw();
}

function showLegend() {
  const legend = $("legend");
  legend.replaceChildren();
  if (isScore()) {
    const [least, most] = scoreRange();
    const ends = element("div", { className: "ends" });
    ends.append(element("span", { textContent: least.toFixed(1) }), element("span", { textContent: most.toFixed(1) }));
    const what = state.colour === "doubt" ? "Doubt: 1 - the probability of the predicted class"
      : "Unusual: 0 is the median, 1 what nine in ten are below, outliers from 2.25";
    legend.append(element("li", {}, element("div", { className: "ramp" }), ends, element("p", { className: "note", textContent: what })));
    return;
  }
  const counts = new Map();
  for (const code of state.values) counts.set(code, (counts.get(code) || 0) + 1);
  const codes = [...counts.keys()].sort((a, b) => (a < 0) - (b < 0) || counts.get(b) - counts.get(a) || a - b);
  for (const code of codes.slice(0, 200)) {
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = code < 0 ? "var(--pale)" : `var(--c${code % PALETTE})`;
    const name = element("span", { dir: "auto", textContent: code < 0 ? "none" : state.names[code] });
    const button = element("button", { type: "button", title: "Select these samples" }, swatch, name,
      element("span", { className: "count", textContent: number(counts.get(code)) }));
    button.addEventListener("click", () => {
      const places = [];
      for (let i = 0; i < state.count; i++) if (state.values[i] === code) places.push(i);
      asked(select(places));
    });
    legend.append(element("li", {}, button));
  }
}

// --- Drawing

let waiting = false;
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; paintPoints(); paintMarks(); });
}

let marking = false;
function drawMarks() {
  if (marking) return;
  marking = true;
  requestAnimationFrame(() => { marking = false; paintMarks(); });
}

function fitted(canvas) {
  const { width, height } = size(), ratio = Math.min(2, devicePixelRatio || 1);
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  return { w, h, ratio };
}

function radius() {
  const { width, height } = size();
  const usual = 0.2 * Math.sqrt(width * height / Math.max(1, state.count));
  return Math.min(9, Math.min(6, Math.max(1, usual)) * Math.pow(Math.max(1, state.view.zoom), 0.35));
}

function paintPoints() {
  if (!state.paint) return;
  const { w, h, ratio } = fitted(points), context = points.getContext("2d");
  const image = context.createImageData(w, h), pixels = new Uint32Array(image.data.buffer);
  pixels.fill(packed(cssColour("--paper")));
  const r = radius() * ratio, whole = Math.ceil(r), stamp = [];
  for (let dy = -whole; dy <= whole; dy++) {
    for (let dx = -whole; dx <= whole; dx++) if (dx * dx + dy * dy <= r * r) stamp.push(dy * w + dx);
  }
  const s = scale() * ratio, x0 = w / 2 - state.view.x * s, y0 = h / 2 + state.view.y * s;
  const places = state.places, paint = state.paint, most = stamp.length;
  const put = (i) => {
    const x = Math.round(x0 + places[2 * i] * s), y = Math.round(y0 - places[2 * i + 1] * s);
    if (x < whole || y < whole || x >= w - whole || y >= h - whole) return;
    const at = y * w + x, colour = paint[i];
    for (let k = 0; k < most; k++) pixels[at + stamp[k]] = colour;
  };
  for (let i = 0; i < state.count; i++) put(i);
  for (const i of state.selected) put(i);
  context.putImageData(image, 0, 0);
}

function paintMarks() {
  if (!state.places) return;
  const { w, h, ratio } = fitted(marks), context = marks.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, w, h);
  context.scale(ratio, ratio);
  if (state.colour === "cluster" && !state.selected.size) paintNames(context);
  const ink = cssColour("--ink"), accent = cssColour("--accent");
  for (const [place, colour, width] of [[state.hover, ink, 1.5], [state.focus, accent, 3]]) {
    if (place < 0) continue;
    const [x, y] = onScreen(place);
    context.beginPath();
    context.arc(x, y, radius() + 4, 0, 2 * Math.PI);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
  if (state.lasso) {
    context.beginPath();
    for (const [x, y] of state.lasso) context.lineTo(x, y);
    context.closePath();
    context.strokeStyle = accent;
    context.lineWidth = 2;
    context.stroke();
    context.globalAlpha = 0.12;
    context.fillStyle = accent;
    context.fill();
    context.globalAlpha = 1;
  }
}

function paintNames(context) {
  const { width, height } = size(), s = scale(), taken = [];
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  for (const cluster of state.scene.clusters) {
    if (!cluster.count) continue;
    const x = width / 2 + (cluster.at[0] - state.view.x) * s, y = height / 2 - (cluster.at[1] - state.view.y) * s;
    const name = cluster.name.length > 32 ? `${cluster.name.slice(0, 31)}…` : cluster.name;
    const half = context.measureText(name).width / 2 + 4;
    if (taken.some(([tx, ty, th]) => Math.abs(tx - x) < th + half && Math.abs(ty - y) < 18)) continue;
    taken.push([x, y, half]);
    context.strokeStyle = cssColour("--paper");
    context.lineWidth = 4;
    context.strokeText(name, x, y);
    context.fillStyle = cssColour("--ink");
    context.fillText(name, x, y);
  }
}

// --- What is in focus, and what is selected

let hovering = 0;
function hoverAt(x, y) {
  const [mapX, mapY] = onMap(x, y), place = nearest(mapX, mapY, NEAR);
  if (place === state.hover) return;
  state.hover = place;
  drawMarks();
  $("card").hidden = true;
  clearTimeout(hovering);
  if (place >= 0) hovering = setTimeout(() => asked(showCard(place)), 50);
}

async function showCard(place) {
  const [sample] = await about([place]);
  if (state.hover !== place) return;
  const card = $("card"), [x, y] = onScreen(place), { width, height } = size();
  card.replaceChildren(...described(sample));
  card.hidden = false;
  card.style.left = `${Math.max(4, x + 280 > width ? x - 276 : x + 16)}px`;
  card.style.top = `${Math.max(4, Math.min(y - 20, height - card.offsetHeight - 8))}px`;
}

function hideCard() {
  state.hover = -1;
  clearTimeout(hovering);
  $("card").hidden = true;
  drawMarks();
}

async function open(place) {
  state.focus = place;
  drawMarks();
  const [sample] = await about([place]);
  if (state.focus !== place) return;
  const like = element("button", { type: "button", textContent: "Find similar" });
  like.addEventListener("click", () => asked(find(`find/like?place=${place}`, `similar to ${sample.id}`)));
  $("detail").replaceChildren(...described(sample), like);
  $("detail-section").hidden = false;
  say([sample.id, sample.label === null ? "" : `label ${sample.label}`].filter(Boolean).join(", "));
  showLabelling();
}

async function find(path, what) {
  say("Searching …");
  const found = await askJSON(path);
  state.reasons = new Map(found.filter(([, value]) => value !== null).map(([place, value]) => [place, `similarity ${value.toFixed(3)}`]));
  await select(found.map(([place]) => place), `${samples(found.length)} ${what}`, true);
}

async function select(places, told, keepReasons = false) {
  if (!keepReasons) state.reasons = new Map();
  state.selected = new Set(places);
  state.list = places;
  state.listed = 0;
  $("list").replaceChildren();
  $("list-section").hidden = !places.length;
  $("list-title").textContent = samples(places.length);
  colourOf();
  draw();
  showLabelling();
  say(told ?? (places.length ? `${samples(places.length)} selected` : "Nothing is selected"));
  await showMore();
}

async function showMore() {
  const list = state.list, some = list.slice(state.listed, state.listed + SHOWN);
  state.listed += some.length;
  $("more").hidden = state.listed >= list.length;
  const found = await about(some);
  if (state.list !== list) return;
  $("list").append(...found.map(listed));
}

function listed(sample) {
  const name = element("button", { type: "button", dir: "auto", textContent: sample.id, title: "Open" });
  name.addEventListener("click", () => asked(open(sample.place)));
  const why = [state.reasons.get(sample.place), sample.label === null ? "" : `label ${sample.label}`,
    ...sample.faults.map((fault) => `${fault.kind}: ${fault.reason}`)].filter(Boolean).join("; ");
  const text = element("div", {}, name, ...sample.texts.map(said), element("div", { className: "why", dir: "auto", textContent: why }));
  const item = element("li", { className: sample.pictures ? "" : "plain" });
  if (sample.pictures) item.append(pictures(sample)[0]);
  item.append(text);
  return item;
}

// --- Labels

function target() { return state.selected.size ? [...state.selected] : state.focus >= 0 ? [state.focus] : []; }

function showLabelling() {
  const count = target().length;
  $("label-for").textContent = state.selected.size ? `Label for ${samples(count)}` : count ? "Label for the open sample" : "Label (select samples, or open one)";
  $("give").disabled = $("take").disabled = !count;
  $("undo").disabled = !state.labels.undo;
  const given = state.labels.given || 0;
  $("labels-note").textContent = `${given === 1 ? "1 label" : `${number(given)} labels`} in ${state.scene.labels_file}`;
}

async function changeLabels(path, body, told) {
  state.labels = await askJSON(path, body);
  state.known.clear();
  $("known").replaceChildren(...state.labels.names.map((name) => element("option", { value: name })));
  showLabelling();
  if (state.colour === "label") await colourBy("label");
  const focus = state.focus, message = told();
  const list = state.list, again = await about(list.slice(0, Math.min(state.listed, SHOWN)));
  if (list.length && state.list === list) {  // nothing else was selected meanwhile
    state.listed = again.length;
    $("more").hidden = state.listed >= list.length;
    $("list").replaceChildren(...again.map(listed));
  }
  if (focus >= 0 && state.focus === focus) await open(focus);
  say(message);
}

function give(label) {
  const places = target();
  if (!places.length) return;
  asked(changeLabels("labels", { places, label }, () => label ? `${label}: ${samples(places.length)}` : `No label: ${samples(places.length)}`));
}

function undo() {
  if (state.labels.undo) asked(changeLabels("undo", {}, () => "The last change was taken back"));
}

// --- Pointers

const pointers = new Map();
let moved = 0, pinch = 0;

function local(event) {
  const box = marks.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

marks.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  marks.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, local(event));
  moved = 0;
  hideCard();
  if (pointers.size === 1 && (state.drawing || event.shiftKey)) state.lasso = [local(event)];
  if (pointers.size === 2) { state.lasso = null; pinch = spread(); }
});

function spread() {
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  return Math.hypot(ax - bx, ay - by);
}

marks.addEventListener("pointermove", (event) => {
  const [x, y] = local(event), before = pointers.get(event.pointerId);
  if (!before) {
    if (event.pointerType !== "touch") hoverAt(x, y);
    return;
  }
  moved += Math.hypot(x - before[0], y - before[1]);
  pointers.set(event.pointerId, [x, y]);
  if (pointers.size === 2) {
    const now = spread(), [[ax, ay], [bx, by]] = [...pointers.values()];
    if (pinch > 0 && now > 0) zoomBy(now / pinch, (ax + bx) / 2, (ay + by) / 2);
    panBy((x - before[0]) / 2, (y - before[1]) / 2);
    pinch = now;
  } else if (state.lasso) {
    state.lasso.push([x, y]);
    drawMarks();
  } else {
    panBy(x - before[0], y - before[1]);
  }
});

function released(event) {
  if (!pointers.delete(event.pointerId)) return;
  const [x, y] = local(event), drawn = state.lasso;
  state.lasso = null;
  if (drawn && drawn.length > 2 && moved > 8) {
    setDrawing(false);
    asked(select(inside(drawn)));
  } else if (moved <= 4 && !pointers.size && event.type === "pointerup") {
    const [mapX, mapY] = onMap(x, y), place = nearest(mapX, mapY, event.pointerType === "touch" ? 2 * NEAR : NEAR);
    if (place >= 0) asked(open(place));
  }
  drawMarks();
}
marks.addEventListener("pointerup", released);
marks.addEventListener("pointercancel", released);
marks.addEventListener("pointerleave", hideCard);
marks.addEventListener("wheel", (event) => {
  event.preventDefault();
  hideCard();
  zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...local(event));
}, { passive: false });

function inside(polygon) {
  const corners = polygon.map(([x, y]) => onMap(x, y));
  const xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y), found = [];
  for (const i of within(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys))) {
    const x = state.places[2 * i], y = state.places[2 * i + 1];
    let odd = false;
    for (let k = 0, j = corners.length - 1; k < corners.length; j = k++) {
      const [ax, ay] = corners[k], [bx, by] = corners[j];
      if (ay > y !== by > y && x < (bx - ax) * (y - ay) / (by - ay) + ax) odd = !odd;
    }
    if (odd) found.push(i);
  }
  return found.sort((a, b) => a - b);
}

function setDrawing(on) {
  state.drawing = on;
  $("lasso").setAttribute("aria-pressed", String(on));
  marks.classList.toggle("drawing", on);
  if (on) say("Draw around the samples to select");
}

// --- Keys

function toNeighbour(dx, dy) {
  if (state.focus < 0) return enter();
  const x = state.places[2 * state.focus], y = state.places[2 * state.focus + 1];
  // In a quarter of the plane in that direction, ever farther away.
  const ahead = (i, ax, ay) => i !== state.focus && ax * dx + ay * dy > 0 && Math.abs(ax * dy - ay * dx) <= ax * dx + ay * dy;
  for (let pixels = 20; pixels < 4 * scale(); pixels *= 3) {
    const place = nearest(x, y, pixels, ahead);
    if (place >= 0) return keepInView(place);
  }
}

function enter() {
  const { width, height } = size(), [x, y] = onMap(width / 2, height / 2);
  for (let pixels = 50; pixels < 4 * scale(); pixels *= 3) {
    const place = nearest(x, y, pixels);
    if (place >= 0) return keepInView(place);
  }
}

function keepInView(place) {
  const [x, y] = onScreen(place), { width, height } = size();
  if (x < 20 || y < 20 || x > width - 20 || y > height - 20) {
    state.view.x = state.places[2 * place];
    state.view.y = state.places[2 * place + 1];
    draw();
  }
  asked(open(place));
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
marks.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key], { width, height } = size(), step = Math.min(width, height) / 8;
  if (arrow && event.shiftKey) toNeighbour(...arrow);
  else if (arrow) panBy(-arrow[0] * step, arrow[1] * step);
  else if (event.key === "+" || event.key === "=") zoomBy(1.4);
  else if (event.key === "-") zoomBy(1 / 1.4);
  else if (event.key === "0") showAll();
  else if (event.key === "Enter") { if (state.focus < 0) enter(); else asked(open(state.focus)); }
  else if (event.key === " " && state.focus >= 0) toggle(state.focus);
  else if (event.key === "a") asked(select(inView().sort((a, b) => a - b)));
  else if (event.key === "l") setDrawing(!state.drawing);
  else if (event.key === "Escape") { setDrawing(false); asked(select([])); }
  else return;
  event.preventDefault();
});

function toggle(place) {
  const now = new Set(state.selected);
  if (!now.delete(place)) now.add(place);
  asked(select([...now]));
}

addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && !event.target.closest("input")) {
    event.preventDefault();
    undo();
  }
});

// --- Controls

$("closer").addEventListener("click", () => zoomBy(1.4));
$("farther").addEventListener("click", () => zoomBy(1 / 1.4));
$("whole").addEventListener("click", showAll);
$("lasso").addEventListener("click", () => setDrawing(!state.drawing));
$("clear").addEventListener("click", () => asked(select([])));
$("more").addEventListener("click", () => asked(showMore()));
$("undo").addEventListener("click", undo);
$("take").addEventListener("click", () => give(""));
$("colour").addEventListener("change", () => asked(colourBy($("colour").value)));
$("label-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = $("label").value.trim();
  if (label) give(label); else say("Type a label first");
});
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = $("query").value.trim();
  if (!query) return asked(select([]));
  const how = $("how").value;
  asked(find(`find/${how}?q=${encodeURIComponent(query)}`, how === "words" ? `with “${query}”` : `most similar to “${query}”`));
});

function showScene() {
  const scene = state.scene;
  document.title = `${scene.name} · likewise`;
  $("name").textContent = scene.name;
  $("about").textContent = `${samples(scene.count)} (${scene.modality}), ${scene.clusters.length} clusters`;
  const choices = [["cluster", "cluster"], ["label", "label"]];
  if (scene.predicted) choices.push(["predicted", "predicted label"]);
  if (scene.doubt) choices.push(["doubt", "doubt of the classifier"]);
  if (scene.unusual) choices.push(["unusual", "how unusual"]);
  $("colour").replaceChildren(...choices.map(([value, textContent]) => element("option", { value, textContent })));
  if (scene.by_meaning) {
    $("how").append(element("option", { value: "meaning", textContent: "by meaning" }));
    $("how").value = "meaning";
  }
  for (const [kind, count] of Object.entries(scene.faults)) {
    const button = element("button", { type: "button", textContent: `${kind} ${number(count)}` });
    button.addEventListener("click", () => asked(find(`find/faults?q=${encodeURIComponent(kind)}`, `of ${kind}`)));
    $("faults").append(button);
  }
  $("faults-section").hidden = !Object.keys(scene.faults).length;
  $("notes").replaceChildren(...scene.notes.map((note) => element("li", { className: "note", textContent: note })));
  $("notes-section").hidden = !scene.notes.length;
}

async function begin() {
  say("Loading …");
  [state.scene, state.labels] = await Promise.all([askJSON("scene"), askJSON("labels")]);
  state.count = state.scene.count;
  state.places = new Float32Array(await (await ask("values/places")).arrayBuffer());
  makeGrid();
  showScene();
  $("known").replaceChildren(...state.labels.names.map((name) => element("option", { value: name })));
  await colourBy("cluster");
  showLabelling();
  say("");
  document.documentElement.dataset.state = "ready";
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (state.values) { colourOf(); draw(); } });
new ResizeObserver(draw).observe(marks);
asked(begin());
