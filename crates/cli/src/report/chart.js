// Read-outs: the point nearest to the pointer of each chart, in words, below the chart.
"use strict";
(() => {
  for (const figure of document.querySelectorAll("figure.chart")) {
    const svg = figure.querySelector("svg[role=img]");
    const hair = svg.querySelector(".hair");
    const source = figure.querySelector(".source");
    const rest = source.textContent;
    let chart = null; // parsed when it is first needed

    const across = (value) => chart.plot[0] + ((value - chart.x[0]) / (chart.x[1] - chart.x[0])) * chart.plot[2];
    const down = (value) => chart.plot[1] + (1 - (value - chart.y[0]) / (chart.y[1] - chart.y[0])) * chart.plot[3];
    const whole = (value) => Math.round(value).toLocaleString("en");

    /** For each line its point nearest along the axis; for a cloud the one nearest point of all. */
    function nearest(px, py) {
      const best = chart.series.map((series) => {
        let found = null;
        for (const [x, y, say] of series.points) {
          const gap = chart.scatter ? Math.hypot(across(x) - px, down(y) - py) : Math.abs(across(x) - px);
          if (!found || gap < found.gap) found = { gap, x, y, say, label: series.label };
        }
        return found;
      }).filter((found) => found);
      best.sort((a, b) => a.gap - b.gap);
      return chart.scatter ? best.slice(0, 1) : best;
    }

    function show(event) {
      chart ??= JSON.parse(figure.querySelector("script.points").textContent);
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const found = nearest(point.x, point.y);
      if (found.length === 0) return;
      const x = across(found[0].x);
      hair.setAttribute("x1", x);
      hair.setAttribute("x2", x);
      hair.setAttribute("y1", chart.plot[1]);
      hair.setAttribute("y2", chart.plot[1] + chart.plot[3]);
      hair.setAttribute("visibility", "visible");
      const named = chart.series.length > 1;
      const values = found.map(({ label, say }) => (named ? `${label} ${say}` : say));
      const place = chart.scatter ? "" : `${whole(found[0].x)} ${chart.x_unit}: `;
      source.textContent = place + values.join(" · ");
      source.classList.add("live");
    }

    function leave() {
      hair.setAttribute("visibility", "hidden");
      source.textContent = rest;
      source.classList.remove("live");
    }

    svg.addEventListener("pointermove", show);
    svg.addEventListener("pointerdown", show);
    svg.addEventListener("pointerleave", leave);
  }
  document.documentElement.dataset.charts = "ready";
})();
