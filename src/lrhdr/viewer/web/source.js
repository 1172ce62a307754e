// Where pixels come from: scripts beside the page when it was opened from disk, requests when it is served.
//
// LRHDR.manifest (made by manifest.py and its callers):
//   kind "report" | "view" | "compare"; title, subtitle, size [height, width], scale, gain, rate, displayExposure
//   frames [{index, exposure, window, exposures, set, planes, shares, file}], inputs {index: {clipped, black}}
//   candidateSets [[{name, family, colour}]], runs [{id, name}], precision, series {frames, rows}, settings, versions
"use strict";

LRHDR.Source = class {
  constructor(manifest) {
    this.manifest = manifest;
    this.served = manifest.served === true;
    this.packs = new Map(); // name to promise of a pack; the oldest use comes first
    this.waiting = new Map();
    this.limit = this.served ? 48 : 80;
  }

  static name(kind, index) {
    return `${kind}-${String(index).padStart(6, "0")}`;
  }

  /** A pack by name, loaded once and kept for a while. */
  pack(name) {
    let found = this.packs.get(name);
    if (found) this.packs.delete(name);
    else {
      found = (this.served ? this.request(name) : this.script(name)).then(LRHDR.codec.parse);
      found.catch(() => this.packs.delete(name));
    }
    this.packs.set(name, found);
    while (this.packs.size > this.limit) this.packs.delete(this.packs.keys().next().value);
    return found;
  }

  async request(name) {
    const answer = await fetch(`data/${name}`);
    if (!answer.ok) throw new Error((await answer.text()) || `${name}: ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  script(name) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      this.waiting.set(name, resolve);
      element.onload = () => {
        element.remove();
        if (this.waiting.delete(name)) reject(new Error(`data/${name}.js holds something else`));
      };
      element.onerror = () => {
        element.remove();
        this.waiting.delete(name);
        reject(new Error(`data/${name}.js is missing`));
      };
      element.src = `data/${name}.js`;
      document.head.append(element);
    });
  }

  /** Called by the data scripts. */
  deliver(name, size, text) {
    const resolve = this.waiting.get(name);
    this.waiting.delete(name);
    if (resolve) resolve(LRHDR.codec.unwrap(text, size));
  }

  /** Planes of a frame by name; "window2" is the input frame at that place of the window. */
  async planes(position, names) {
    const frame = this.manifest.frames[position];
    const found = await Promise.all(
      names.map(async (name) => {
        const match = /^window(\d+)$/.exec(name);
        if (match) return LRHDR.codec.decode(await this.pack(LRHDR.Source.name("input", frame.window[match[1]])), "input");
        // A server gives planes one by one, because together they would be heavy.
        return LRHDR.codec.decode(await this.pack(this.served ? `${name}-${frame.index}` : LRHDR.Source.name("frame", frame.index)), name);
      }),
    );
    return Object.fromEntries(names.map((name, i) => [name, found[i]]));
  }
};

LRHDR.deliver = (name, size, text) => LRHDR.source.deliver(name, size, text);
