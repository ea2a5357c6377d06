// Plays recorded episodes: flat ones on a canvas, solid ones with scene.js. The format of an episode is described in
// crates/env/src/recording.rs. The address can say where to start: #ep=0&t=500&speed=2&play=0&follow=1, and film=1 leaves only what moves.
"use strict";
(() => {
  const data = document.getElementById("episodes");
  if (!data) return;
  const root = document.documentElement;
  window.addEventListener("error", (event) => { root.dataset.error = event.message; });

  const SCALE = 1000, FINE = 10000; // stored units in a world unit, in a metre of a body's place
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const FLASH = 0.35; // seconds on the wall clock that a cost stays visible
  const { limit, episodes } = JSON.parse(data.textContent);
  const element = (id) => document.getElementById(id);
  const stage = element("stage"), solid = element("solid"), timeline = element("timeline"), scrub = element("scrub");
  const playButton = element("play"), speedSelect = element("speed"), episodeSelect = element("episode");

  // ---- Reading an episode -------------------------------------------------------------------------------------

  const CODES = Object.fromEntries([...LETTERS].map((letter, i) => [letter, i]));

  /** The differences that a track's text stands for. */
  function changes(text) {
    const list = [];
    let number = 0, scale = 1;
    for (const letter of text) {
      const code = CODES[letter];
      number += (code & 31) * scale;
      scale *= 32;
      if (code < 32) {
        list.push(number % 2 ? -(number - 1) / 2 : number / 2);
        number = 0; scale = 1;
      }
    }
    return list;
  }

  /** A track as numbers in world units, one a frame. */
  function unpack(track, frames, scale) {
    if (typeof track === "number") return new Float64Array(frames).fill(track / scale);
    let sum = 0;
    return Float64Array.from(typeof track === "string" ? changes(track) : track, (change) => (sum += change) / scale);
  }

  const isShown = (thing, t) => !thing.shown || thing.shown.some(([from, to]) => from <= t && t < to);

  /** Running sum, starting with 0: entry t is the sum after t steps. */
  function running(values) {
    const sums = new Float64Array(values.length + 1);
    values.forEach((value, t) => { sums[t + 1] = sums[t] + value; });
    return sums;
  }

  function read(episode) {
    const frames = episode.length + 1;
    const thing = (scale) => (item) => {
      const known = { ...item, v: item.tracks.map((track) => unpack(track, frames, scale)) };
      return { ...known, isShown: (t) => isShown(known, t) };
    };
    const shapes = episode.shapes.map(thing(SCALE));
    const bodies = (episode.bodies ?? []).map(thing(FINE));
    // The channel that flashes: the documented sum where there is one, else all together.
    const total = episode.costs.find((channel) => channel.name === "cost");
    const cost = total ? total.values
      : episode.reward.map((_, t) => episode.costs.reduce((sum, channel) => sum + channel.values[t], 0));
    const robot = shapes.find((shape) => shape.kind === "robot");
    return {
      ...episode, frames, shapes, bodies, robot, cost,
      film: episode.film && new Film(episode.film, frames, request),
      lidars: episode.lidars.map(thing(SCALE)).map((lidar) => (
        { ...lidar, closeness: (t, bin) => CODES[lidar.data[t * lidar.bins + bin]] / 63 })),
      returns: running(episode.reward),
      sums: episode.costs.map((channel) => running(channel.values)),
      most: Math.max(...cost, 1e-9),
      view: frame(shapes, robot, frames),
      speed: bodies.length > 0 ? speed(bodies[0].v, frames, episode.fps) : null,
    };
  }

  /** How fast the robot goes over the ground, in metres a second; null where it stays. */
  function speed([x, y], frames, fps) {
    const speeds = Float64Array.from({ length: frames }, (_, t) => t === 0 ? 0 : Math.hypot(x[t] - x[t - 1], y[t] - y[t - 1]) * fps);
    return speeds.some((s) => s > 0.01) ? speeds : null;
  }

  /** Centre of a shape. */
  function centre(shape, t) {
    const v = shape.v;
    return shape.form === "capsule" ? [(v[0][t] + v[2][t]) / 2, (v[1][t] + v[3][t]) / 2] : [v[0][t], v[1][t]];
  }

  /** Largest and smallest x and y of a shape. */
  function box(shape, t) {
    const v = shape.v;
    if (shape.form === "capsule") {
      const r = v[4][t];
      return [Math.min(v[0][t], v[2][t]) - r, Math.max(v[0][t], v[2][t]) + r,
        Math.min(v[1][t], v[3][t]) - r, Math.max(v[1][t], v[3][t]) + r];
    }
    const angle = shape.form === "rect" ? v[4][t] : 0;
    const [c, s] = [Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))];
    const w = shape.form === "disc" ? v[2][t] : v[2][t] * c + v[3][t] * s;
    const h = shape.form === "disc" ? v[2][t] : v[2][t] * s + v[3][t] * c;
    return [v[0][t] - w, v[0][t] + w, v[1][t] - h, v[1][t] + h];
  }

  /** What the camera shows: everything that ever moves or stands there; along a long way it follows the robot. */
  function frame(shapes, robot, frames) {
    const around = (chosen, t0, t1) => {
      const range = [Infinity, -Infinity, Infinity, -Infinity];
      for (const shape of chosen) {
        for (let t = t0; t < t1; t++) {
          if (!isShown(shape, t)) continue;
          const [x0, x1, y0, y1] = box(shape, t);
          range[0] = Math.min(range[0], x0); range[1] = Math.max(range[1], x1);
          range[2] = Math.min(range[2], y0); range[3] = Math.max(range[3], y1);
        }
      }
      return range.every(Number.isFinite) ? range : [-1, 1, -1, 1];
    };
    const solid = shapes.filter((shape) => shape.kind !== "ground");
    const all = around(solid.length > 0 ? solid : shapes, 0, frames);
    const body = around(shapes.filter((shape) => shape.kind === "robot"), 0, 1);
    const size = Math.max(body[1] - body[0], body[3] - body[2]);
    const follow = robot && all[1] - all[0] > 12 * size && shapes.every((shape) => shape.kind === "ground" || shape.kind === "robot");
    if (!follow) {
      const room = 0.06 * Math.max(all[1] - all[0], all[3] - all[2]);
      return { follow: false, x: (all[0] + all[1]) / 2, y: (all[2] + all[3]) / 2,
        w: all[1] - all[0] + 2 * room, h: all[3] - all[2] + 2 * room };
    }
    // From the side the height is fixed; a way over a plane is followed in both directions.
    const side = shapes.some((shape) => shape.kind === "ground");
    const h = side ? Math.max(all[3] - all[2], size) * 1.25 : size * 4;
    return { follow: true, side, x: 0, y: (all[2] + all[3]) / 2, w: Math.max(size * 4, h), h };
  }

  // ---- Drawing ------------------------------------------------------------------------------------------------

  const FLAT = new Set(["goal", "hazard"]); // painted on the ground: seen through
  let palette = {};
  function readPalette() {
    const style = getComputedStyle(root);
    const names = ["robot", "paper", "sky", "goal", "hazard", "vase", "ground", "pillar", "gremlin", "box", "ink", "grid", "alarm", "trace",
      "soft"];
    palette = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    solidView?.setPalette(palette);
  }
  const colour = (kind) => palette[look(kind)[0]];

  /** Fit a canvas to its place on screens of any pixel density. */
  function fit(canvas, height) {
    const density = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    canvas.style.height = `${height}px`;
    if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.clearRect(0, 0, width, height);
    return [pen, width, height];
  }

  function trace(pen, shape, t) {
    const v = shape.v;
    pen.beginPath();
    if (shape.form === "disc") {
      pen.arc(v[0][t], v[1][t], v[2][t], 0, 2 * Math.PI);
    } else if (shape.form === "rect") {
      const [c, s] = [Math.cos(v[4][t]), Math.sin(v[4][t])];
      for (const [a, b] of [[1, 1], [-1, 1], [-1, -1], [1, -1]]) {
        const [x, y] = [a * v[2][t], b * v[3][t]];
        pen.lineTo(v[0][t] + c * x - s * y, v[1][t] + s * x + c * y);
      }
      pen.closePath();
    } else {
      const angle = Math.atan2(v[3][t] - v[1][t], v[2][t] - v[0][t]);
      pen.arc(v[0][t], v[1][t], v[4][t], angle + Math.PI / 2, angle - Math.PI / 2);
      pen.arc(v[2][t], v[3][t], v[4][t], angle - Math.PI / 2, angle + Math.PI / 2);
      pen.closePath();
    }
  }

  /** Distance of grid lines: 1, 2 or 5 times a power of ten, about ten lines. */
  function gridStep(width) {
    const power = 10 ** Math.floor(Math.log10(width / 8));
    return [1, 2, 5, 10].find((m) => m * power >= width / 8) * power;
  }

  function drawStage(now) {
    const width = stage.clientWidth;
    if (ep.film) {
      const height = Math.round(Math.min(width * 3 / 4, 560));
      const [pen] = fit(stage, height);
      return ep.film.draw(pen, width, height, t);
    }
    const { view } = ep;
    const height = Math.round(Math.min(width * Math.min(1, Math.max(0.42, view.h / view.w)), 560));
    const [pen] = fit(stage, height);
    const scale = Math.min(width / view.w, height / view.h);
    const [cx, cy] = view.follow ? centre(ep.robot, t) : [view.x, view.y];
    const y = view.follow && !view.side ? cy : view.y;
    const px = 1 / scale; // one pixel in world units
    pen.translate(width / 2, height / 2);
    pen.scale(scale, -scale);
    pen.translate(-cx, -y);

    const [x0, x1, y0, y1] = [cx - width / 2 * px, cx + width / 2 * px, y - height / 2 * px, y + height / 2 * px];
    const step = gridStep(x1 - x0);
    for (const shape of ep.shapes) {
      if (shape.kind !== "ground" || !isShown(shape, t)) continue;
      trace(pen, shape, t);
      pen.fillStyle = palette.ground;
      pen.fill();
    }
    pen.beginPath();
    for (let x = Math.ceil(x0 / step) * step; x < x1; x += step) { pen.moveTo(x, y0); pen.lineTo(x, y1); }
    for (let v = Math.ceil(y0 / step) * step; v < y1; v += step) { pen.moveTo(x0, v); pen.lineTo(x1, v); }
    pen.strokeStyle = palette.grid;
    pen.lineWidth = px;
    pen.stroke();

    drawPath(pen, px);
    for (const shape of ep.shapes) {
      if (shape.kind === "ground" || !isShown(shape, t)) continue;
      trace(pen, shape, t);
      const flat = FLAT.has(shape.kind);
      pen.globalAlpha = flat ? 0.35 : 1;
      pen.fillStyle = colour(shape.kind);
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = 1.25 * px;
      pen.strokeStyle = flat ? colour(shape.kind) : palette.paper;
      if (shape.kind !== "heading") pen.stroke();
    }
    const body = ep.robot && robotSize();
    if (body) ep.lidars.forEach((lidar, ring) => drawLidar(pen, lidar, ring, body, px));
    if (body) drawAlarm(pen, body, px, now);

    pen.setTransform(1, 0, 0, 1, 0, 0);
    const density = window.devicePixelRatio || 1;
    pen.scale(density, density);
    pen.strokeStyle = pen.fillStyle = palette.soft;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(12, height - 10); pen.lineTo(12 + step * scale, height - 10);
    pen.stroke();
    pen.font = "12px system-ui, sans-serif";
    pen.fillText(`${Number(step.toPrecision(3))}`, 12, height - 16);
  }

  /** Radius around the robot's centre that holds all its shapes. */
  function robotSize() {
    const [x, y] = centre(ep.robot, t);
    let r = 0;
    for (const shape of ep.shapes) {
      if (shape.kind !== "robot") continue;
      const [x0, x1, y0, y1] = box(shape, t);
      r = Math.max(r, x1 - x, x - x0, y1 - y, y - y0);
    }
    return { x, y, r };
  }

  /** Where the robot has been, up to now. */
  function drawPath(pen, px) {
    if (!ep.robot || ep.view.follow) return;
    pen.beginPath();
    for (let s = 0; s <= t; s++) pen.lineTo(...centre(ep.robot, s));
    pen.strokeStyle = palette.trace;
    pen.lineWidth = 2 * px;
    pen.lineJoin = "round";
    pen.stroke();
  }

  /** A ring of arcs, the stronger the closer. */
  function drawLidar(pen, lidar, ring, body, px) {
    if (!isShown(lidar, t)) return;
    const [x, y, angle] = lidar.v.map((track) => track[t]);
    const width = Math.max(0.3 * body.r, 4 * px);
    const radius = Math.max(body.r * 1.5, body.r + 6 * px) + ring * width * 1.35;
    const turn = (2 * Math.PI) / lidar.bins;
    pen.lineWidth = width;
    for (let i = 0; i < lidar.bins; i++) {
      const closeness = lidar.closeness(t, i);
      pen.beginPath();
      pen.arc(x, y, radius, angle + (i - 0.44) * turn, angle + (i + 0.44) * turn);
      pen.strokeStyle = colour(lidar.kind);
      pen.globalAlpha = 0.08 + 0.92 * closeness;
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  /** Did the step that led here cost something? */
  const costsNow = () => t > 0 && ep.cost[t - 1] > 0;

  /** How much of a cost is still to be seen, from 1 at once to 0 within a moment. */
  function alarmLeft(now) {
    if (costsNow()) alarm = now;
    const left = Math.max(0, 1 - (now - alarm) / (1000 * FLASH));
    element("stages").classList.toggle("alarm", left > 0);
    return left;
  }

  /** A ring that flashes at a cost. */
  function drawAlarm(pen, body, px, now) {
    const left = alarmLeft(now);
    if (left <= 0) return;
    pen.beginPath();
    pen.arc(body.x, body.y, body.r * 1.2 + 3 * px, 0, 2 * Math.PI);
    pen.globalAlpha = Math.min(1, left + 0.2);
    pen.strokeStyle = palette.alarm;
    pen.lineWidth = Math.max(4 * px, body.r * 0.25);
    pen.stroke();
    pen.globalAlpha = 1;
  }

  /** What is charted: the return and its rewards, each cost with its sum, the speed. */
  function charts() {
    const rows = [{ name: "return", line: ep.returns, ink: "robot" }, { name: "reward", line: Float64Array.of(0, ...ep.reward), ink: "robot" }];
    ep.costs.forEach((channel, i) => {
      const quiet = channel.total === 0 && channel.name !== "cost";
      const twin = ep.costs.length === 2 && channel.name !== "cost";
      if (!quiet && !twin) rows.push({ name: channel.name, line: ep.sums[i], marks: channel.values, ink: "alarm" });
    });
    if (ep.speed) rows.push({ name: "speed", line: ep.speed, ink: "goal" });
    for (const row of rows) {
      row.low = row.line.reduce((a, b) => Math.min(a, b), 0);
      row.high = row.line.reduce((a, b) => Math.max(a, b), 0);
      row.most = row.marks ? Math.max(...row.marks, 1e-9) : 0;
    }
    return rows;
  }

  const ROW = 38, HEAD = 14; // height of a chart, and of its name and value

  /** Each chart as a line, each cost as a red mark too: what stays the same from step to step, drawn once. */
  let charted = {};
  function drawCharts(width, height, x) {
    const key = [chosen, timeline.width, palette.ink].join();
    if (charted.key === key) return charted.picture;
    const picture = new OffscreenCanvas(timeline.width, timeline.height), pen = picture.getContext("2d");
    pen.scale(timeline.width / width, timeline.height / height);
    ep.charts.forEach(({ line, marks, most, low, high, ink }, i) => {
      const top = i * ROW;
      pen.fillStyle = palette.grid;
      pen.fillRect(8, top + ROW, width - 16, 1);
      pen.fillStyle = pen.strokeStyle = palette[ink];
      marks?.forEach((mark, s) => {
        if (mark > 0) pen.fillRect(x(s + 1) - 0.5, top + ROW, Math.max(1, (width - 16) / ep.length), -(2 + 6 * mark / most));
      });
      pen.beginPath();
      line.forEach((value, s) => pen.lineTo(x(s), top + HEAD + 3 + (1 - (value - low) / (high - low || 1)) * (ROW - HEAD - 6)));
      pen.lineWidth = 1.4;
      pen.stroke();
    });
    charted = { key, picture };
    return picture;
  }

  /** The charts with their names, their values and the present as a bar. */
  function drawTimeline() {
    const [pen, width, height] = fit(timeline, ROW * ep.charts.length + 4);
    const x = (s) => 8 + (s / Math.max(1, ep.length)) * (width - 16); // the slider's thumb keeps 8 pixels to the ends
    pen.drawImage(drawCharts(width, height, x), 0, 0, width, height);
    pen.fillStyle = palette.ink;
    pen.fillRect(x(t) - 0.75, 0, 1.5, height);
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = palette.soft;
    ep.charts.forEach(({ name, line, marks }, i) => {
      const value = digits(line[t], marks && marks.every(Number.isInteger) ? 0 : 2);
      pen.fillText(name, 10, i * ROW + HEAD - 1);
      pen.fillText(value, width - 10 - pen.measureText(value).width, i * ROW + HEAD - 1);
    });
  }

  const digits = (value, n) => (Math.abs(value) < 0.5 * 10 ** -n ? 0 : value).toLocaleString("en", { minimumFractionDigits: n, maximumFractionDigits: n });
  function drawCounters() {
    const rows = [["step", `${digits(t, 0)} / ${digits(ep.length, 0)}`], ["time", `${digits(t / ep.fps, 1)} s`],
      ["reward", t > 0 ? digits(ep.reward[t - 1], 3) : "–"], ["return", digits(ep.returns[t], 2)]];
    ep.costs.forEach((channel, i) => {
      const whole = channel.values.every(Number.isInteger);
      const of = channel.name === "cost" && limit !== null ? ` (limit ${limit})` : "";
      rows.push([channel.name, digits(ep.sums[i][t], whole ? 0 : 2) + of]);
    });
    element("counters").replaceChildren(...rows.map(([name, value]) => {
      const row = document.createElement("div");
      for (const [tag, text] of [["dt", name], ["dd", value]]) {
        row.appendChild(document.createElement(tag)).textContent = text;
      }
      return row;
    }));
  }

  function drawLegend() {
    const shown = [...ep.shapes, ...(ep.scene?.parts ?? [])].map((shape) => shape.kind);
    const kinds = [...new Set(shown)].filter((kind) => !["ground", "floor", "heading"].includes(kind));
    const items = kinds.map((kind) => [kind.replace("_", " ").replace("sigwall", "wall"), colour(kind)]);
    if (ep.scene || (ep.robot && !ep.view.follow)) items.push(["path so far", palette.trace]);
    if (ep.costs.length > 0) items.push(["cost", palette.alarm]);
    element("legend").replaceChildren(...items.map(([name, fill]) => {
      const item = document.createElement("span");
      const key = item.appendChild(document.createElement("i"));
      key.style.background = fill;
      item.append(name);
      return item;
    }));
    const notes = [];
    if (ep.lidars.length > 0) {
      const from = ep.scene ? "below" : "inside", kinds = ep.lidars.map((lidar) => lidar.kind.replace("_", " ")).join(", ");
      notes.push(`rings, from ${from}: lidar of ${kinds}; the stronger, the closer`);
    }
    if (solidView && ep.scene) notes.push(`a square of the floor is ${Number(solidView.cell().toPrecision(2))} m`);
    element("legend").append(notes.join(" \u00b7 "));
  }

  // ---- State --------------------------------------------------------------------------------------------------

  let solidView = null;
  let ep = null, chosen = 0, t = 0, playing = false, clock = 0, rest = 0, alarm = -Infinity;
  let pending = false;

  function draw(now) {
    if (!ep.scene) drawStage(now);
    else if (solidView) solidView.draw(t, playing ? rest : 0, alarmLeft(now));
    drawTimeline();
    drawCounters();
    scrub.value = t;
    root.dataset.step = t;
  }

  function tick(now) {
    pending = false;
    if (playing) {
      rest += Math.max(0, (now - clock) / 1000) * ep.fps * Number(speedSelect.value);
      const steps = Math.floor(rest);
      rest -= steps;
      // A cost between two pictures is shown too.
      for (let s = t; s < Math.min(t + steps, ep.length); s++) if (ep.cost[s] > 0) alarm = now;
      t = Math.min(t + steps, ep.length);
      if (t === ep.length) setPlaying(false);
    }
    clock = now;
    draw(now);
    if (playing || (!costsNow() && now - alarm < 1000 * FLASH)) request();
  }

  function request() {
    if (!pending) { pending = true; requestAnimationFrame(tick); }
  }

  function setPlaying(on) {
    if (on && t === ep.length) t = 0;
    playing = on;
    clock = performance.now();
    rest = 0;
    playButton.textContent = on ? "Pause" : "Play";
    request();
  }

  function seek(step) {
    t = Math.max(0, Math.min(ep.length, step));
    alarm = -Infinity;
    request();
  }

  function choose(index) {
    chosen = Math.max(0, Math.min(episodes.length - 1, index));
    ep = read(episodes[chosen]);
    ep.charts = charts();
    scrub.max = ep.length;
    if (ep.scene) solidView ??= solidStage(solid, request);
    readPalette();
    stage.hidden = Boolean(ep.scene);
    solid.hidden = !ep.scene || !solidView;
    element("camera").hidden = solid.hidden;
    element("no-solid").hidden = !ep.scene || Boolean(solidView);
    if (ep.scene) solidView?.load(ep);
    showFollow();
    seek(0);
    drawLegend();
  }

  function setFollow(on) {
    if (solid.hidden) return;
    solidView.setFollow(on);
    showFollow();
  }
  const showFollow = () => element("follow").setAttribute("aria-pressed", Boolean(solidView?.follows()));
  const home = () => { if (!solid.hidden) { solidView.home(); showFollow(); } };

  // ---- Controls -----------------------------------------------------------------------------------------------

  playButton.addEventListener("click", () => setPlaying(!playing));
  element("follow").addEventListener("click", () => setFollow(!solidView.follows()));
  element("home").addEventListener("click", home);
  scrub.addEventListener("input", () => { setPlaying(false); seek(Number(scrub.value)); });
  episodeSelect.addEventListener("change", () => choose(Number(episodeSelect.value)));
  const point = (event) => {
    const { left, width } = timeline.getBoundingClientRect();
    seek(Math.round(((event.clientX - left - 8) / (width - 16)) * ep.length));
  };
  timeline.addEventListener("pointerdown", (event) => { timeline.setPointerCapture(event.pointerId); setPlaying(false); point(event); });
  timeline.addEventListener("pointermove", (event) => { if (event.buttons & 1) point(event); });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("select, button, summary, a") || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? 10 : 1;
    if (event.key === " ") setPlaying(!playing);
    else if (event.key === "ArrowRight") { setPlaying(false); seek(t + by); }
    else if (event.key === "ArrowLeft") { setPlaying(false); seek(t - by); }
    else if (event.key === "f") setFollow(!solidView?.follows());
    else if (event.key === "r") home();
    else if ("+-".includes(event.key) && !solid.hidden) solidView.zoom(event.key === "+" ? 0.8 : 1.25);
    else return;
    event.preventDefault();
  });
  window.addEventListener("resize", request);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readPalette(); drawLegend(); request(); });

  if (episodes.length === 0) return;
  const start = new URLSearchParams(location.hash.slice(1));
  if ([...speedSelect.options].some((option) => option.value === start.get("speed"))) speedSelect.value = start.get("speed");
  const first = Math.max(0, Math.min(episodes.length - 1, Number(start.get("ep")) || 0));
  episodeSelect.value = first;
  choose(first);
  seek(Math.round(Number(start.get("t")) || 0));
  if (start.has("follow")) setFollow(start.get("follow") !== "0");
  if (start.get("film") === "1") root.classList.add("film");
  // For programs that look at the page: a way to show one step at once.
  window.replay = { follow: setFollow,
    show(episode, step) {
      if (episode !== chosen) choose(episode);
      setPlaying(false);
      t = step;
      // Whoever shows single steps may leave out the one that cost something, and knows no clock on the wall.
      const lately = ep.cost.slice(Math.max(0, t - Math.ceil(0.15 * ep.fps)), t).some((cost) => cost > 0);
      alarm = lately ? performance.now() : -Infinity;
      draw(performance.now());
    } };
  draw(performance.now());
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (start.has("play") ? start.get("play") !== "0" : !still && !start.has("t")) setPlaying(true);
  root.dataset.player = "ready";
})();
