// Making elements, printing numbers, and unpacking columns.

// element makes an element. Texts among the children are text, whatever is in them.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    } else if (name in made && typeof value !== "string") {
      made[name] = value;
    } else {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null));
  return made;
}

// trimmed drops the zeros at the end of a fraction.
function trimmed(text) { return text.includes(".") ? text.replace(/\.?0+$/, "") : text; }

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

// bytes prints a size to three digits, or exactly where that is as short.
function bytes(n) {
  let unit = 0;
  let v = n;
  while (v >= 1024 && unit < byteUnits.length - 1) {
    v /= 1024;
    unit++;
  }
  if (Math.round(v) >= 1024 && unit < byteUnits.length - 1) {
    v = 1;
    unit++;
  }
  const text = Number.isInteger(v) || v >= 1000 ? String(Math.round(v)) : trimmed(v.toPrecision(3));
  return text + byteUnits[unit];
}

// address prints a number of units in hexadecimal.
function address(units, unit) {
  const exact = units * unit;
  return "0x" + (exact <= Number.MAX_SAFE_INTEGER ? exact.toString(16) : (BigInt(units) * BigInt(unit)).toString(16));
}

const timeUnits = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

// clock prints nanoseconds, so finely that steps can be told apart.
function clock(ns, step = 0) {
  if (ns < 0) return "-" + clock(-ns, step);
  if (ns >= 60e9) {
    const hours = Math.floor(ns / 3600e9);
    const minutes = Math.floor((ns % 3600e9) / 60e9);
    const digits = step > 0 ? Math.min(9, Math.max(0, Math.ceil(-Math.log10(step / 1e9)))) : 3;
    let seconds = ((ns % 60e9) / 1e9).toFixed(digits);
    if (Number(seconds) >= 60) seconds = (60 - 10 ** -digits).toFixed(digits);
    return (hours ? hours + "h" : "") + (hours || minutes ? minutes + "m" : "") + trimmed(seconds) + "s";
  }
  const [size, name] = timeUnits.find(([size]) => ns >= size) ?? [1, "ns"];
  const digits = step > 0 ? Math.min(9, Math.max(0, Math.ceil(-Math.log10(step / size)))) : 3;
  return trimmed((ns / size).toFixed(Math.min(digits, Math.round(Math.log10(size))))) + name;
}

function count(n) { return n.toLocaleString("en"); }

function plural(n, one, many = one + "s") { return count(n) + " " + (n === 1 ? one : many); }

function percent(share) { return (100 * share).toFixed(share < 0.1 ? 1 : 0) + " %"; }

// unpack reads the columns of a run: gzip in base64, of variable-length integers.
async function unpack(text, specs) {
  const packed = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = new Uint8Array(await new Response(stream).arrayBuffer());
  const columns = {};
  let at = 0;
  for (const { name, count, delta } of specs) {
    const column = new Float64Array(count);
    let last = 0;
    for (let i = 0; i < count; i++) {
      let v = 0;
      let scale = 1;
      let byte;
      do {
        byte = data[at++];
        v += (byte & 127) * scale;
        scale *= 128;
      } while (byte >= 128);
      column[i] = last + v;
      if (delta) last = column[i];
    }
    columns[name] = column;
  }
  return columns;
}

// lastAt returns the place of the last of some rising times that is not after t; -1
// if there is none.
function lastAt(times, t) {
  let lo = 0;
  let hi = times.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (times[mid] <= t) lo = mid + 1;
    else hi = mid;
  }
  return lo - 1;
}

// The colours of Okabe and Ito, which people with any of the usual colour vision
// deficiencies can tell apart.
const series = ["#d55e00", "#0072b2", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#f0e442"];
const otherColor = "#969696";

const palettes = {
  light: {
    free: "#ffffff", outside: "#d3d6da", ink: "#1b1f24", faint: "#5a636e", line: "#d5dae0", separator: "rgba(255,255,255,0.75)",
    waste: "#8b1a1a", window: "#1b1f24", failure: "#b3401a", chosen: "#000000", used: "#7fa8c9", accent: "#0060a0",
    held: { kernel: "#8d949e", anonymous: "#b07cc0", "page-cache": "#7fae72", "dma-buf": "#c7722c", kept: "#e3c29f" },
    kinds: { free: "#ffffff", kernel: "#b9bec6", anonymous: "#e8d3ee", "page-cache": "#dcebd6", "dma-buf": "#f6dcc6", hole: "#d3d6da" },
  },
  dark: {
    free: "#0c0e11", outside: "#2c323a", ink: "#e4e7eb", faint: "#9aa4b0", line: "#363d47", separator: "rgba(12,14,17,0.75)",
    waste: "#ff6b6b", window: "#e4e7eb", failure: "#f08a5d", chosen: "#ffffff", used: "#3f6a8a", accent: "#6cb8f0",
    held: { kernel: "#7b838e", anonymous: "#96659f", "page-cache": "#5d8a52", "dma-buf": "#c7722c", kept: "#8a6a48" },
    kinds: { free: "#0c0e11", kernel: "#4a515b", anonymous: "#43304a", "page-cache": "#26382a", "dma-buf": "#4a3626", hole: "#2c323a" },
  },
};

function isDark() {
  const forced = document.documentElement.dataset.theme;
  return forced ? forced === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function palette() { return isDark() ? palettes.dark : palettes.light; }

// rgb splits "#rrggbb".
function rgb(color) { return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16)); }

function mix(a, b, share) {
  const x = rgb(a);
  const y = rgb(b);
  return "#" + x.map((v, i) => Math.round(v + (y[i] - v) * share).toString(16).padStart(2, "0")).join("");
}
