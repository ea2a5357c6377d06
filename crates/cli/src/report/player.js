// Plays recorded episodes on a canvas. The format of an episode is described in crates/env/src/recording.rs.
// The address can say where to start: #ep=0&t=500&speed=2&play=0
"use strict";
(() => {
  const data = document.getElementById("episodes");
  if (!data) return;
  const root = document.documentElement;
  window.addEventListener("error", (event) => { root.dataset.error = event.message; });

  const SCALE = 1000; // stored units in a world unit
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const FLASH = 0.35; // seconds on the wall clock that a cost stays visible
  const { limit, episodes } = JSON.parse(data.textContent);
  const element = (id) => document.getElementById(id);
  const stage = element("stage"), timeline = element("timeline"), scrub = element("scrub");
  const playButton = element("play"), speedSelect = element("speed"), episodeSelect = element("episode");

  // ---- Reading an episode -------------------------------------------------------------------------------------

  /** A track as numbers in world units, one a frame. */
  function unpack(track, frames) {
    if (typeof track === "number") return new Float64Array(frames).fill(track / SCALE);
    let sum = 0;
    return Float64Array.from(track, (change) => (sum += change) / SCALE);
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
    const thing = (item) => ({ ...item, v: item.tracks.map((track) => unpack(track, frames)) });
    const shapes = episode.shapes.map(thing);
    // The channel that flashes: the documented sum where there is one, else all together.
    const total = episode.costs.find((channel) => channel.name === "cost");
    const cost = total ? total.values
      : episode.reward.map((_, t) => episode.costs.reduce((sum, channel) => sum + channel.values[t], 0));
    const robot = shapes.find((shape) => shape.kind === "robot");
    return {
      ...episode, frames, shapes, robot, cost,
      film: episode.film && new Film(episode.film, frames, request),
      lidars: episode.lidars.map(thing),
      returns: running(episode.reward),
      sums: episode.costs.map((channel) => running(channel.values)),
      most: Math.max(...cost, 1e-9),
      view: frame(shapes, robot, frames),
    };
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

  /** Kinds to palette names in page.css; lidars speak of the same things in the plural. */
  const COLOURS = { robot: "robot", heading: "paper", goal: "goal", hazard: "hazard", hazards: "hazard", vase: "vase",
    vases: "vase", ground: "ground", pole: "vase", pillar: "pillar", pillars: "pillar", gremlin: "hazard",
    gremlins: "hazard", button: "vase", buttons: "vase" };
  const FLAT = new Set(["goal", "hazard"]); // painted on the ground: seen through
  let palette = {};
  function readPalette() {
    const style = getComputedStyle(root);
    const names = ["robot", "paper", "goal", "hazard", "vase", "ground", "pillar", "ink", "grid", "alarm", "trace", "soft"];
    palette = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  const colour = (kind) => palette[COLOURS[kind] ?? "pillar"];

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
      const closeness = LETTERS.indexOf(lidar.data[t * lidar.bins + i]) / 63;
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

  /** A ring that flashes at a cost and fades within a moment. */
  function drawAlarm(pen, body, px, now) {
    const left = costsNow() ? 1 : 1 - (now - alarm) / (1000 * FLASH);
    if (costsNow()) alarm = now;
    stage.classList.toggle("alarm", left > 0);
    if (left <= 0) return;
    pen.beginPath();
    pen.arc(body.x, body.y, body.r * 1.2 + 3 * px, 0, 2 * Math.PI);
    pen.globalAlpha = Math.min(1, left + 0.2);
    pen.strokeStyle = palette.alarm;
    pen.lineWidth = Math.max(4 * px, body.r * 0.25);
    pen.stroke();
    pen.globalAlpha = 1;
  }

  /** The return as a line, each cost as a red mark, the present as a bar. */
  function drawTimeline() {
    const [pen, width, height] = fit(timeline, 56);
    const x = (s) => 8 + (s / Math.max(1, ep.length)) * (width - 16); // the slider's thumb keeps 8 pixels to the ends
    pen.fillStyle = palette.alarm;
    ep.cost.forEach((cost, s) => {
      if (cost > 0) pen.fillRect(x(s + 1) - 0.5, height, Math.max(1, (width - 16) / ep.length), -(4 + 14 * cost / ep.most));
    });
    const [low, high] = [ep.lowest, ep.highest];
    const y = (value) => 4 + (1 - (value - low) / (high - low || 1)) * (height - 30);
    pen.beginPath();
    ep.returns.forEach((value, s) => pen.lineTo(x(s), y(value)));
    pen.strokeStyle = palette.robot;
    pen.lineWidth = 1.5;
    pen.stroke();
    pen.fillStyle = palette.ink;
    pen.fillRect(x(t) - 0.75, 0, 1.5, height);
    pen.fillStyle = palette.soft;
    pen.font = "11px system-ui, sans-serif";
    pen.fillText("return", 10, 12);
    if (ep.costs.length > 0) pen.fillText("cost", 10, height - 4);
  }

  const digits = (value, n) => value.toLocaleString("en", { minimumFractionDigits: n, maximumFractionDigits: n });
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
    const kinds = [...new Set(ep.shapes.map((shape) => shape.kind))].filter((kind) => kind !== "ground" && kind !== "heading");
    const items = kinds.map((kind) => [kind, colour(kind)]);
    if (ep.robot && !ep.view.follow) items.push(["path so far", palette.trace]);
    if (ep.costs.length > 0) items.push(["cost", palette.alarm]);
    element("legend").replaceChildren(...items.map(([name, fill]) => {
      const item = document.createElement("span");
      const key = item.appendChild(document.createElement("i"));
      key.style.background = fill;
      item.append(name);
      return item;
    }));
    if (ep.lidars.length > 0) {
      element("legend").append(`rings, from inside: lidar of ${ep.lidars.map((lidar) => lidar.kind).join(", ")}; the stronger, the closer`);
    }
  }

  // ---- State --------------------------------------------------------------------------------------------------

  let ep = null, t = 0, playing = false, clock = 0, rest = 0, alarm = -Infinity;
  let pending = false;

  function draw(now) {
    drawStage(now);
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
    ep = read(episodes[Math.max(0, Math.min(episodes.length - 1, index))]);
    ep.lowest = ep.returns.reduce((a, b) => Math.min(a, b), 0);
    ep.highest = ep.returns.reduce((a, b) => Math.max(a, b), 0);
    scrub.max = ep.length;
    seek(0);
    drawLegend();
  }

  // ---- Controls -----------------------------------------------------------------------------------------------

  playButton.addEventListener("click", () => setPlaying(!playing));
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
    else return;
    event.preventDefault();
  });
  window.addEventListener("resize", request);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readPalette(); drawLegend(); request(); });

  if (episodes.length === 0) return;
  readPalette();
  const start = new URLSearchParams(location.hash.slice(1));
  if ([...speedSelect.options].some((option) => option.value === start.get("speed"))) speedSelect.value = start.get("speed");
  const first = Math.max(0, Math.min(episodes.length - 1, Number(start.get("ep")) || 0));
  episodeSelect.value = first;
  choose(first);
  seek(Math.round(Number(start.get("t")) || 0));
  draw(performance.now());
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (start.has("play") ? start.get("play") !== "0" : !still && !start.has("t")) setPlaying(true);
  root.dataset.player = "ready";
})();
