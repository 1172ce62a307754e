// Packs of planes: the twin of packing.py, which says how they are made.
"use strict";
var LRHDR = window.LRHDR || (window.LRHDR = {});

LRHDR.codec = (() => {
  const LOG_GAIN = 5000;
  const CHARACTER_BASE = 0x0100;

  /** Bytes of a string that holds 15 bits per character. */
  function unwrap(text, size) {
    const out = new Uint8Array(size);
    let buffer = 0;
    let bits = 0;
    let at = 0;
    for (let i = 0; i < text.length && at < size; i++) {
      buffer = (buffer << 15) | (text.charCodeAt(i) - CHARACTER_BASE);
      bits += 15;
      while (bits >= 8 && at < size) {
        bits -= 8;
        out[at++] = (buffer >> bits) & 255;
      }
      buffer &= (1 << bits) - 1;
    }
    if (at !== size) throw new Error("data file is incomplete");
    return out;
  }

  /** Header of a pack, and where its planes lie. */
  function parse(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = view.getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
    let at = 4 + length;
    const entries = new Map();
    for (const entry of header.planes) {
      entries.set(entry.name, { ...entry, data: bytes.subarray(at, at + entry.bytes) });
      at += entry.bytes;
    }
    if (at > bytes.byteLength) throw new Error("data file is incomplete");
    return { about: header.about, entries, decoded: new Map() };
  }

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  const tables = new Map();

  /** Value of each of the 65536 codes (as unsigned). */
  function table(coding, step) {
    const key = `${coding} ${step}`;
    let values = tables.get(key);
    if (values) return values;
    values = new Float32Array(65536);
    for (let u = 0; u < 65536; u++) {
      const code = u < 32768 ? u : u - 65536;
      if (coding === "half") values[u] = half(u);
      else if (coding === "log") values[u] = (Math.sign(code) * Math.expm1(Math.abs(code) * step)) / LOG_GAIN;
      else if (coding === "code") values[u] = (code * step) / 255;
      else values[u] = code * step;
    }
    tables.set(key, values);
    return values;
  }

  function half(bits) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const sign = bits & 0x8000 ? -1 : 1;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  /** Codes of channels one after the other (C, H, W), out of what the predictor left. */
  function restore(raw, channels, height, width, high) {
    const size = channels * height * width;
    const x = new Int16Array(size);
    for (let c = 0; c < channels; c++) {
      const start = c * height * width;
      for (let row = 0; row < height; row++) {
        let i = start + row * width;
        for (let column = 0; column < width; column++, i++) {
          const zigzag = high ? raw[i] | (raw[size + i] << 8) : raw[i];
          const residual = (zigzag >>> 1) ^ -(zigzag & 1);
          const left = column ? x[i - 1] : row ? x[i - width] : 0;
          const above = row ? x[i - width] : left;
          const corner = row && column ? x[i - width - 1] : column ? left : above;
          const least = left < above ? left : above;
          const most = left < above ? above : left;
          x[i] = (corner >= most ? least : corner <= least ? most : left + above - corner) + residual;
        }
      }
    }
    if (channels === 3) {
      const n = height * width;
      for (let i = 0; i < n; i++) {
        const green = x[i];
        x[i] = green + x[n + i];
        x[n + i] = green;
        x[2 * n + i] += green;
      }
    }
    return x;
  }

  /** Add the block means of a finer plane's codes. */
  function addBase(codes, base, entry) {
    const [height, width, channels] = entry.shape;
    const side = entry.reduce / base.reduce;
    const divisor = side * side * Math.round(entry.step / base.step);
    const source = base.codes;
    for (let c = 0; c < channels; c++) {
      const plane = c * base.height * base.width;
      for (let row = 0, i = c * height * width; row < height; row++) {
        for (let column = 0; column < width; column++, i++) {
          let sum = 0;
          for (let dy = 0; dy < side; dy++) {
            const y = Math.min(base.height - 1, row * side + dy);
            for (let dx = 0; dx < side; dx++) {
              sum += source[plane + y * base.width + Math.min(base.width - 1, column * side + dx)];
            }
          }
          codes[i] += Math.floor(sum / divisor);
        }
      }
    }
  }

  /**
   * A plane of a pack: value of channel c at pixel i is
   * table[codes[i * stride + c * pitch] & 0xffff].
   */
  function decode(pack, name) {
    let found = pack.decoded.get(name);
    if (!found) {
      found = decodeEntry(pack, name);
      pack.decoded.set(name, found);
    }
    return found;
  }

  async function decodeEntry(pack, name) {
    const entry = pack.entries.get(name);
    if (!entry) throw new Error(`no plane ${name}`);
    const [height, width, channels] = entry.shape;
    const plane = { name, height, width, channels, reduce: entry.reduce, coding: entry.coding, step: entry.step };
    plane.table = table(entry.coding, entry.step);
    if (entry.coding === "half") {
      const copy = entry.data.slice(); // 16-bit views need an even offset
      return { ...plane, codes: new Int16Array(copy.buffer), stride: channels, pitch: 1 };
    }
    const codes = restore(await inflate(entry.data), channels, height, width, entry.high);
    if (entry.base) addBase(codes, await decode(pack, entry.base), entry);
    return { ...plane, codes, stride: 1, pitch: height * width };
  }

  return { unwrap, parse, decode };
})();
