// HDR output, where browser and screen offer it: a float canvas over the tone-mapped one, in extended sRGB (WebGPU).
// 1.0 after the display exposure is the screen's white; brighter values use the screen's headroom, no curve is applied.
"use strict";

LRHDR.hdr = null;

LRHDR.startHdr = async (redraw) => {
  const forced = new URLSearchParams(location.hash.slice(1)).get("hdr") === "force"; // for tests on plain screens
  const able = forced || matchMedia("(dynamic-range: high)").matches;
  if (!able || !navigator.gpu) return;
  let device;
  try {
    const adapter = await navigator.gpu.requestAdapter();
    device = await adapter?.requestDevice();
  } catch {
    return; // no usable graphics: the tone-mapped picture stays
  }
  if (!device) return;

  const encode = (v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
  const bits = new DataView(new ArrayBuffer(4));

  /** Bits of the half float nearest to a value between 0 and 65504. */
  function half(value) {
    const v = Math.min(65504, Math.max(0, value)) || 0;
    if (v < 2 ** -14) return Math.round(v * 2 ** 24);
    bits.setFloat32(0, v);
    const word = bits.getUint32(0) + 0x1000; // rounds at the 13 bits that are dropped
    return ((word >>> 13) & 0x3ff) | ((((word >>> 23) & 255) - 112) << 10);
  }

  const tables = new Map();

  function table(key, values, ev) {
    const name = `${key} ${ev}`;
    let found = tables.get(name);
    if (!found) {
      if (tables.size > 16) tables.clear();
      found = Uint16Array.from(values, (v) => half(encode(Math.max(0, v) * 2 ** ev)));
      tables.set(name, found);
    }
    return found;
  }

  function open(pane) {
    const canvas = document.createElement("canvas");
    canvas.width = pane.canvas.width;
    canvas.height = pane.canvas.height;
    const context = canvas.getContext("webgpu");
    if (!context) return null;
    const usage = GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
    context.configure({ device, format: "rgba16float", usage, alphaMode: "opaque", toneMapping: { mode: "extended" } });
    if (context.getConfiguration?.().toneMapping?.mode !== "extended") return null;
    canvas.className = "float";
    pane.canvas.after(canvas);
    return { canvas, context, data: new Uint16Array(4 * canvas.width * canvas.height) };
  }

  let on = false;
  const button = document.getElementById("hdr");
  button.hidden = false;
  device.lost.then(() => {
    on = false;
    button.hidden = true;
    redraw();
  });
  button.addEventListener("click", () => {
    on = !on;
    button.setAttribute("aria-pressed", String(on));
    redraw();
  });

  LRHDR.hdr = {
    /** Show a plane of radiance in a pane; nothing but the tone-mapped picture if there is none or HDR is off. */
    draw(pane, light, ev) {
      if (!on || !light) {
        if (pane.float) pane.float.canvas.hidden = true;
        return;
      }
      pane.float ??= open(pane);
      if (!pane.float) {
        on = false;
        button.hidden = true;
        return;
      }
      const { canvas, context, data } = pane.float;
      const { plane, map } = light;
      const halves = table(light.key, light.values, ev);
      const pixels = canvas.width * canvas.height;
      for (let i = 0, o = 0; i < pixels; i++, o += 4) {
        const k = (map ? map[i] : i) * plane.stride;
        for (let c = 0; c < 3; c++) data[o + c] = halves[plane.codes[k + c * plane.pitch] & 0xffff];
        data[o + 3] = 0x3c00;
      }
      const size = [canvas.width, canvas.height];
      device.queue.writeTexture({ texture: context.getCurrentTexture() }, data, { bytesPerRow: 8 * canvas.width }, size);
      canvas.hidden = false;
      canvas.style.transform = pane.canvas.style.transform;
      canvas.style.imageRendering = pane.canvas.style.imageRendering;
    },
  };
};
