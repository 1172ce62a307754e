// What can be shown of a frame: images (radiance, input frames) and maps (votes, support, margin, ...).
// A view has an id, a label, a group, the planes it needs, `draw` into RGBA bytes, and `legend` for the side panel.
"use strict";

LRHDR.views = (() => {
  const C = LRHDR.colour;
  const manifest = LRHDR.manifest;
  const [HEIGHT, WIDTH] = manifest.size;
  const PIXELS = HEIGHT * WIDTH;
  const GAIN = manifest.gain || 1;
  const MU = 5000;

  const SUPPORT = [
    [38, 38, 42], [0, 58, 100], [0, 114, 178], [86, 180, 233], [160, 214, 200], [240, 228, 66], [250, 246, 190],
  ];
  const CLIP_ALL = [213, 94, 0];
  const CLIP_SOME = [[86, 180, 233], [0, 114, 178], [0, 58, 100]];
  const BLACK_ALL = [204, 121, 167];

  const indexMaps = new Map();

  /** Pixel of the page to pixel of a reduced plane; null where they are the same. */
  function indices(plane) {
    if (plane.reduce === 1) return null;
    let map = indexMaps.get(plane.reduce);
    if (!map) {
      map = new Uint32Array(PIXELS);
      for (let y = 0, i = 0; y < HEIGHT; y++) {
        const row = Math.floor(y / plane.reduce) * plane.width;
        for (let x = 0; x < WIDTH; x++, i++) map[i] = row + Math.floor(x / plane.reduce);
      }
      indexMaps.set(plane.reduce, map);
    }
    return map;
  }

  /** Value of a channel at a pixel of the page. */
  function value(plane, pixel, channel) {
    const map = indices(plane);
    return plane.table[plane.codes[(map ? map[pixel] : pixel) * plane.stride + channel * plane.pitch] & 0xffff];
  }

  function drawCodes(plane, bytes, out) {
    const { codes, stride, pitch } = plane;
    const map = indices(plane);
    const green = plane.channels === 3 ? pitch : 0;
    const blue = plane.channels === 3 ? 2 * pitch : 0;
    for (let i = 0, o = 0; i < PIXELS; i++, o += 4) {
      const k = (map ? map[i] : i) * stride;
      out[o] = bytes[codes[k] & 0xffff];
      out[o + 1] = bytes[codes[k + green] & 0xffff];
      out[o + 2] = bytes[codes[k + blue] & 0xffff];
      out[o + 3] = 255;
    }
  }

  /** Luminance of every pixel. */
  function luminances(plane) {
    if (plane.luminances) return plane.luminances;
    const out = new Float32Array(PIXELS);
    const [r, g, b] = C.LUMINANCE;
    for (let i = 0; i < PIXELS; i++) out[i] = r * value(plane, i, 0) + g * value(plane, i, 1) + b * value(plane, i, 2);
    plane.luminances = out;
    return out;
  }

  /** Lay a map over the grey picture: opacity 1 is the map alone. */
  function overlay(out, planes, options, colourOf) {
    const result = planes.result;
    const bytes = C.radianceBytes(result, options.ev);
    const grey = options.opacity < 1;
    const a = options.opacity;
    const colour = [0, 0, 0];
    for (let i = 0, o = 0; i < PIXELS; i++, o += 4) {
      colourOf(i, colour);
      if (grey) {
        const k = i * result.stride;
        const y =
          0.2126 * bytes[result.codes[k] & 0xffff] +
          0.7152 * bytes[result.codes[k + result.pitch] & 0xffff] +
          0.0722 * bytes[result.codes[k + 2 * result.pitch] & 0xffff];
        out[o] = a * colour[0] + (1 - a) * y + 0.5;
        out[o + 1] = a * colour[1] + (1 - a) * y + 0.5;
        out[o + 2] = a * colour[2] + (1 - a) * y + 0.5;
      } else {
        out[o] = colour[0];
        out[o + 1] = colour[1];
        out[o + 2] = colour[2];
      }
      out[o + 3] = 255;
    }
  }

  function candidatesOf(frame) {
    return (manifest.candidateSets || [])[frame.set] || [];
  }

  function percent(share) {
    return `${(100 * share).toFixed(1)} %`;
  }

  function swatches(rows, note) {
    return { rows, note };
  }

  // --- images ---------------------------------------------------------------------------------------------------

  function radianceView(id, label, plane, group, note) {
    return {
      id, label: () => label, group, image: true, needs: () => [plane], available: (frame) => frame.planes.includes(plane),
      draw: (frame, planes, options, out) => drawCodes(planes[plane], C.radianceBytes(planes[plane], options.ev), out),
      light: (frame, planes) => lightOf(planes[plane]),
      legend: () => ({ note: note || `Linear radiance at the display exposure. ${manifest.scale || ""}.` }),
    };
  }

  /** A plane for the float canvas: its codes and their linear values. */
  function lightOf(plane) {
    return { plane, map: indices(plane), values: plane.table, key: `${plane.coding} ${plane.step}` };
  }

  function windowView(j) {
    const plane = (frame) => (frame.planes.includes(`window${j}`) ? `window${j}` : `candidate${j}`);
    return {
      id: `input${j}`,
      label: (frame) => `Input: ${candidatesOf(frame)[j]?.name ?? `frame ${frame.window[j]}`}`,
      group: "Input frames", image: true,
      available: (frame) => Boolean(frame.window) && j < frame.window.length && frame.planes.includes(plane(frame)),
      needs: (frame) => [plane(frame)],
      draw(frame, planes, options, out) {
        const found = planes[plane(frame)];
        const bytes =
          found.coding === "code"
            ? C.frameBytes(found, frame.exposures[j], GAIN, options.ev, options.matched)
            : C.radianceBytes(found, options.ev);
        drawCodes(found, bytes, out);
      },
      light(frame, planes, options) {
        const found = planes[plane(frame)];
        if (found.coding !== "code") return lightOf(found);
        if (!options.matched) return null; // as recorded: that is a picture for a plain screen
        const exposure = frame.exposures[j];
        const values = found.table.map((v) => C.frameRadiance(v, exposure, GAIN));
        return { ...lightOf(found), values, key: `code ${found.step} ${exposure} ${GAIN}` };
      },
      legend: (frame) => ({
        note: `Frame ${frame.window[j]}, exposure ${C.ev(Math.log2(frame.exposures[j]))}` +
          (manifest.inputs?.[frame.window[j]]
            ? `: ${percent(manifest.inputs[frame.window[j]].clipped)} clipped, ` +
              `${percent(manifest.inputs[frame.window[j]].black)} black.`
            : "."),
      }),
    };
  }

  function candidateView(k) {
    const name = `candidate${k}`;
    return {
      id: name,
      label: (frame) => {
        const entry = candidatesOf(frame)[k];
        const family = entry.family === "calibrated" ? "Calibrated" : entry.family === "made" ? "Made" : "";
        return family ? `${family}: ${entry.name}` : entry.name[0].toUpperCase() + entry.name.slice(1);
      },
      group: "Candidates", image: true,
      available: (frame) => k < candidatesOf(frame).length && frame.planes.includes(name) && candidatesOf(frame)[k].family !== "input",
      needs: () => [name],
      draw: (frame, planes, options, out) => drawCodes(planes[name], C.radianceBytes(planes[name], options.ev), out),
      light: (frame, planes) => lightOf(planes[name]),
      legend: (frame) => ({ note: `One of the ${candidatesOf(frame).length} candidates that pixels vote for, at the display exposure.` }),
    };
  }

  // --- maps -----------------------------------------------------------------------------------------------------

  const hasVotes = (frame) => frame.planes.includes("votes") && candidatesOf(frame).length > 0;

  /** The two largest votes of a pixel and how many there are, into `found`. */
  function rank(votes, pixel, found) {
    let first = 0;
    let second = 0;
    let count = 0;
    let winner = 0;
    for (let c = 0; c < votes.channels; c++) {
      const v = value(votes, pixel, c);
      if (v > 0) count++;
      if (v > first) {
        second = first;
        first = v;
        winner = c;
      } else if (v > second) second = v;
    }
    found.margin = first - second;
    found.support = count;
    found.winner = winner;
  }

  const votes = {
    id: "votes", label: () => "Vote map", group: "Maps", available: hasVotes, needs: () => ["votes", "result"],
    draw(frame, planes, options, out) {
      const mix = C.palette(candidatesOf(frame));
      const plane = planes.votes;
      overlay(out, planes, options, (i, colour) => {
        let r = 0;
        let g = 0;
        let b = 0;
        for (let c = 0; c < plane.channels; c++) {
          const v = value(plane, i, c);
          if (v === 0) continue;
          r += v * mix[c][0];
          g += v * mix[c][1];
          b += v * mix[c][2];
        }
        colour[0] = C.MIX[Math.min(4096, Math.round(r * 4096))];
        colour[1] = C.MIX[Math.min(4096, Math.round(g * 4096))];
        colour[2] = C.MIX[Math.min(4096, Math.round(b * 4096))];
      });
    },
    legend: (frame) =>
      swatches(
        candidatesOf(frame).map((entry, k) => ({
          colour: entry.colour, label: entry.name, family: entry.family,
          amount: frame.shares ? percent(frame.shares[k]) : "",
        })),
        "Each pixel has the colour of the candidate that it was made of; colours mix where candidates share a pixel. Numbers: share of this frame.",
      ),
  };

  const support = {
    id: "support", label: () => "Support size", group: "Maps", available: hasVotes, needs: () => ["votes", "result"],
    draw(frame, planes, options, out) {
      const found = {};
      overlay(out, planes, options, (i, colour) => {
        rank(planes.votes, i, found);
        [colour[0], colour[1], colour[2]] = SUPPORT[Math.min(found.support, SUPPORT.length - 1)];
      });
    },
    legend(frame, planes) {
      const counts = new Array(SUPPORT.length).fill(0);
      const found = {};
      if (planes) {
        for (let i = 0; i < PIXELS; i++) {
          rank(planes.votes, i, found);
          counts[Math.min(found.support, SUPPORT.length - 1)]++;
        }
      }
      const last = Math.min(candidatesOf(frame).length, SUPPORT.length - 1);
      return swatches(
        SUPPORT.slice(1, last + 1).map((colour, k) => ({
          colour, amount: planes ? percent(counts[k + 1] / PIXELS) : "",
          label: `${k + 1}${k + 1 === last && candidatesOf(frame).length > last ? " or more" : ""} candidate${k ? "s" : ""}`,
        })),
        "How many candidates a pixel was made of: those with a vote above zero.",
      );
    },
  };

  const margin = {
    id: "margin", label: () => "Confidence (vote margin)", group: "Maps", available: hasVotes, needs: () => ["votes", "result"],
    draw(frame, planes, options, out) {
      const found = {};
      overlay(out, planes, options, (i, colour) => {
        rank(planes.votes, i, found);
        [colour[0], colour[1], colour[2]] = manifest.viridis[Math.min(255, Math.round(found.margin * 255))];
      });
    },
    legend: () => ({
      ramp: { stops: manifest.viridis, ticks: [[0, "0, a tie"], [0.5, "0.5"], [1, "1, one alone"]] },
      note: "The vote's margin: the largest share of a pixel minus the second.",
    }),
  };

  const agreement = {
    id: "agreement", label: () => "Confidence (agreement)", group: "Maps",
    available: (frame) => frame.planes.includes("confidence"), needs: () => ["confidence", "result"],
    draw(frame, planes, options, out) {
      overlay(out, planes, options, (i, colour) => {
        [colour[0], colour[1], colour[2]] = manifest.viridis[Math.min(255, Math.max(0, Math.round(value(planes.confidence, i, 0) * 255)))];
      });
    },
    legend: () => ({
      ramp: { stops: manifest.viridis, ticks: [[0, "0"], [0.5, "0.5"], [1, "1"]] },
      note: "The layer confidence.Y: how far the chosen candidates agree, 0 where every exposure clips.",
    }),
  };

  function luminanceView(id, label, plane) {
    return {
      id, label: () => label, group: "Maps", available: (frame) => frame.planes.includes(plane),
      needs: () => (plane === "result" ? ["result"] : [plane, "result"]),
      draw(frame, planes, options, out) {
        const light = luminances(planes[plane]);
        overlay(out, { result: planes.result || planes[plane] }, options, (i, colour) => {
          [colour[0], colour[1], colour[2]] = manifest.viridis[C.stopsIndex(light[i])];
        });
      },
      legend: () => ({
        ramp: { stops: manifest.viridis, ticks: [0, 3, 6, 9, 12].map((s) => [s / C.STOPS, C.ev(s - C.STOPS)]) },
        note: `Luminance in stops. 0 EV is 1.0. ${manifest.scale || ""}.`,
      }),
    };
  }

  /** Input frames of a window, one of each exposure, the nearest in time: [[exposure, place]] from short to long. */
  function nearest(frame) {
    const centre = (frame.window.length - 1) / 2;
    const found = new Map();
    frame.exposures.forEach((exposure, j) => {
      const other = found.get(exposure);
      if (other === undefined || Math.abs(j - centre) < Math.abs(other - centre)) found.set(exposure, j);
    });
    return [...found].sort((a, b) => a[0] - b[0]);
  }

  const clipping = {
    id: "clipping", label: () => "Clipping", group: "Maps",
    available: (frame) => Boolean(frame.window) && frame.planes.includes("window0"),
    needs: (frame) => [...nearest(frame).map(([, j]) => `window${j}`), "result"],
    draw(frame, planes, options, out) {
      const exposures = nearest(frame).map(([, j]) => planes[`window${j}`]);
      const n = exposures.length;
      const grey = C.radianceBytes(planes.result, options.ev);
      const result = planes.result;
      overlay(out, planes, { ...options, opacity: 1 }, (i, colour) => {
        let clipped = 0;
        let black = 0;
        for (const plane of exposures) {
          const most = Math.max(value(plane, i, 0), value(plane, i, 1), value(plane, i, 2));
          if (most >= manifest.clipped) clipped++;
          if (most <= manifest.black) black++;
        }
        let mark = null;
        if (clipped === n) mark = CLIP_ALL;
        else if (clipped > 0) mark = CLIP_SOME[Math.min(n - 1 - clipped, CLIP_SOME.length - 1)];
        else if (black === n) mark = BLACK_ALL;
        const y = 0.55 * grey[result.codes[i * result.stride + result.pitch] & 0xffff];
        const a = mark ? options.opacity : 0;
        for (let c = 0; c < 3; c++) colour[c] = mark ? a * mark[c] + (1 - a) * y : y;
      });
    },
    legend(frame) {
      const list = nearest(frame);
      const n = list.length;
      const rows = [{ colour: CLIP_ALL, label: "every exposure clips: the value is a lower bound" }];
      for (let k = 0; k < n - 1; k++) {
        const left = k + 1;
        rows.push({
          colour: CLIP_SOME[Math.min(k, CLIP_SOME.length - 1)],
          label: left === 1 ? "only the shortest does not clip" : `the ${left} shortest do not clip`,
        });
      }
      rows.push({ colour: BLACK_ALL, label: "black in every exposure" });
      for (const [exposure, j] of list) {
        const numbers = manifest.inputs?.[frame.window[j]];
        if (numbers) rows.push({ label: `Frame ${frame.window[j]}, ${C.ev(Math.log2(exposure))}`, amount: `${percent(numbers.clipped)} clipped, ${percent(numbers.black)} black` });
      }
      return swatches(rows, `Clipped: a channel at ${manifest.clipped} of its range or above. Frames: the nearest of each exposure.`);
    },
  };

  function tone(v) {
    return Math.log1p(MU * Math.max(0, v)) / Math.log1p(MU);
  }

  /** |T(a) - T(b)|, the mean of the channels, on a scale up to 0.1. */
  function differenceView(id, label, a, b, note) {
    const TOP = 0.1;
    return {
      id, label: () => label, group: "Differences", needs: () => [a, b],
      available: (frame) => frame.planes.includes(a) && frame.planes.includes(b),
      draw(frame, planes, options, out) {
        overlay(out, { result: planes[a] }, options, (i, colour) => {
          const d = difference(planes[a], planes[b], i);
          [colour[0], colour[1], colour[2]] = manifest.viridis[Math.min(255, Math.round((d / TOP) * 255))];
        });
      },
      legend: () => ({
        ramp: { stops: manifest.viridis, ticks: [[0, "0"], [0.25, "0.025"], [0.5, "0.05"], [0.75, "0.075"], [1, "0.1"]] },
        note,
      }),
    };
  }

  function difference(a, b, pixel) {
    let sum = 0;
    for (let c = 0; c < 3; c++) sum += Math.abs(tone(value(a, pixel, c)) - tone(value(b, pixel, c)));
    return sum / 3;
  }

  // --- the list -------------------------------------------------------------------------------------------------

  const all = [];
  if (manifest.kind === "compare") {
    for (const run of manifest.runs) all.push(radianceView(run.id, run.name, run.id, "Runs"));
    if (manifest.truth) all.push(radianceView("truth", "Ground truth", "truth", "Runs"));
    for (const run of manifest.runs) {
      if (manifest.truth) {
        all.push(differenceView(`error-${run.id}`, `Error of ${run.name}`, run.id, "truth",
          "Distance to the ground truth in the T domain, |T(H) − T(H*)|, mean of the channels."));
      }
    }
    manifest.runs.forEach((a, i) => {
      for (const b of manifest.runs.slice(i + 1)) {
        all.push(differenceView(`difference-${a.id}-${b.id}`, `${a.name} against ${b.name}`, a.id, b.id,
          "Distance of the two in the T domain, mean of the channels."));
      }
    });
    for (const run of manifest.runs) all.push(luminanceView(`luminance-${run.id}`, `Luminance of ${run.name}`, run.id));
  } else {
    all.push(radianceView("result", "HDR result", "result", "Result"));
    const widest = Math.max(0, ...manifest.frames.map((frame) => frame.window?.length ?? 0));
    for (let j = 0; j < widest; j++) all.push(windowView(j));
    const most = Math.max(0, ...(manifest.candidateSets || []).map((set) => set.length));
    for (let k = 0; k < most; k++) all.push(candidateView(k));
    all.push(votes, support, margin, agreement, luminanceView("luminance", "Luminance", "result"), clipping);
  }
  const list = all.filter((view) => manifest.frames.some((frame) => view.available(frame)));
  const byId = new Map(list.map((view) => [view.id, view]));

  return { list, byId, value, rank, candidatesOf, nearest, difference, percent, WIDTH, HEIGHT, GAIN };
})();
