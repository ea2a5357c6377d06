// Draws the solid scenes of recorded episodes with WebGL 2. player.js says which moment; what a scene and its bodies are is described in
// crates/env/src/scene.rs. Lengths are metres, z is up.
"use strict";

/** What each kind of thing looks like: the name of a colour in page.css, and how much of what is behind it it hides. Lidars speak of the
 * same things in the plural. */
const LOOKS = { robot: ["robot", 1], heading: ["paper", 1], floor: ["ground", 1], ground: ["ground", 1], wall: ["pillar", 1],
  goal: ["goal", 0.4], circle: ["goal", 0.25], apple: ["goal", 1], target: ["goal", 1], hazard: ["hazard", 0.8], bomb: ["alarm", 1],
  vase: ["vase", 1], pole: ["vase", 1], object: ["vase", 1], pillar: ["pillar", 1], gremlin: ["gremlin", 1], button: ["vase", 1],
  "resting button": ["pillar", 1], push_box: ["box", 1], box: ["box", 1], sigwall: ["alarm", 0.25] };
const look = (kind) => LOOKS[kind] ?? LOOKS[kind.replace(/s$/, "")] ?? LOOKS.pillar;

/** A stage for solid scenes on `canvas`; `changed` is called when the camera moved. Null where there is no WebGL 2. */
function solidStage(canvas, changed) {
  const gl = canvas.getContext("webgl2", { antialias: true, stencil: true, alpha: false });
  if (!gl) return null;
  const FIELD = 35 * Math.PI / 180; // of view, upright
  const LIGHT = normal([0.4, -0.5, 0.9]);

  // ---- Vectors, quaternions (w x y z) and matrices (by columns) -----------------------------------------------

  function normal(v) { const l = Math.hypot(...v) || 1; return v.map((x) => x / l); }
  function cross(a, b) { return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]; }
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const add = (a, b, s = 1) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]];

  /** The matrix of a rotation and a translation. */
  function rigid([x, y, z], q) {
    const l = Math.hypot(...q) || 1;
    const [w, a, b, c] = q.map((n) => n / l);
    return [1 - 2 * (b * b + c * c), 2 * (a * b + w * c), 2 * (a * c - w * b), 0,
      2 * (a * b - w * c), 1 - 2 * (a * a + c * c), 2 * (b * c + w * a), 0,
      2 * (a * c + w * b), 2 * (b * c - w * a), 1 - 2 * (a * a + b * b), 0, x, y, z, 1];
  }

  function times(m, n) {
    const out = new Array(16).fill(0);
    for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++) for (let k = 0; k < 4; k++) out[4 * c + r] += m[4 * k + r] * n[4 * c + k];
    return out;
  }

  const STILL = rigid([0, 0, 0], [1, 0, 0, 0]);

  // ---- Shapes: corners of place, normal and end ---------------------------------------------------------------

  /** A ball that can be drawn out along z: `end` is -1 in its lower half and 1 in its upper half. */
  function ball(around, up) {
    const rows = [];
    for (let i = 0; i <= up; i++) rows.push([-Math.PI / 2 + (i / up) * Math.PI / 2, -1]);
    for (let i = 0; i <= up; i++) rows.push([(i / up) * Math.PI / 2, 1]);
    return grid(rows, around, ([angle, end], turn) => {
      const n = [Math.cos(angle) * Math.cos(turn), Math.cos(angle) * Math.sin(turn), Math.sin(angle)];
      return [...n, ...n, end];
    });
  }

  /** A cylinder of radius and half height 1. */
  function cylinder(around) {
    const rows = [[0, -1, -1], [1, -1, -1], [1, -1, 0], [1, 1, 0], [1, 1, 1], [0, 1, 1]];
    return grid(rows, around, ([r, z, up], turn) => {
      const [c, s] = [Math.cos(turn), Math.sin(turn)];
      return [r * c, r * s, z, ...(up === 0 ? [c, s, 0] : [0, 0, up]), 0];
    });
  }

  /** Rows of corners around z, each joined to the next. */
  function grid(rows, around, corner) {
    const corners = [], faces = [];
    for (const row of rows) for (let i = 0; i <= around; i++) corners.push(corner(row, (i / around) * 2 * Math.PI));
    for (let r = 0; r + 1 < rows.length; r++) {
      for (let i = 0; i < around; i++) {
        const a = r * (around + 1) + i, b = a + around + 1;
        faces.push(a, a + 1, b, b, a + 1, b + 1);
      }
    }
    return { corners, faces };
  }

  /** A cube of half side 1. */
  function cube() {
    const corners = [], faces = [];
    for (let axis = 0; axis < 3; axis++) {
      for (const side of [-1, 1]) {
        const n = [0, 0, 0];
        n[axis] = side;
        const first = corners.length;
        for (const [u, v] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) {
          const p = [0, 0, 0];
          p[axis] = side; p[(axis + 1) % 3] = side * u; p[(axis + 2) % 3] = v;
          corners.push([...p, ...n, 0]);
        }
        faces.push(first, first + 1, first + 2, first, first + 2, first + 3);
      }
    }
    return { corners, faces };
  }

  function upload({ corners, faces }) {
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const bind = (target, data) => { gl.bindBuffer(target, gl.createBuffer()); gl.bufferData(target, data, gl.STATIC_DRAW); };
    bind(gl.ARRAY_BUFFER, new Float32Array(corners.flat()));
    bind(gl.ELEMENT_ARRAY_BUFFER, new Uint32Array(faces));
    [[0, 3, 0], [1, 3, 12], [2, 1, 24]].forEach(([place, size, offset]) => {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, gl.FLOAT, false, 28, offset);
    });
    return { array, count: faces.length };
  }

  // ---- Shaders ------------------------------------------------------------------------------------------------

  const VERTEX = `#version 300 es
    layout(location = 0) in vec3 place;
    layout(location = 1) in vec3 direction;
    layout(location = 2) in float end;
    uniform mat4 view, model;
    uniform vec3 size, light;
    uniform float reach, ground;
    uniform bool shadow;
    out vec3 world, facing;
    void main() {
      vec4 at = model * vec4(place * size + vec3(0, 0, end * reach), 1);
      if (shadow) at.xyz = vec3(at.xy - light.xy * max(at.z - ground, 0.0) / light.z, ground);
      world = at.xyz;
      facing = mat3(model) * (direction / size);
      gl_Position = view * at;
    }`;
  const FRAGMENT = `#version 300 es
    precision highp float;
    in vec3 world, facing;
    uniform vec4 colour;
    uniform vec3 eye, light, sky, middle;
    uniform float cell, far;
    uniform int mode; // 0 lit, 1 lit flat by flat, 2 the floor, 3 as it is
    out vec4 seen;
    void main() {
      seen = colour;
      if (mode == 3) return;
      if (mode == 2) {
        vec2 at = world.xy / cell, wide = max(fwidth(at), 1e-4);
        vec2 wave = 4.0 * abs(fract(at / 2.0) - 0.5) - 1.0;
        vec2 check = clamp(wave / (2.0 * wide), -1.0, 1.0) * smoothstep(1.0, 0.3, max(wide.x, wide.y));
        float shade = 1.0 - 0.09 * (0.5 + 0.5 * check.x * check.y);
        float near = smoothstep(far, 0.35 * far, distance(world.xy, middle.xy));
        seen.rgb = mix(sky, colour.rgb * shade, near);
        return;
      }
      vec3 look = normalize(eye - world);
      vec3 n = normalize(mode == 1 ? cross(dFdx(world), dFdy(world)) : facing);
      if (dot(n, look) < 0.0) n = -n;
      float sun = max(dot(n, light), 0.0), above = 0.5 + 0.5 * n.z;
      float shine = pow(max(dot(n, normalize(light + look)), 0.0), 40.0);
      seen.rgb = colour.rgb * (0.46 + 0.22 * above + 0.5 * sun) + 0.12 * shine;
    }`;

  function compile(kind, text) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    return shader;
  }
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl.VERTEX_SHADER, VERTEX));
  gl.attachShader(program, compile(gl.FRAGMENT_SHADER, FRAGMENT));
  gl.linkProgram(program);
  gl.useProgram(program);
  const at = new Proxy({}, { get: (known, name) => (known[name] ??= gl.getUniformLocation(program, name)) });
  // Few corners: where there is no graphics device they are what takes time, and shading hides how few they are.
  const shapes = { round: upload(ball(32, 8)), ball: upload(ball(18, 5)), lamp: upload(ball(12, 3)), cylinder: upload(cylinder(32)), cube: upload(cube()) };

  // ---- The scene of an episode --------------------------------------------------------------------------------

  let ep = null, parts = [], trail = null, colours = {};
  const camera = { target: [0, 0, 0], distance: 5, azimuth: 0, height: 0.5, follow: false };

  /** Shape, scale and how far it is drawn out, by MuJoCo's sizes. */
  function drawable(part, meshes) {
    const [a, b, c] = part.size;
    switch (part.form) {
      case "plane": return { shape: shapes.cube, size: [1, 1, 1], reach: 0, r: 0 };
      case "sphere": return { shape: shapes.round, size: [a, a, a], reach: 0, r: a };
      case "ellipsoid": return { shape: shapes.ball, size: [a, b, c], reach: 0, r: Math.max(a, b, c) };
      case "capsule": return { shape: shapes.ball, size: [a, a, a], reach: b, r: a + b };
      case "cylinder": return { shape: shapes.cylinder, size: [a, a, b], reach: 0, r: Math.hypot(a, b) };
      case "box": return { shape: shapes.cube, size: [a, b, c], reach: 0, r: Math.hypot(a, b, c) };
      default: return { shape: meshes[part.form.mesh], size: [1, 1, 1], reach: 0, r: meshes[part.form.mesh].r, mode: 1 };
    }
  }

  /** How high a part reaches that stands like this. */
  function highest({ form, shape, size, reach }, m) {
    const along = [m[2], m[6], m[10]], z = m[14];
    if (shape.corners) return shape.corners.reduce((most, v) => Math.max(most, z + dot(along, v)), -Infinity);
    if (form === "sphere" || form === "capsule") return z + size[0] + Math.abs(along[2]) * reach;
    return z + along.reduce((sum, x, i) => sum + Math.abs(x) * size[i], 0);
  }

  /** A body's matrix between two frames; null where it is not there. What jumps is not seen on the way. */
  function pose(body, t, part) {
    if (!body.isShown(t)) return null;
    const next = Math.min(t + 1, ep.length);
    const now = body.v.map((track) => track[t]), then = body.v.map((track) => track[next]);
    const jumps = Math.hypot(now[0] - then[0], now[1] - then[1], now[2] - then[2]) > ep.jump;
    const mix = part > 0 && !jumps && body.isShown(next) ? now.map((x, i) => x + part * (then[i] - x)) : now;
    return rigid(mix.slice(0, 3), mix.slice(3));
  }

  const place = (body, t) => [body.v[0][t], body.v[1][t], body.v[2][t]];

  function load(episode) {
    ep = episode;
    const meshes = (ep.scene.meshes ?? []).map(({ vertices, faces }) => {
      const corners = vertices.map((v) => [...v.map((x) => x / 1e4), 0, 0, 1, 0]);
      const r = corners.reduce((most, v) => Math.max(most, Math.hypot(v[0], v[1], v[2])), 0);
      return { ...upload({ corners, faces: faces.flat() }), r, corners };
    });
    parts = ep.scene.parts.map((part) => ({
      ...part, ...drawable(part, meshes), matrix: rigid(part.pose.at, part.pose.turn), body: ep.bodies[part.body],
      // Neighbouring bodies in two shades: limbs are told apart.
      shade: part.kind === "robot" && part.body % 2 === 1 ? 0.82 : 1,
    }));
    const robot = ep.bodies[0];
    ep.floor = parts.find((part) => part.form === "plane");
    ep.jump = Infinity;
    // How large is the robot, and how far does the world reach?
    const root = place(robot, 0);
    const matrix = (part, t) => (part.body ? times(pose(part.body, t, 0) ?? STILL, part.matrix) : part.matrix);
    const centre = (part, t) => matrix(part, t).slice(12, 15);
    const body = parts.filter((part) => part.kind === "robot");
    ep.radius = Math.max(...body.map((part) => Math.hypot(...add(centre(part, 0), root, -1)) + part.r));
    ep.top = Math.max(...body.map((part) => highest(part, matrix(part, 0))));
    ep.ground = ep.floor ? ep.floor.pose.at[2]
      : Math.min(...parts.filter((part) => !part.body || part.kind === "robot").map((part) => centre(part, 0)[2] - part.r)) - 0.2 * ep.radius;
    const box = [Infinity, -Infinity, Infinity, -Infinity];
    ep.corners = []; // of what there is to see
    const hold = ([x, y, z], r) => {
      box[0] = Math.min(box[0], x - r); box[1] = Math.max(box[1], x + r); box[2] = Math.min(box[2], y - r); box[3] = Math.max(box[3], y + r);
      for (const [dx, dy] of [[r, 0], [-r, 0], [0, r], [0, -r]]) ep.corners.push([x + dx, y + dy, z]);
    };
    /** Hold the ends of what is long, and the top. */
    const holdPart = (part, t) => {
      const m = matrix(part, t), at = m.slice(12, 15);
      const arms = { capsule: [0, 0, part.reach], box: part.size }[part.form] ?? [0, 0, 0];
      const r = { capsule: part.size[0], box: 0 }[part.form] ?? part.r;
      arms.forEach((arm, i) => [-arm, arm].forEach((by) => hold(add(at, m.slice(4 * i, 4 * i + 3), by), r)));
      hold([at[0], at[1], highest(part, m)], 0);
    };
    const often = Math.max(1, Math.ceil(ep.length / 20));
    hold(root, ep.radius);
    for (const part of parts.filter((part) => part.kind !== "robot" && part !== ep.floor)) {
      const still = !part.body || part.body.tracks.every((track) => typeof track === "number");
      for (let t = 0; t <= (still ? 0 : ep.length); t += often) if (!part.body || part.body.isShown(t)) holdPart(part, t);
    }
    ep.jump = Math.max(0.3, ep.radius);
    ep.box = box;
    const reach = () => Math.max(box[1] - box[0], box[3] - box[2]) / 2;
    ep.alone = reach() < 1.3 * ep.radius;
    // Where things are, the robot is among them; a robot that is alone may run far.
    if (!ep.alone) for (let t = 0; t <= ep.length; t += often) hold(place(robot, t), ep.radius);
    ep.reach = reach();
    ep.wide = ep.reach > 25 * ep.radius;
    ep.robotCorners = body.flatMap((part) => {
      const at = add(centre(part, 0), root, -1), r = Math.min(part.r, Math.max(part.size[0] + part.reach, 0.5 * part.r));
      return [[r, 0, 0], [-r, 0, 0], [0, r, 0], [0, -r, 0], [0, 0, r], [0, 0, -r]].map((by) => add(add(at, by), [0, 0, root[2]]));
    });
    ep.smooth = smooth(robot);
    trail = ribbon(ep.smooth);
    home();
  }

  /** Where the robot is on average over most of a second: a camera that follows it does not shake with it. */
  function smooth(robot) {
    const half = Math.round(0.4 * ep.fps), last = ep.length;
    return [0, 1].map((axis) => {
      const sums = new Float64Array(last + 2);
      for (let t = 0; t <= last; t++) sums[t + 1] = sums[t] + robot.v[axis][t];
      return Float64Array.from({ length: last + 1 }, (_, t) => {
        const wide = Math.min(half, t, last - t);
        return (sums[t + wide + 1] - sums[t - wide]) / (2 * wide + 1);
      });
    });
  }

  /** The robot's way as a band on the ground, two corners a frame. */
  function ribbon([x, y]) {
    const corners = [], faces = [], wide = 0.03 * ep.radius, z = ep.ground + 2e-3 * ep.radius;
    let side = [0, wide];
    for (let t = 0; t <= ep.length; t++) {
      const next = Math.min(t + 1, ep.length), way = [x[next] - x[t], y[next] - y[t]], l = Math.hypot(...way);
      if (l > 1e-3 * ep.radius) side = [-way[1] / l * wide, way[0] / l * wide];
      for (const s of [-1, 1]) corners.push([x[t] + s * side[0], y[t] + s * side[1], z, 0, 0, 1, 0]);
      if (t > 0) faces.push(2 * t - 2, 2 * t - 1, 2 * t, 2 * t, 2 * t - 1, 2 * t + 1);
    }
    return upload({ corners, faces });
  }

  // ---- The camera ---------------------------------------------------------------------------------------------

  /** How the scene is looked at first: all of it where the robot is not lost in it, else the robot. */
  function home() {
    const { view } = ep.scene;
    camera.azimuth = view === "corner" ? -0.85 : -Math.PI / 2;
    camera.height = { corner: 0.56, side: 0.12, above: 1.1 }[view];
    setFollow(ep.alone || ep.wide);
    changed();
  }

  function setFollow(on) {
    camera.follow = on;
    const [x0, x1, y0, y1] = ep.box, tall = ep.top - ep.ground;
    if (on) {
      camera.target = [0, 0, ep.ground + 0.55 * tall];
      camera.distance = Math.min(14 * ep.radius, Math.max(1.4 * ep.reach, 5 * ep.radius));
      if (ep.alone) approach(ep.robotCorners, 0.6);
    } else {
      camera.target = [(x0 + x1) / 2, (y0 + y1) / 2, ep.ground + (ep.scene.view === "side" ? 0.55 : 0.1) * tall];
      // As near as all can be seen, then to the middle of what is seen, and nearer again.
      for (let i = 0; i < 3; i++) {
        approach(ep.corners, 0.93);
        const seen = ep.corners.map(inView), { right, up } = axes(), wide = camera.distance * Math.tan(FIELD / 2);
        const middle = (axis) => [Math.min, Math.max].reduce((sum, most) => sum + most(...seen.map((at) => at[axis])) / 2, 0);
        camera.target = add(add(camera.target, right, middle(0) * wide * 16 / 9), up, middle(1) * wide);
      }
    }
    changed();
  }

  /** Go as near as all these places are within this share of the picture. */
  function approach(corners, share) {
    camera.distance = ep.radius;
    while (camera.distance < 50 * ep.reach && corners.some((corner) => Math.max(...inView(corner).map(Math.abs)) > share)) {
      camera.distance *= 1.04;
    }
  }

  /** Where in a wide picture a place is, from -1 to 1 across and up, when the camera does not follow. */
  function inView(place) {
    const { back, right, up } = axes(), from = add(place, camera.target, -1);
    const half = Math.tan(FIELD / 2) * (camera.distance - dot(from, back));
    return half > 0 ? [dot(from, right) / half * 9 / 16, dot(from, up) / half] : [Infinity, Infinity];
  }

  function target(t, part) {
    if (!camera.follow) return camera.target;
    const next = Math.min(t + 1, ep.length);
    const [x, y] = ep.smooth.map((track) => track[t] + part * (track[next] - track[t]));
    return add(camera.target, [x, y, 0]);
  }

  function axes() {
    const [c, s] = [Math.cos(camera.height), Math.sin(camera.height)];
    const back = [c * Math.cos(camera.azimuth), c * Math.sin(camera.azimuth), s];
    const right = [-Math.sin(camera.azimuth), Math.cos(camera.azimuth), 0];
    return { back, right, up: cross(back, right) };
  }

  const orbit = (dx, dy) => {
    camera.azimuth -= dx * 0.006;
    camera.height = Math.max(-0.05, Math.min(1.55, camera.height + dy * 0.006));
    changed();
  };
  const pan = (dx, dy) => {
    const { right, up } = axes(), scale = 2 * camera.distance * Math.tan(FIELD / 2) / canvas.clientHeight;
    camera.target = add(add(camera.target, right, -dx * scale), up, dy * scale);
    changed();
  };
  const zoom = (factor) => {
    camera.distance = Math.max(0.5 * ep.radius, Math.min(40 * Math.max(ep.reach, ep.radius), camera.distance * factor));
    changed();
  };

  /** Pointers that are down: one turns, or with Shift or the right button moves; two move and zoom. */
  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY], by = [now[0] - before[0], now[1] - before[1]];
    if (fingers.size === 1) (event.shiftKey || event.buttons & 6 ? pan : orbit)(...by);
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const wide = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
      zoom(wide(before) / wide(now));
      pan(by[0] / 2, by[1] / 2);
    }
    fingers.set(event.pointerId, now);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    // A page that scrolls goes on scrolling, until the scene was clicked.
    const scrolls = document.documentElement.scrollHeight > window.innerHeight + 1;
    if (scrolls && document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004));
  }, { passive: false });

  // ---- Drawing ------------------------------------------------------------------------------------------------

  const rgb = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16) / 255);
  const setPalette = (palette) => { colours = Object.fromEntries(Object.entries(palette).map(([name, text]) => [name, rgb(text)])); };
  const colour = (kind) => colours[look(kind)[0]];

  /** Round to 1, 2 or 5 times a power of ten. */
  function round(x) {
    const power = 10 ** Math.floor(Math.log10(x));
    return [5, 2, 1].find((m) => m * power <= x * 1.0001) * power;
  }
  const cell = () => round(ep.alone || ep.wide ? 1.2 * ep.radius : ep.reach / 4);

  function put({ shape, matrix, size = [1, 1, 1], reach = 0, mode = 0 }, [r, g, b], alpha) {
    gl.uniformMatrix4fv(at.model, false, matrix);
    gl.uniform3fv(at.size, size);
    gl.uniform1f(at.reach, reach);
    gl.uniform4f(at.colour, r, g, b, alpha);
    gl.uniform1i(at.mode, mode);
    gl.bindVertexArray(shape.array);
    gl.drawElements(gl.TRIANGLES, shape.count, gl.UNSIGNED_INT, 0);
  }

  /** Draw the moment `part` of a step after frame `t`; `alarm` from 0 to 1 is how much of a cost is still to be seen. */
  function draw(t, part, alarm) {
    const density = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.max(1, Math.round(n * density)));
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    gl.viewport(0, 0, width, height);
    const sky = colours.sky;
    gl.clearColor(...sky, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);

    // The camera looks at its target; a narrow canvas sees as much across as a wide one does upright.
    const { back, right, up } = axes();
    const aspect = width / height, wide = Math.max(1, 1.25 / aspect);
    const middle = target(t, part), eye = add(middle, back, camera.distance * wide);
    const look = [right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0,
      -dot(right, eye), -dot(up, eye), -dot(back, eye), 1];
    const far = Math.max(14 * camera.distance, 3 * ep.reach), near = 0.05 * camera.distance, f = 1 / Math.tan(FIELD / 2);
    const lens = [f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (3 * far + near) / (near - 3 * far), -1, 0, 0, 6 * far * near / (near - 3 * far), 0];
    gl.uniformMatrix4fv(at.view, false, times(lens, look));
    gl.uniform3fv(at.eye, eye);
    gl.uniform3fv(at.light, LIGHT);
    gl.uniform3fv(at.sky, sky);
    gl.uniform3fv(at.middle, middle);
    gl.uniform1f(at.cell, cell());
    gl.uniform1f(at.far, 0.9 * far);
    gl.uniform1f(at.ground, ep.ground);
    gl.uniform1i(at.shadow, 0);
    gl.enable(gl.DEPTH_TEST);
    gl.disable(gl.BLEND);
    gl.depthMask(true);

    const now = ep.bodies.map((body) => pose(body, t, part));
    const drawn = [];
    parts.forEach((item, i) => {
      const body = item.body ? now[ep.scene.parts[i].body] : STILL;
      if (item.form !== "plane" && body) drawn.push({ ...item, matrix: times(body, item.matrix) });
    });
    const solid = drawn.filter((item) => opacity(item) === 1), glass = drawn.filter((item) => opacity(item) < 1);
    for (const item of solid) {
      let tint = colour(item.kind).map((x) => x * item.shade);
      if (item.kind === "robot") tint = tint.map((x, i) => x + 0.6 * alarm * (colours.alarm[i] - x));
      put(item, tint, 1);
    }
    // A little lower than it is, so that what lies flat on it is seen.
    const floor = rigid([middle[0], middle[1], ep.ground - 1e-3 * camera.distance], [1, 0, 0, 0]);
    put({ shape: shapes.cube, matrix: floor, size: [far, far, 1e-4], mode: 2 }, colours.ground, 1);

    // Shadows: everything solid once more, flattened along the light; the stencil keeps them from adding up.
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthMask(false);
    gl.enable(gl.STENCIL_TEST);
    gl.stencilFunc(gl.EQUAL, 0, 255);
    gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);
    gl.uniform1i(at.shadow, 1);
    for (const item of solid) put({ ...item, mode: 3 }, [0, 0, 0], 0.22);
    gl.uniform1i(at.shadow, 0);
    gl.disable(gl.STENCIL_TEST);

    // The way so far, then what is seen through, the farthest first.
    if (t > 0 && ep.scene.view !== "side") {
      gl.disable(gl.CULL_FACE);
      put({ shape: { ...trail, count: 6 * t }, matrix: STILL, mode: 3 }, colours.robot, 0.45);
    }
    gl.enable(gl.CULL_FACE);
    const depth = (item) => dot(add(item.matrix.slice(12, 15), eye, -1), back);
    for (const item of glass.sort((a, b) => depth(a) - depth(b))) put(item, colour(item.kind), opacity(item));
    if (now[0]) lamps(t, now[0], alarm);
    gl.disable(gl.CULL_FACE);
    gl.depthMask(true);
  }
  const opacity = (item) => look(item.kind)[1];

  /** Rings of lights above the robot, one a lidar, the brighter the closer; and a red glow at a cost. */
  function lamps(t, robot, alarm) {
    const [x, y, z] = robot.slice(12, 15);
    const lift = ep.top - ep.bodies[0].v[2][0], ring = 0.1 + 0.5 * ep.radius, size = 0.1 * ring;
    ep.lidars.forEach((lidar, i) => {
      for (let bin = 0; bin < lidar.bins; bin++) {
        const angle = lidar.v[2][t] + ((bin + 0.5) / lidar.bins) * 2 * Math.PI, closeness = lidar.closeness(t, bin);
        const spot = [x + ring * Math.cos(angle), y + ring * Math.sin(angle), z + lift + (2 + 2.6 * i) * size];
        const s = size * (0.55 + 0.6 * closeness);
        put({ shape: shapes.lamp, matrix: rigid(spot, [1, 0, 0, 0]), size: [s, s, s], mode: 3 }, colour(lidar.kind), 0.12 + 0.88 * closeness);
      }
    });
    if (alarm > 0) {
      const r = 1.25 * ep.radius;
      put({ shape: shapes.ball, matrix: rigid([x, y, z], [1, 0, 0, 0]), size: [r, r, r], mode: 3 }, colours.alarm, 0.3 * alarm);
    }
  }

  return { load, draw, home, zoom, setFollow, setPalette, cell, follows: () => camera.follow };
}
