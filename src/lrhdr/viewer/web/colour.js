// From values to bytes of the screen. Curves and palettes are those of the Python package.
"use strict";

LRHDR.colour = (() => {
  const WHITE = 8; // of Reinhard's extended operator, as in tonemap.py
  const LUMINANCE = [0.2126, 0.7152, 0.0722];
  const STOPS = 12; // of the false-colour scale, as in pictures.py
  const GAMMA = 2.2;

  function encode(y) {
    return y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055;
  }

  /** sRGB byte of linear radiance at a gain. */
  function display(value, gain) {
    const x = Math.max(0, value) * gain;
    const y = Math.min(1, (x * (1 + x / (WHITE * WHITE))) / (1 + x));
    return Math.floor(encode(y) * 255 + 0.5);
  }

  const cache = new Map();

  function remember(key, make) {
    let found = cache.get(key);
    if (!found) {
      if (cache.size > 48) cache.clear();
      found = make();
      cache.set(key, found);
    }
    return found;
  }

  /** Byte of each code of a plane of radiance. */
  function radianceBytes(plane, ev) {
    return remember(`r ${plane.coding} ${plane.step} ${ev}`, () =>
      Uint8Array.from(plane.table, (v) => (Number.isFinite(v) ? display(v, 2 ** ev) : v > 0 ? 255 : 0)),
    );
  }

  /** Byte of each code of a gamma-encoded frame: as recorded, or brought to the display exposure. */
  function frameBytes(plane, exposure, gain, ev, matched) {
    if (!matched) {
      return remember(`c ${plane.step}`, () =>
        Uint8Array.from(plane.table, (v) => Math.min(255, Math.max(0, Math.floor(v * 255 + 0.5)))),
      );
    }
    return remember(`m ${plane.step} ${exposure} ${gain} ${ev}`, () =>
      Uint8Array.from(plane.table, (v) => display(frameRadiance(v, exposure, gain), 2 ** ev)),
    );
  }

  /** Γ(L) in the scale of the result. */
  function frameRadiance(value, exposure, gain) {
    return (Math.min(1, Math.max(0, value)) ** GAMMA / exposure) * gain;
  }

  /** Encoding of the mix of votes: a power of 2.2 stands for the sRGB curve, as in pictures.py. */
  const MIX = Uint8Array.from({ length: 4097 }, (_, i) => Math.floor((i / 4096) ** (1 / GAMMA) * 255 + 0.5));

  function palette(candidates) {
    return candidates.map((entry) => entry.colour.map((c) => (c / 255) ** GAMMA));
  }

  function css(colour) {
    return `rgb(${colour.join(" ")})`;
  }

  /** Position of a luminance on the false-colour scale, 0..255. */
  function stopsIndex(luminance) {
    const stops = Math.log2(Math.min(1, Math.max(2 ** -STOPS, luminance)));
    return Math.min(255, Math.floor((1 + stops / STOPS) * 255 + 0.5));
  }

  function ev(value) {
    const rounded = Math.round(value * 100) / 100;
    return rounded === 0 ? "0 EV" : `${rounded > 0 ? "+" : "\u2212"}${Math.abs(rounded)} EV`;
  }

  return { LUMINANCE, STOPS, MIX, radianceBytes, frameBytes, frameRadiance, palette, css, stopsIndex, ev, display };
})();
