// The clip over time as SVG: shares of the votes, luminance, change from frame to frame. And the tables below them.
"use strict";

LRHDR.plots = (() => {
  const manifest = LRHDR.manifest;
  const C = LRHDR.colour;
  const NS = "http://www.w3.org/2000/svg";
  const W = 380;
  const H = 180;
  const LEFT = 50;
  const RIGHT = 12;
  const TOP = 10;
  const BOTTOM = 26;
  const cursors = [];

  function element(name, attributes, ...children) {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function html(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function ticksBetween(low, high, count) {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw);
    const found = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) found.push(Number(v.toPrecision(12)));
    return found;
  }

  /** A figure with axes; `draw(x, y, svg)` puts the data in. `pick(index)` goes to the frame nearest to a click. */
  function figure(title, about, frames, low, high, unit, draw, pick, legend) {
    const first = frames[0];
    const last = frames[frames.length - 1];
    const x = (frame) => LEFT + ((W - LEFT - RIGHT) * (frame - first)) / Math.max(1, last - first);
    const y = (value) => TOP + ((H - TOP - BOTTOM) * (high - value)) / (high - low || 1);
    const svg = element("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title}. ${about}` });
    for (const tick of ticksBetween(low, high, 4)) {
      svg.append(
        element("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(tick), y2: y(tick) }),
        element("text", { class: "axis", x: LEFT - 7, y: y(tick) + 3.5, "text-anchor": "end" }, unit(tick)),
      );
    }
    for (const tick of ticksBetween(first, last, 6).filter(Number.isInteger)) {
      svg.append(element("text", { class: "axis", x: x(tick), y: H - 8, "text-anchor": "middle" }, String(tick)));
    }
    draw(x, y, svg);
    const cursor = element("line", { class: "cursor", y1: TOP, y2: H - BOTTOM });
    svg.append(cursor);
    cursors.push((frame) => {
      cursor.setAttribute("x1", x(frame));
      cursor.setAttribute("x2", x(frame));
    });
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * W;
      pick(first + ((at - LEFT) / (W - LEFT - RIGHT)) * (last - first));
    });
    const caption = html("figcaption", {}, html("strong", {}, title), html("span", { class: "note" }, about));
    const made = html("figure", {}, caption, svg);
    if (legend) made.append(legend);
    return made;
  }

  function path(points) {
    let started = false;
    return points
      .map(([px, py]) => {
        if (py === null) {
          started = false;
          return "";
        }
        const step = `${started ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`;
        started = true;
        return step;
      })
      .join("");
  }

  function key(entries) {
    const list = html("ul", { class: "key" });
    for (const [label, style] of entries) {
      const mark = html("i", { class: "swatch" });
      Object.assign(mark.style, style);
      list.append(html("li", {}, mark, label));
    }
    return list;
  }

  /** Shares of the votes by role. Roles keep their colour whichever exposure the reference has. */
  function shares(pick) {
    const frames = manifest.frames.filter((frame) => frame.shares);
    if (frames.length < 2) return null;
    const names = LRHDR.views.candidatesOf(frames[0]).map((entry) => {
      const role = entry.name.replace(/ \([^)]*\)$/, "");
      return entry.family === "calibrated" ? `calibrated ${role}` : role;
    });
    const colours = LRHDR.views.candidatesOf(frames[0]).map((entry) => C.css(entry.colour));
    const indices = frames.map((frame) => frame.index);
    return figure(
      "Shares of the votes", "Mean over each frame, stacked.", indices, 0, 1, (v) => `${Math.round(100 * v)} %`,
      (x, y, svg) => {
        const sums = new Float64Array(frames.length);
        names.forEach((_, k) => {
          const lower = Array.from(sums, (s, i) => [x(indices[i]), y(s)]);
          frames.forEach((frame, i) => (sums[i] += frame.shares[k] ?? 0));
          const upper = Array.from(sums, (s, i) => [x(indices[i]), y(s)]);
          svg.append(element("path", { d: `${path(upper)}${path(lower.reverse()).replace("M", "L")}Z`, fill: colours[k] }));
        });
      },
      pick, key(names.map((name, k) => [name, { background: colours[k] }])),
    );
  }

  function lines(title, about, series, unit, pick) {
    const indices = manifest.series.frames;
    const values = series.flatMap((s) => s.values).filter((v) => v !== null && Number.isFinite(v));
    if (indices.length < 2 || !values.length) return null;
    let low = Math.min(...values, ...(series[0].zero ? [0] : []));
    let high = Math.max(...values);
    if (high - low < 1e-9) high = low + 1;
    const room = 0.06 * (high - low);
    if (!series[0].zero) low -= room;
    high += room;
    return figure(title, about, indices, low, high, unit, (x, y, svg) => {
      for (const s of series) {
        const points = s.values.map((v, i) => [x(indices[i]), v === null || !Number.isFinite(v) ? null : y(v)]);
        svg.append(element("path", { d: path(points), class: "line", stroke: s.colour, "stroke-dasharray": s.dash || "none" }));
      }
    }, pick, series.length > 1 || series[0].label ? key(series.map((s) => [s.label, { background: s.colour }])) : null);
  }

  const LINES = ["#f2f2f2", "#56b4e9", "#e69f00", "#009e73"];

  function build(container, pick) {
    const made = [shares(pick)];
    const series = manifest.series;
    if (series && manifest.kind === "compare") {
      const byRun = (field) => manifest.runs.map((run, i) => ({ label: run.name, colour: LINES[i], values: series.rows.map((row) => row[run.id]?.[field] ?? null) }));
      if (series.rows.some((row) => manifest.runs.some((run) => row[run.id]?.psnr_t != null))) {
        made.push(lines("PSNR_T", "Against the ground truth, dB, higher is better.", byRun("psnr_t"), (v) => `${v}`, pick));
      }
      const change = byRun("flicker");
      change[0].zero = true;
      made.push(lines("Change from frame to frame", "Mean |T(H) − T(H before)|: motion and flicker together.", change, (v) => `${v}`, pick));
    } else if (series) {
      const rows = series.rows;
      const log = (v) => (v > 0 ? Math.log2(v) : null);
      made.push(
        lines("Luminance", "Percentiles of each frame, in stops; 0 is 1.0.", [
          { label: "99 %", colour: LINES[2], values: rows.map((r) => log(r.luminance[2])) },
          { label: "median", colour: LINES[0], values: rows.map((r) => log(r.luminance[1])) },
          { label: "1 %", colour: LINES[1], values: rows.map((r) => log(r.luminance[0])) },
        ], (v) => `${v} EV`.replace("-", "\u2212"), pick),
        lines("Change from frame to frame", "Mean |T(H) − T(H before)|: motion and flicker together. A zigzag with the exposures is flicker.", [
          { colour: LINES[0], values: rows.map((r) => r.flicker), zero: true },
        ], (v) => `${v}`, pick),
      );
    }
    container.append(...made.filter(Boolean));
    container.hidden = !container.children.length;
  }

  function cursor(frame) {
    for (const move of cursors) move(frame);
  }

  // --- tables ---------------------------------------------------------------------------------------------------

  /** A table; numbers carry their full value. */
  function table(heads, rows, caption) {
    const made = html("table", { class: "numbers" });
    if (caption) made.append(html("caption", {}, caption));
    made.append(html("thead", {}, html("tr", {}, ...heads.map((h) => html("th", { scope: "col" }, h)))));
    const body = html("tbody");
    for (const cells of rows) {
      const line = html("tr");
      cells.forEach((c, i) => {
        const item = typeof c === "object" && c !== null ? c : { text: c };
        const made = html(i ? "td" : "th", i ? {} : { scope: "row" }, String(item.text ?? "–"));
        if (item.value !== undefined && item.value !== null) made.dataset.value = item.value;
        if (item.best) made.className = "best";
        line.append(made);
      });
      body.append(line);
    }
    made.append(body);
    return made;
  }

  function pairs(title, rows) {
    const list = html("dl", { class: "pairs" });
    for (const [name, value] of rows) list.append(html("div", {}, html("dt", {}, name), html("dd", {}, value)));
    return html("details", { open: "" }, html("summary", {}, title), list);
  }

  function facts(container) {
    const number = (v, digits = 4) => (v === null || v === undefined ? { text: "–" } : { text: Number(v.toPrecision(digits)), value: v });
    const series = manifest.series;
    if (manifest.settings?.length) container.append(pairs("Settings", manifest.settings));
    if (manifest.versions?.length) container.append(pairs("Versions", manifest.versions));
    if (series && manifest.kind !== "compare" && series.rows.length) {
      const rows = series.rows.map((r, i) => [series.frames[i], ...r.luminance.map((v) => number(v)), number(r.mean), number(r.flicker)]);
      const made = table(["frame", "luminance 1 %", "median", "99 %", "mean", "change"], rows);
      made.id = "frame-numbers";
      container.append(html("details", {}, html("summary", {}, `Numbers of all ${rows.length} frames`), html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Numbers of all frames" }, made)));
    }
    container.hidden = !container.children.length;
  }

  function comparison(container) {
    for (const t of manifest.tables || []) {
      const made = table(t.heads, t.rows);
      made.id = t.id;
      container.append(html("section", { class: "comparison" }, html("h2", {}, t.title), html("p", { class: "note" }, t.note || ""), html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t.title }, made)));
    }
  }

  return { build, cursor, facts, comparison };
})();
