// The values of one pixel: result, votes and candidates, as numbers that equal the file's to the stated precision.
"use strict";

LRHDR.readout = (() => {
  const V = LRHDR.views;
  const C = LRHDR.colour;
  const manifest = LRHDR.manifest;

  // As many digits as the data hold.
  const DIGITS = manifest.precision && !manifest.precision.exact && manifest.precision.result[0] > 0.0015 ? 3 : 4;

  function number(value) {
    if (!Number.isFinite(value)) return String(value);
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size < 1e-4 || size >= 1e5) return value.toExponential(2).replace("-", "\u2212");
    return String(Number(value.toPrecision(DIGITS)));
  }

  function cell(text, attributes = {}, tag = "td") {
    const element = document.createElement(tag);
    element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  function row(name, values, options = {}) {
    const line = document.createElement("tr");
    if (options.key) line.dataset.row = options.key;
    if (options.strong) line.className = "strong";
    const head = cell("", { scope: "row" }, "th");
    if (options.colour) {
      const mark = document.createElement("i");
      mark.className = "swatch";
      mark.style.background = C.css(options.colour);
      head.append(mark);
    }
    head.append(name);
    line.append(head);
    for (const [text, value] of values) line.append(value === undefined ? cell(text) : cell(text, { "data-value": value }));
    return line;
  }

  function rgb(values) {
    return values.map((v) => [number(v), v]);
  }

  /** Planes that the readout of a frame needs. */
  function needs(frame) {
    return frame.planes.filter((name) => name !== "confidence");
  }

  function triple(plane, pixel) {
    return [0, 1, 2].map((c) => V.value(plane, pixel, plane.channels === 3 ? c : 0));
  }

  /** Radiance of a candidate: a plane of its own, or the input frame brought to radiance. */
  function candidate(frame, planes, k, pixel) {
    if (planes[`candidate${k}`]) return triple(planes[`candidate${k}`], pixel);
    const plane = planes[`window${k}`];
    return plane ? triple(plane, pixel).map((v) => C.frameRadiance(v, frame.exposures[k], V.GAIN)) : null;
  }

  /** Fill the table for pixel (x, y) of a frame whose planes are at hand. */
  function show(table, frame, planes, x, y) {
    const pixel = y * V.WIDTH + x;
    const rows = [];
    const head = document.createElement("thead");
    const titles = document.createElement("tr");
    const voting = planes.votes !== undefined;
    for (const title of ["", "R", "G", "B", ...(voting ? ["vote"] : [])]) {
      titles.append(title ? cell(title, { scope: "col" }, "th") : cell(""));
    }
    head.append(titles);
    const named = manifest.kind === "compare"
      ? [...manifest.runs.map((run) => [run.id, run.name]), ["truth", "ground truth"]]
      : [["result", "result"]];
    for (const [id, name] of named) {
      if (!planes[id]) continue;
      const values = triple(planes[id], pixel);
      rows.push(row(name, [...rgb(values), ...(voting ? [[""]] : [])], { key: id, strong: true }));
      const light = values.reduce((sum, v, c) => sum + C.LUMINANCE[c] * v, 0);
      const line = row("luminance", [[number(light), light], [light > 0 ? C.ev(Math.log2(light)) : "black"]], { key: `${id}-luminance` });
      line.lastChild.colSpan = voting ? 3 : 2;
      rows.push(line);
      if (manifest.kind === "compare" && id !== "truth" && planes.truth) {
        const error = V.difference(planes[id], planes.truth, pixel);
        const last = row("error, |ΔT|", [[number(error), error]], { key: `${id}-error` });
        last.lastChild.colSpan = 3;
        rows.push(last);
      }
    }
    if (voting) {
      let family = "";
      V.candidatesOf(frame).forEach((entry, k) => {
        if (entry.family !== family) {
          family = entry.family;
          const heading = document.createElement("tr");
          heading.className = "family";
          heading.append(cell({ input: "input frames", interpolated: "interpolated", calibrated: "calibrated" }[family] || family, { colspan: 5 }));
          rows.push(heading);
        }
        const share = V.value(planes.votes, pixel, k);
        const values = candidate(frame, planes, k, pixel);
        const line = row(entry.name, [...(values ? rgb(values) : [["–"], ["–"], ["–"]]), [share === 0 ? "0" : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`, share]], {
          key: `candidate${k}`, colour: entry.colour,
        });
        if (share === 0) line.classList.add("none");
        rows.push(line);
      });
    }
    const body = document.createElement("tbody");
    body.append(...rows);
    table.replaceChildren(head, body);
  }

  /** How exact the numbers are, in words. */
  function note() {
    const p = manifest.precision;
    if (!p) return "";
    const parts = [];
    if (p.exact) parts.push("Values are those of the files (half floats).");
    else {
      const percent = (v) => `${(100 * v).toPrecision(2)} %`;
      parts.push(`Radiance equals the file to ±${percent(p.result[0])} of the value ± ${p.result[1].toExponential(0)}`);
      if (p.votes) parts[0] += `, candidates to ±${percent(p.candidate[0])}, votes to ±${percent(p.votes)}`;
      if (p.input) parts[0] += `, 8-bit input codes to ±${p.input}`;
      parts[0] += ".";
      if (p.votes && p.reduce > 1) parts.push(`Votes and made candidates are means over ${p.reduce} x ${p.reduce} pixels.`);
    }
    if (manifest.reduce > 1) parts.push(`A pixel here is the mean of ${manifest.reduce} x ${manifest.reduce} of the file.`);
    return parts.join(" ");
  }

  return { show, needs, note, number };
})();
