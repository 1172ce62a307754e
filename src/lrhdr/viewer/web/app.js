// The page's state and what changes it: frames, views, exposure, keys, player.
"use strict";

(() => {
  const manifest = LRHDR.manifest;
  const V = LRHDR.views;
  const C = LRHDR.colour;
  const $ = (id) => document.getElementById(id);
  const source = (LRHDR.source = new LRHDR.Source(manifest));
  const compare = manifest.kind === "compare";

  const state = {
    position: 0,
    left: V.list[0].id,
    right: V.list[0].id,
    layout: "split",
    ev: manifest.displayExposure,
    matched: false,
    opacity: 1,
    probe: null, // {x, y, kept}
    playing: false,
  };
  LRHDR.state = state;

  const stage = new LRHDR.Stage($("stage"), V.WIDTH, V.HEIGHT, {
    probe: (at, keep) => {
      if (state.probe?.kept && !keep) return;
      setProbe(at?.inside ? { x: at.x, y: at.y, kept: keep } : null);
    },
    split: () => {},
    zoom: () => {},
  });
  LRHDR.stage = stage;

  const frame = () => manifest.frames[state.position];
  const viewOf = (id) => {
    const view = V.byId.get(id);
    return view && view.available(frame()) ? view : V.list.find((v) => v.available(frame()));
  };

  /** Ids of the views on show, one per pane. */
  function shown() {
    if (state.layout === "single") return [state.right];
    if (state.layout === "all") return V.list.filter((view) => view.group === "Runs").map((view) => view.id);
    return [state.left, state.right];
  }

  // --- drawing --------------------------------------------------------------------------------------------------

  let ticket = 0;

  async function draw() {
    const mine = ++ticket;
    const now = frame();
    const ids = shown();
    const views = ids.map(viewOf);
    const needs = new Set(views.flatMap((view) => view.needs(now)));
    if (state.probe && !state.playing) for (const name of LRHDR.readout.needs(now)) needs.add(name);
    let planes;
    try {
      planes = await source.planes(state.position, [...needs]);
    } catch (error) {
      if (mine === ticket) fail(error);
      return false;
    }
    if (mine !== ticket) return false;
    $("failure").hidden = true;
    stage.arrange(state.layout, views.length);
    const options = { ev: state.ev, matched: state.matched, opacity: state.opacity };
    views.forEach((view, i) => {
      const pane = stage.panes[i];
      view.draw(now, planes, options, pane.image.data);
      pane.context.putImageData(pane.image, 0, 0);
      pane.tag.textContent = view.label(now);
      pane.view = view;
      LRHDR.hdr?.draw(pane, view.light?.(now, planes, options), state.ev);
    });
    describe(views, planes);
    readout(planes);
    document.documentElement.dataset.drawn = `${now.index} ${ids.join(" ")} ${state.ev}`;
    return true;
  }

  function fail(error) {
    $("failure").hidden = false;
    $("failure").textContent = `This frame cannot be shown: ${error.message}`;
    document.documentElement.dataset.drawn = "failed";
    stop();
  }

  function describe(views, planes) {
    const now = frame();
    const legend = $("legend");
    const described = views[views.length - 1].image && !views[0].image ? views[0] : views[views.length - 1];
    const found = described.legend(now, planes);
    const title = document.createElement("h2");
    title.textContent = described.label(now);
    const parts = [title];
    if (found.rows) {
      const list = document.createElement("ul");
      list.className = "legend";
      let family = "";
      for (const entry of found.rows) {
        if (entry.family && entry.family !== family) {
          family = entry.family;
          const heading = document.createElement("li");
          heading.className = "family";
          heading.textContent = { input: "Input frames", interpolated: "Interpolated", calibrated: "Calibrated by the network" }[family] || "Made";
          list.append(heading);
        }
        const item = document.createElement("li");
        const mark = document.createElement("i");
        mark.className = "swatch";
        if (entry.colour) mark.style.background = C.css(entry.colour);
        else mark.style.visibility = "hidden";
        const label = document.createElement("span");
        label.textContent = entry.label;
        const amount = document.createElement("span");
        amount.className = "number";
        amount.textContent = entry.amount || "";
        item.append(mark, label, amount);
        list.append(item);
      }
      parts.push(list);
    }
    if (found.ramp) {
      const ramp = document.createElement("div");
      ramp.className = "ramp";
      ramp.style.background = `linear-gradient(to right, ${found.ramp.stops.filter((_, i) => i % 15 === 0).map(C.css).join(",")})`;
      const scale = document.createElement("div");
      scale.className = "scale";
      found.ramp.ticks.forEach(([at, text], i) => {
        const tick = document.createElement("span");
        tick.textContent = text;
        tick.style.left = `${100 * at}%`;
        tick.className = i === 0 ? "first" : i === found.ramp.ticks.length - 1 ? "last" : "";
        scale.append(tick);
      });
      parts.push(ramp, scale);
    }
    if (found.note) {
      const note = document.createElement("p");
      note.className = "note";
      note.textContent = found.note;
      parts.push(note);
    }
    legend.replaceChildren(...parts);
    $("opacity-row").hidden = !views.some((view) => !view.image);
    $("matched").closest("label").hidden = !views.some((view) => view.id.startsWith("input"));
  }

  function readout(planes) {
    const probe = state.probe;
    const table = $("probe-table");
    table.hidden = !probe || state.playing;
    $("probe-note").hidden = table.hidden;
    $("probe-place").textContent = probe ? `${probe.x}, ${probe.y}` : "";
    $("probe-text").hidden = Boolean(probe);
    if (!table.hidden) {
      LRHDR.readout.show(table, frame(), planes, probe.x, probe.y);
      $("probe-note").textContent = LRHDR.readout.note();
    }
  }

  // --- changes --------------------------------------------------------------------------------------------------

  function options(select, chosen) {
    const groups = new Map();
    for (const view of V.list) {
      if (!view.available(frame())) continue;
      if (!groups.has(view.group)) groups.set(view.group, []);
      groups.get(view.group).push(view);
    }
    const children = [...groups].map(([name, views]) => {
      const group = document.createElement("optgroup");
      group.label = name;
      for (const view of views) group.append(new Option(view.label(frame()), view.id, false, view.id === chosen));
      return group;
    });
    select.replaceChildren(...children);
    select.value = viewOf(chosen).id;
  }

  function refresh() {
    const now = frame();
    options($("left"), state.left);
    options($("right"), state.right);
    $("frame").value = state.position;
    const place = manifest.sampled ? `${now.index} of ${manifest.total} (sampled)` : `${now.index}`;
    const exposure = now.exposure && !compare ? `, ${C.ev(Math.log2(now.exposure))}` : "";
    $("frame-label").textContent = `Frame ${place}${exposure}`;
    $("frame").setAttribute("aria-valuetext", $("frame-label").textContent);
    $("exposure").value = state.ev;
    $("exposure-label").textContent = C.ev(state.ev);
    $("exposure").setAttribute("aria-valuetext", C.ev(state.ev));
    $("opacity").value = Math.round(100 * state.opacity);
    $("opacity-label").textContent = `${Math.round(100 * state.opacity)} %`;
    $("matched").checked = state.matched;
    $("play").classList.toggle("playing", state.playing);
    $("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
    for (const button of document.querySelectorAll("[data-layout]:is(button)")) {
      button.setAttribute("aria-pressed", String(button.dataset.layout === state.layout));
    }
    document.body.dataset.layout = state.layout;
    [...$("ticks").children].forEach((tick, i) => tick.classList.toggle("now", i === state.position));
    LRHDR.plots.cursor(now.index);
    return draw();
  }

  function set(changes) {
    Object.assign(state, changes);
    return refresh();
  }

  function go(position) {
    const last = manifest.frames.length - 1;
    return set({ position: Math.min(last, Math.max(0, position)) });
  }

  function setExposure(ev) {
    const bounded = Math.min(16, Math.max(-10, ev));
    return set({ ev: bounded });
  }

  function setProbe(probe) {
    state.probe = probe;
    stage.setProbe(probe);
    document.body.classList.toggle("kept", Boolean(probe?.kept));
    return draw();
  }

  function moveProbe(dx, dy) {
    const from = state.probe || { x: Math.floor(V.WIDTH / 2), y: Math.floor(V.HEIGHT / 2) };
    const start = state.probe ? [dx, dy] : [0, 0];
    return setProbe({
      x: Math.min(V.WIDTH - 1, Math.max(0, from.x + start[0])),
      y: Math.min(V.HEIGHT - 1, Math.max(0, from.y + start[1])),
      kept: true,
    });
  }

  // --- player ---------------------------------------------------------------------------------------------------

  async function play() {
    if (manifest.frames.length < 2) return;
    state.playing = true;
    const each = 1000 / (manifest.rate || 24);
    let due = performance.now();
    while (state.playing) {
      const next = (state.position + 1) % manifest.frames.length;
      // A hidden page gets no animation frames: wait for them, so that nothing plays unseen.
      await new Promise(requestAnimationFrame);
      if (performance.now() < due) continue;
      due = Math.max(due + each, performance.now() - each);
      if (state.playing) await set({ position: next });
    }
  }

  function stop() {
    if (!state.playing) return;
    state.playing = false;
    refresh();
  }

  const toggle = () => (state.playing ? stop() : play());

  // --- wiring ---------------------------------------------------------------------------------------------------

  function swap() {
    return set({ left: state.right, right: state.left });
  }

  function nextLayout() {
    const names = [...document.querySelectorAll("button[data-layout]:not([hidden])")].map((b) => b.dataset.layout);
    return set({ layout: names[(names.indexOf(state.layout) + 1) % names.length] });
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    const target = event.target;
    const typing = target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && target.type === "range");
    const onStage = target === $("stage");
    const step = event.shiftKey ? 10 : 1;
    const arrows = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    let done = true;
    if (onStage && arrows[event.key]) moveProbe(...arrows[event.key]);
    else if (event.key === "Escape" && state.probe) setProbe(null);
    else if (event.key === " " && !(target instanceof HTMLButtonElement) && !(target instanceof HTMLInputElement && target.type === "checkbox") && target.tagName !== "SUMMARY") toggle();
    else if (typing && (arrows[event.key] || ["Home", "End", "PageUp", "PageDown"].includes(event.key))) done = false;
    else if (target instanceof HTMLSelectElement) done = false;
    else if (event.key === "ArrowLeft") { stop(); go(state.position - 1); }
    else if (event.key === "ArrowRight") { stop(); go(state.position + 1); }
    else if (event.key === "Home" && !target.closest(".scroll")) { stop(); go(0); }
    else if (event.key === "End" && !target.closest(".scroll")) { stop(); go(manifest.frames.length - 1); }
    else if (event.key === "e") setExposure(state.ev + 0.5);
    else if (event.key === "E") setExposure(state.ev - 0.5);
    else if (event.key === "v" && V.byId.has("votes")) set({ right: state.right === "votes" ? "result" : "votes" });
    else if (event.key === "x") swap();
    else if (event.key === "s") nextLayout();
    else if (event.key === "+" || event.key === "=") stage.zoomBy(2);
    else if (event.key === "-") stage.zoomBy(0.5);
    else if (event.key === "0") stage.zoomFit();
    else if (event.key === "?") $("help").showModal();
    else if (/^Digit[1-9]$/.test(event.code) && (event.shiftKey || /^[1-9]$/.test(event.key))) {
      const views = V.list.filter((view) => view.available(frame()));
      const view = views[Number(event.code.slice(5)) - 1];
      if (view) set({ [event.shiftKey ? "left" : "right"]: view.id });
    } else done = false;
    if (done) event.preventDefault();
  }

  function nearestPosition(index) {
    let best = 0;
    manifest.frames.forEach((f, i) => {
      if (Math.abs(f.index - index) < Math.abs(manifest.frames[best].index - index)) best = i;
    });
    return best;
  }

  function ticks() {
    const exposures = manifest.frames.map((f) => f.exposure || 1);
    const least = Math.min(...exposures);
    const most = Math.max(...exposures);
    $("ticks").replaceChildren(
      ...manifest.frames.map((f, i) => {
        const tick = document.createElement("i");
        const level = most > least ? Math.log2(exposures[i] / least) / Math.log2(most / least) : 1;
        tick.style.height = `${35 + 65 * level}%`;
        if (i && f.index !== manifest.frames[i - 1].index + 1) tick.className = "gap";
        return tick;
      }),
    );
    $("ticks").hidden = manifest.frames.length > 120;
  }

  /** Start from the address: #frame=3&left=input1&right=votes&split=30&ev=2&layout=side&pixel=10,20&zoom=4 */
  function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const changes = {};
    if (given.has("frame")) changes.position = nearestPosition(Number(given.get("frame")));
    for (const side of ["left", "right"]) if (V.byId.has(given.get(side))) changes[side] = given.get(side);
    if (["split", "side", "single", "all"].includes(given.get("layout"))) changes.layout = given.get("layout");
    if (given.has("ev") && Number.isFinite(Number(given.get("ev")))) changes.ev = Number(given.get("ev"));
    if (given.has("opacity")) changes.opacity = Math.min(1, Math.max(0, Number(given.get("opacity")) / 100)) || 0;
    if (given.has("matched")) changes.matched = given.get("matched") !== "0";
    Object.assign(state, changes);
    if (given.has("split")) stage.split = Math.min(100, Math.max(0, Number(given.get("split")) || 0));
    const [x, y] = (given.get("pixel") || "").split(",").map(Number);
    if (Number.isInteger(x) && Number.isInteger(y) && x >= 0 && y >= 0 && x < V.WIDTH && y < V.HEIGHT) {
      state.probe = { x, y, kept: true };
      stage.probe = state.probe;
    }
  }

  async function start() {
    document.title = `${manifest.title} · lrhdr`;
    $("title").textContent = manifest.title;
    $("subtitle").textContent = manifest.subtitle;
    const notices = [];
    if (manifest.sampled) notices.push(`This report shows ${manifest.frames.length} of ${manifest.total} frames, in short runs spread over the clip; the plots cover all of them.`);
    if (manifest.reduce > 1) notices.push(`Frames are reduced by ${manifest.reduce}.`);
    if (manifest.notice) notices.push(manifest.notice);
    $("notice").textContent = notices.join(" ");
    $("notice").hidden = !notices.length;
    $("frame").max = manifest.frames.length - 1;
    document.querySelector(".transport").hidden = manifest.frames.length < 2;
    const images = V.list.filter((view) => view.image);
    if (compare) {
      state.left = manifest.runs[0].id;
      state.right = (manifest.runs[1] || manifest.runs[0]).id;
      document.querySelector('[data-layout="all"]').hidden = images.length < 3;
    } else {
      const middle = manifest.frames[0].window ? `input${(manifest.frames[0].window.length - 1) / 2}` : null;
      state.left = V.byId.has(middle) ? middle : V.list.length > 1 ? V.list[1].id : "result";
      state.right = "result";
    }
    ticks();
    fromAddress();
    LRHDR.plots.comparison($("tables"));
    LRHDR.plots.build($("plots"), (index) => go(nearestPosition(index)));
    LRHDR.plots.facts($("facts"));

    $("left").addEventListener("change", (event) => set({ left: event.target.value }));
    $("right").addEventListener("change", (event) => set({ right: event.target.value }));
    $("swap").addEventListener("click", swap);
    for (const button of document.querySelectorAll("button[data-layout]")) {
      button.addEventListener("click", () => set({ layout: button.dataset.layout }));
    }
    $("frame").addEventListener("input", (event) => { stop(); go(Number(event.target.value)); });
    $("previous").addEventListener("click", () => { stop(); go(state.position - 1); });
    $("next").addEventListener("click", () => { stop(); go(state.position + 1); });
    $("play").addEventListener("click", toggle);
    $("exposure").addEventListener("input", (event) => setExposure(Number(event.target.value)));
    $("exposure-reset").addEventListener("click", () => setExposure(manifest.displayExposure));
    $("opacity").addEventListener("input", (event) => set({ opacity: Number(event.target.value) / 100 }));
    $("matched").addEventListener("change", (event) => set({ matched: event.target.checked }));
    $("help-open").addEventListener("click", () => $("help").showModal());
    document.addEventListener("keydown", keys);
    await refresh();
    await LRHDR.startHdr(draw);
  }

  LRHDR.app = { set, go, setExposure, setProbe, play, stop, draw };
  start();
})();
