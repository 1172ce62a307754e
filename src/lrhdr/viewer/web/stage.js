// The picture: panes that share one zoom, the divider, the pixel cursor. It knows nothing of frames and views.
"use strict";

LRHDR.Stage = class {
  /**
   * @param {HTMLElement} root the stage
   * @param {object} on what to call
   */
  constructor(root, width, height, on) {
    this.root = root;
    this.width = width;
    this.height = height;
    this.on = on;
    this.holder = root.querySelector("#panes");
    this.divider = root.querySelector("#divider");
    this.zoomLabel = root.querySelector("#zoom");
    this.panes = [];
    this.layout = "";
    this.split = 50;
    this.scale = 0; // 0: fit
    this.x = 0;
    this.y = 0;
    this.pointers = new Map();
    this.listen();
    new ResizeObserver(() => this.place()).observe(root);
  }

  /** Arrange panes: "split" lays two over each other, anything else sets them side by side. */
  arrange(layout, count) {
    if (this.layout === layout && this.panes.length === count) return;
    this.layout = layout;
    this.root.dataset.layout = layout;
    this.root.dataset.count = count;
    this.holder.replaceChildren();
    this.panes = Array.from({ length: count }, () => {
      const root = document.createElement("div");
      root.className = "pane";
      const canvas = document.createElement("canvas");
      canvas.width = this.width;
      canvas.height = this.height;
      const tag = document.createElement("span");
      tag.className = "tag";
      const cross = document.createElement("div");
      cross.className = "cross";
      cross.hidden = true;
      root.append(canvas, cross, tag);
      this.holder.append(root);
      const context = canvas.getContext("2d", { alpha: false });
      return { root, canvas, context, tag, cross, image: context.createImageData(this.width, this.height) };
    });
    const across = layout === "split" ? 1 : count > 3 ? Math.ceil(count / 2) : count;
    const down = layout === "split" ? 1 : Math.ceil(count / across);
    this.root.style.setProperty("--across", across);
    this.root.style.setProperty("--ratio", (across * this.width) / (down * this.height));
    this.divider.hidden = layout !== "split";
    this.place();
  }

  /** Size of a pane in CSS pixels. */
  paneSize() {
    const pane = this.panes[0];
    return pane ? [pane.root.clientWidth, pane.root.clientHeight] : [1, 1];
  }

  fit() {
    const [w, h] = this.paneSize();
    return Math.min(w / this.width, h / this.height) || 1;
  }

  /** Put canvases, divider and cursor where the state says. */
  place() {
    if (!this.panes.length) return;
    const [w, h] = this.paneSize();
    const scale = this.scale || this.fit();
    const limit = (offset, room, size) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, offset)));
    this.x = limit(this.x, w, this.width * scale);
    this.y = limit(this.y, h, this.height * scale);
    this.panes.forEach((pane, i) => {
      for (const canvas of pane.root.querySelectorAll("canvas")) {
        canvas.style.transform = `translate(${this.x}px, ${this.y}px) scale(${scale})`;
        canvas.style.imageRendering = scale * devicePixelRatio >= 1.5 ? "pixelated" : "auto";
      }
      pane.root.style.clipPath =
        this.layout !== "split" ? "" : i === 0 ? `inset(0 ${100 - this.split}% 0 0)` : `inset(0 0 0 ${this.split}%)`;
      const probe = this.probe;
      pane.cross.hidden = !probe;
      if (probe) {
        pane.cross.style.transform = `translate(${this.x + probe.x * scale}px, ${this.y + probe.y * scale}px)`;
        pane.cross.style.width = pane.cross.style.height = `${Math.max(1, scale)}px`;
      }
    });
    this.divider.style.left = `${this.split}%`;
    this.divider.setAttribute("aria-valuenow", Math.round(this.split));
    this.divider.setAttribute("aria-valuetext", `${Math.round(this.split)} % left`);
    this.zoomLabel.textContent = `${Math.round(scale * 100)} %`;
    this.on.zoom(scale);
  }

  setSplit(value) {
    this.split = Math.min(100, Math.max(0, value));
    this.place();
  }

  setProbe(probe) {
    this.probe = probe;
    this.place();
  }

  /** Zoom so that the point (px, py) of a pane stays where it is. */
  zoomTo(scale, px, py) {
    const [w, h] = this.paneSize();
    const at = [px ?? w / 2, py ?? h / 2];
    const before = this.scale || this.fit();
    const fit = this.fit();
    const after = Math.min(32, Math.max(Math.min(fit, 1), scale));
    this.x = at[0] - ((at[0] - this.x) * after) / before;
    this.y = at[1] - ((at[1] - this.y) * after) / before;
    this.scale = Math.abs(after - fit) < 1e-6 ? 0 : after;
    this.place();
  }

  zoomBy(factor, px, py) {
    this.zoomTo((this.scale || this.fit()) * factor, px, py);
  }

  zoomFit() {
    this.scale = 0;
    this.place();
  }

  /** Pixel of the picture under a pointer, and the point within its pane. */
  locate(event) {
    for (const pane of this.panes) {
      const box = pane.root.getBoundingClientRect();
      const px = event.clientX - box.left;
      const py = event.clientY - box.top;
      if (px < 0 || py < 0 || px >= box.width || py >= box.height) continue;
      const scale = this.scale || this.fit();
      const x = Math.floor((px - this.x) / scale);
      const y = Math.floor((py - this.y) / scale);
      return { px, py, x, y, inside: x >= 0 && y >= 0 && x < this.width && y < this.height };
    }
    return null;
  }

  listen() {
    const root = this.root;
    root.addEventListener("wheel", (event) => {
      // A page that cannot be scrolled past a picture is a trap: at rest, the wheel zooms only with a key held.
      if (!this.scale && !event.ctrlKey && !event.metaKey && event.deltaY > 0) return;
      event.preventDefault();
      const at = this.locate(event);
      if (at) this.zoomBy(Math.exp(-event.deltaY / 400), at.px, at.py);
    }, { passive: false });

    root.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      const onDivider = this.divider.contains(event.target);
      this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, moved: 0, onDivider });
      root.setPointerCapture(event.pointerId);
      (onDivider ? this.divider : root).focus({ preventScroll: true });
      event.preventDefault();
    });

    root.addEventListener("pointermove", (event) => {
      const held = this.pointers.get(event.pointerId);
      if (!held) {
        if (event.pointerType === "mouse") this.on.probe(this.locate(event), false);
        return;
      }
      const dx = event.clientX - held.x;
      const dy = event.clientY - held.y;
      if (held.onDivider) {
        const box = this.holder.getBoundingClientRect();
        this.setSplit(((event.clientX - box.left) / box.width) * 100);
        this.on.split(this.split);
      } else if (this.pointers.size === 2) {
        const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
        const before = Math.hypot(held.x - other.x, held.y - other.y);
        const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
        const middle = this.locate({ clientX: (event.clientX + other.x) / 2, clientY: (event.clientY + other.y) / 2 });
        if (before > 0 && middle) this.zoomBy(after / before, middle.px, middle.py);
        held.moved += 10;
      } else {
        this.x += dx;
        this.y += dy;
        this.place();
      }
      held.moved += Math.abs(dx) + Math.abs(dy);
      held.x = event.clientX;
      held.y = event.clientY;
    });

    const release = (event) => {
      const held = this.pointers.get(event.pointerId);
      this.pointers.delete(event.pointerId);
      if (event.type === "pointerup" && held && !held.onDivider && held.moved < 5) this.on.probe(this.locate(event), true);
    };
    root.addEventListener("pointerup", release);
    root.addEventListener("pointercancel", release);
    root.addEventListener("pointerleave", () => this.pointers.size || this.on.probe(null, false));
    root.addEventListener("dblclick", (event) => {
      if (this.divider.contains(event.target)) return;
      const at = this.locate(event);
      if (this.scale || !at) this.zoomFit();
      else this.zoomTo(Math.max(4, this.fit() * 4), at.px, at.py);
    });

    this.divider.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 2;
      const to = { ArrowLeft: this.split - step, ArrowRight: this.split + step, ArrowDown: this.split - step, ArrowUp: this.split + step, Home: 0, End: 100 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.setSplit(to);
      this.on.split(this.split);
    });
  }
};
