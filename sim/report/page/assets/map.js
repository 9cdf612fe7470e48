// The map: addresses over time, and beside it the memory at one instant.

const margin = { right: 70, top: 16, bottom: 22 };
const columnWidth = 46;
const columnGap = 8;
const smallest = 2; // dots below which blocks are merged

// Colors are how clients are drawn, by name, alike in all runs, and in the figures: those
// who ever had a buffer come first.
class Colors {
  constructor(scenes) {
    this.names = [];
    for (const served of [true, false]) {
      for (const scene of scenes) {
        for (const c of scene.clients) {
          if (c.requests > c.failures === served && !this.names.includes(c.name)) this.names.push(c.name);
        }
      }
    }
    this.chosen = undefined; // the only one that is not faded
  }

  place(name) {
    const i = this.names.indexOf(name);
    return i >= 0 && i < series.length ? i : series.length;
  }

  base(name) { return series[this.place(name)] ?? otherColor; }

  // shade is the colour of a client's block, in one of two tones.
  shade(name, tone) {
    const { free } = palette();
    let color = this.base(name);
    if (tone) color = mix(color, "#000000", 0.25);
    if (this.chosen !== undefined && this.chosen !== name) color = mix(color, free, 0.8);
    return color;
  }
}

// steps returns round numbers between lo and hi, at most n.
function steps(lo, hi, n, sizes) {
  const least = (hi - lo) / n;
  const size = sizes(least);
  const list = [];
  for (let v = Math.ceil(lo / size) * size; v <= hi && list.length <= n + 1; v += size) list.push(v);
  return { list, size };
}

function timeStep(least) {
  for (const s of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600]) {
    if (least > 0.5e9 && s * 1e9 >= least) return s * 1e9;
  }
  if (least > 3600e9) return Math.ceil(least / 3600e9) * 3600e9;
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((f) => f * power).find((v) => v >= least) ?? 10 * power;
}

function powerOfTwo(least) { return 2 ** Math.max(0, Math.ceil(Math.log2(Math.max(least, 1)))); }

// fit makes a canvas as large as its place, in dots, and returns its context in
// CSS pixels.
function fit(canvas, width, height) {
  const scale = devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * scale));
  const h = Math.max(1, Math.round(height * scale));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  canvas.style.height = height + "px";
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = '11px system-ui, "Liberation Sans", Arial, sans-serif';
  return g;
}

class MapView {
  constructor(label) {
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.over = element("canvas", { class: "over", "aria-hidden": "true" });
    this.surface = element("div", {
      class: "surface", tabindex: "0", role: "application", "aria-label": label, "aria-describedby": "keys", "aria-roledescription": "memory map",
    }, this.canvas, this.over);
  }

  // box is where the map is, in CSS pixels.
  measure(g) {
    const width = Math.max(this.surface.clientWidth, 160);
    const height = Math.round(Math.min(460, Math.max(260, width * 0.55)));
    const left = 14 + Math.ceil(g.measureText(this.layer.address(this.layer.size)).width);
    this.width = width;
    this.height = height;
    this.box = { x: left, y: margin.top, w: width - left - margin.right, h: height - margin.top - margin.bottom };
    this.column = { x: width - margin.right + columnGap, y: margin.top, w: columnWidth, h: this.box.h };
  }

  x(t) { return this.box.x + ((t - this.window.t0) / (this.window.t1 - this.window.t0)) * this.box.w; }
  y(a) { return this.box.y + (1 - (a - this.window.a0) / (this.window.a1 - this.window.a0)) * this.box.h; }
  time(x) { return this.window.t0 + ((x - this.box.x) / this.box.w) * (this.window.t1 - this.window.t0); }
  place(y) { return this.window.a0 + (1 - (y - this.box.y) / this.box.h) * (this.window.a1 - this.window.a0); }

  // draw draws all but what changes with the pointer and the instant.
  draw(layer, window, colors, marked) {
    this.layer = layer;
    this.window = window;
    this.colors = colors;
    const p = palette();
    this.measure(fit(this.canvas, 1, 1));
    const g = fit(this.canvas, this.width, this.height);
    this.drawGround(g, p);
    this.drawBlocks(g, p);
    this.drawWindows(g, p);
    this.drawMarks(g, p, marked);
    this.drawAxes(g, p);
  }

  drawGround(g, p) {
    const { box, layer } = this;
    g.fillStyle = p.outside;
    g.fillRect(box.x, box.y, box.w, box.h);
    g.save();
    g.beginPath();
    g.rect(box.x, box.y, box.w, box.h);
    g.clip();
    const right = Math.min(this.x(layer.scene.duration), box.x + box.w);
    g.fillStyle = p.free;
    for (const [lo, size] of layer.view.arena) {
      const top = this.y((lo + size) * layer.unit);
      g.fillRect(box.x, top, right - box.x, this.y(lo * layer.unit) - top);
    }
    g.imageSmoothingEnabled = false;
    if (layer.frames) this.drawTable(g, layer.frames, (i, k) => rgb(p.kinds[layer.scene.kinds[k.of[i]]]));
    if (layer.cells) {
      const shades = layer.scene.clients.map((c) => rgb(this.colors.shade(c.name, 0)));
      const free = rgb(p.free);
      this.drawTable(g, layer.cells, (i, k) => {
        if (!k.of[i]) return undefined;
        const share = layer.some ? 0.35 : 0.3 + 0.7 * (k.fill[i] / 255);
        return shades[k.of[i] - 1].map((v, c) => free[c] + (v - free[c]) * share);
      });
    }
    g.restore();
  }

  // drawTable draws a coarse table, one dot for each row and instant.
  drawTable(g, table, color) {
    const { layer } = this;
    const columns = table.times.length;
    if (!columns) return;
    const picture = new OffscreenCanvas(columns, table.rows);
    const pen = picture.getContext("2d");
    const image = pen.createImageData(columns, table.rows);
    for (let c = 0; c < columns; c++) {
      for (let r = 0; r < table.rows; r++) {
        const shade = color(c * table.rows + r, table);
        if (shade) image.data.set([shade[0], shade[1], shade[2], 255], 4 * ((table.rows - 1 - r) * columns + c));
      }
    }
    pen.putImageData(image, 0, 0);
    const top = this.y(layer.size);
    const height = this.y(0) - top;
    const scale = devicePixelRatio || 1;
    const dot = (x) => Math.round(x * scale) / scale; // no seams between columns
    for (let c = 0; c < columns; c++) {
      const from = dot(this.x(table.times[c]));
      const to = dot(this.x(c + 1 < columns ? table.times[c + 1] : layer.scene.duration));
      if (to > from && to >= this.box.x && from <= this.box.x + this.box.w) g.drawImage(picture, c, 0, 1, table.rows, from, top, to - from, height);
    }
  }

  // drawBlocks draws every block of two dots and more as it is. Smaller ones are
  // merged: what they cover of a dot is added up, by client.
  drawBlocks(g, p) {
    const { box, layer, window } = this;
    const keys = 2 * layer.scene.clients.length;
    const large = Array.from({ length: keys }, () => []);
    const merged = new Merged(Math.ceil(box.w), Math.ceil(box.h), series.length + 1);
    const places = layer.scene.clients.map((c) => this.colors.place(c.name));
    const sx = box.w / (window.t1 - window.t0);
    const sy = box.h / (window.a1 - window.a0);
    const last = Math.min(window.t1, layer.scene.duration);
    for (let i = 0; i < layer.n; i++) {
      if (layer.t0[i] >= last) break;
      if (layer.t1[i] <= window.t0 || layer.y1[i] <= window.a0 || layer.y0[i] >= window.a1) continue;
      const w = (Math.min(layer.t1[i], layer.scene.duration) - layer.t0[i]) * sx;
      const h = (layer.y1[i] - layer.y0[i]) * sy;
      if (w >= smallest && h >= smallest) {
        large[2 * layer.owner[i] + (layer.buffer[i] & 1)].push(i);
      } else {
        const x = (layer.t0[i] - window.t0) * sx;
        const y = box.h - (layer.y1[i] - window.a0) * sy;
        merged.add(places[layer.owner[i]], x, y, w, h);
      }
    }
    g.save();
    g.beginPath();
    g.rect(box.x, box.y, box.w, box.h);
    g.clip();
    merged.draw(g, box, this.shades());
    large.forEach((list, key) => {
      if (!list.length) return;
      const name = layer.scene.clients[key >> 1].name;
      g.fillStyle = this.colors.shade(name, key & 1);
      for (const i of list) this.fillBlock(g, i);
    });
    g.fillStyle = p.waste;
    for (const list of large) {
      for (const i of list) {
        const h = (layer.y1[i] - layer.y0[i]) * sy * layer.waste[i];
        if (h < 2) continue;
        const r = this.rectangle(i);
        g.globalAlpha = 0.55;
        g.fillRect(r.x, r.y, r.w, h - 0.5);
      }
    }
    g.restore();
  }

  // shades are the colours of merged blocks.
  shades() {
    const list = [...series, otherColor];
    this.colors.names.forEach((name) => { list[this.colors.place(name)] = this.colors.shade(name, 0); });
    return list.map(rgb);
  }

  // rectangle is where a block is, cut to somewhat more than the map.
  rectangle(i) {
    const { box, layer } = this;
    const x0 = Math.max(this.x(layer.t0[i]), box.x - 4);
    const x1 = Math.min(this.x(Math.min(layer.t1[i], layer.scene.duration)), box.x + box.w + 4);
    const y0 = Math.max(this.y(layer.y1[i]), box.y - 4);
    const y1 = Math.min(this.y(layer.y0[i]), box.y + box.h + 4);
    return { x: x0, y: y0, w: x1 - x0, h: y1 - y0 };
  }

  fillBlock(g, i) {
    const r = this.rectangle(i);
    g.fillRect(r.x, r.y, r.w > 4 ? r.w - 0.5 : r.w, r.h > 4 ? r.h - 0.5 : r.h);
  }

  // drawWindows draws the borders of what devices reach, where that is not all.
  drawWindows(g, p) {
    const { box, layer } = this;
    g.save();
    g.strokeStyle = p.window;
    g.lineWidth = 1;
    g.textAlign = "left";
    g.textBaseline = "alphabetic";
    const named = new Map();
    for (const w of layer.view.windows) {
      if (JSON.stringify(w.ranges) === JSON.stringify(layer.view.arena) || !w.ranges.length) continue;
      const key = JSON.stringify(w.ranges);
      named.set(key, { ranges: w.ranges, names: [...(named.get(key)?.names ?? []), w.device] });
    }
    let taken = -Infinity;
    for (const { ranges, names } of named.values()) {
      for (const [lo, size] of ranges) {
        g.setLineDash([5, 3]);
        for (const edge of [lo, lo + size]) {
          const y = Math.round(this.y(edge * layer.unit)) + 0.5;
          if (y < box.y + 1 || y > box.y + box.h - 1) continue;
          g.beginPath();
          g.moveTo(box.x, y);
          g.lineTo(box.x + box.w, y);
          g.stroke();
        }
      }
      g.setLineDash([]);
      const [lo, size] = ranges.reduce((a, b) => (b[1] > a[1] ? b : a));
      const y = Math.max(box.y + 12, Math.min(box.y + box.h - 4, this.y((lo + size) * layer.unit) + 12));
      if (Math.abs(y - taken) < 14) continue;
      taken = y;
      const text = "in reach of " + names.join(", ");
      const width = Math.min(g.measureText(text).width, box.w - 12);
      g.fillStyle = p.free;
      g.globalAlpha = 0.8;
      g.fillRect(box.x + 4, y - 10, width + 6, 14);
      g.globalAlpha = 1;
      g.fillStyle = p.window;
      g.fillText(text, box.x + 7, y, box.w - 12);
    }
    g.restore();
  }

  // drawMarks draws a mark above the map for each failed request.
  drawMarks(g, p, marked) {
    const { box, layer } = this;
    const at = layer.scene.column("failure.at");
    const of = layer.scene.column("failure.heap");
    this.marks = [];
    let last = -Infinity;
    g.fillStyle = p.failure;
    // Only the first failures are known one by one; samples count the others.
    const { at: times, failures } = layer.times;
    g.globalAlpha = 0.5;
    for (let k = 1; k < times.length; k++) {
      if (times[k] <= (at[at.length - 1] ?? -1) || failures[k] <= failures[k - 1]) continue;
      const x0 = Math.max(this.x(times[k - 1]), box.x);
      const x1 = Math.min(this.x(times[k]), box.x + box.w);
      if (x1 > x0) g.fillRect(x0, box.y - 5, x1 - x0 + 0.3, 3);
    }
    g.globalAlpha = 1;
    for (let i = 0; i < at.length; i++) {
      if (!layer.view.heaps.includes(of[i] - 1)) continue;
      const x = this.x(at[i]);
      if (x < box.x - 1 || x > box.x + box.w + 1) continue;
      this.marks.push([x, i]);
      if (x - last < 1.5 && i !== marked) continue;
      last = x;
      g.beginPath();
      g.moveTo(x, box.y - 2);
      g.lineTo(x - 4, box.y - 10);
      g.lineTo(x + 4, box.y - 10);
      g.fill();
    }
  }

  drawAxes(g, p) {
    const { box, layer, window } = this;
    g.strokeStyle = p.faint;
    g.fillStyle = p.faint;
    g.lineWidth = 1;
    g.strokeRect(box.x + 0.5, box.y + 0.5, box.w - 1, box.h - 1);
    g.textAlign = "right";
    g.textBaseline = "middle";
    const low = layer.view.lo * layer.unit;
    const ticks = steps(low + window.a0, low + window.a1, Math.max(2, Math.floor(box.h / 42)), powerOfTwo);
    for (const v of ticks.list) {
      const y = Math.round(this.y(v - low)) + 0.5;
      g.beginPath();
      g.moveTo(box.x - 4, y);
      g.lineTo(box.x, y);
      g.stroke();
      g.fillText(layer.address(v - low), box.x - 6, Math.min(Math.max(y, box.y + 5), box.y + box.h - 5));
    }
    drawTimeAxis(g, box, window, p);
  }

  // drawOver draws the instant, what is pointed at, and what is chosen.
  drawOver(instant, hovered, chosen, highlights) {
    const { t } = instant;
    const p = palette();
    const g = fit(this.over, this.width, this.height);
    const { box } = this;
    g.save();
    g.beginPath();
    g.rect(box.x, box.y, box.w, box.h);
    g.clip();
    for (const h of highlights) {
      g.strokeStyle = p.failure;
      g.lineWidth = 2;
      const x0 = Math.max(this.x(h.t0), box.x - 4);
      const x1 = Math.min(this.x(h.t1), box.x + box.w + 4);
      const y0 = this.y(h.y1);
      g.strokeRect(x0, y0, Math.max(x1 - x0, 3), Math.max(this.y(h.y0) - y0, 3));
    }
    for (const [list, width] of [[chosen, 2.5], [hovered, 1.5]]) {
      for (const i of list) {
        const r = this.rectangle(i);
        g.strokeStyle = p.free;
        g.lineWidth = width + 2;
        g.strokeRect(r.x, r.y, Math.max(r.w, 2), Math.max(r.h, 2));
        g.strokeStyle = p.chosen;
        g.lineWidth = width;
        g.strokeRect(r.x, r.y, Math.max(r.w, 2), Math.max(r.h, 2));
      }
    }
    g.restore();
    const x = this.x(t);
    if (x >= box.x - 1 && x <= box.x + box.w + 1) {
      g.fillStyle = p.chosen;
      g.fillRect(x - 0.75, box.y, 1.5, box.h);
      g.beginPath();
      g.moveTo(x, box.y + box.h);
      g.lineTo(x - 4, box.y + box.h + 6);
      g.lineTo(x + 4, box.y + box.h + 6);
      g.fill();
    }
    this.drawInstant(g, p, instant, chosen);
  }

  // drawInstant draws the memory at one instant, by the map's addresses.
  drawInstant(g, p, instant, chosen) {
    const { t } = instant;
    const { column, layer } = this;
    g.save();
    g.fillStyle = p.outside;
    g.fillRect(column.x, column.y, column.w, column.h);
    g.beginPath();
    g.rect(column.x, column.y, column.w, column.h);
    g.clip();
    g.fillStyle = p.free;
    for (const [lo, size] of layer.view.arena) {
      const top = this.y((lo + size) * layer.unit);
      g.fillRect(column.x, top, column.w, this.y(lo * layer.unit) - top);
    }
    if (layer.frames) this.drawRow(g, layer.frames, t, (i, k) => p.kinds[layer.scene.kinds[k.of[i]]]);
    if (layer.cells) {
      this.drawRow(g, layer.cells, t, (i, k) => (k.of[i] ? mix(p.free, this.colors.shade(layer.scene.clients[k.of[i] - 1].name, 0), layer.some ? 0.35 : 0.3 + 0.7 * (k.fill[i] / 255)) : undefined));
    }
    for (let i = 0; i < layer.n && layer.t0[i] <= t; i++) {
      if (!layer.lives(i, instant) || layer.y1[i] <= this.window.a0 || layer.y0[i] >= this.window.a1) continue;
      const top = this.y(layer.y1[i]);
      const h = this.y(layer.y0[i]) - top;
      g.fillStyle = this.colors.shade(layer.scene.clients[layer.owner[i]].name, layer.buffer[i] & 1);
      g.fillRect(column.x, top, column.w, h > 4 ? h - 0.5 : Math.max(h, 0.4));
      if (layer.waste[i] * h >= 2) {
        g.fillStyle = p.waste;
        g.globalAlpha = 0.55;
        g.fillRect(column.x, top, column.w, layer.waste[i] * h - 0.5);
        g.globalAlpha = 1;
      }
    }
    g.strokeStyle = p.chosen;
    g.lineWidth = 2.5;
    for (const i of chosen) {
      if (layer.lives(i, instant)) {
        const top = this.y(layer.y1[i]);
        g.strokeRect(column.x + 1, top, column.w - 2, Math.max(this.y(layer.y0[i]) - top, 2));
      }
    }
    g.restore();
    g.strokeStyle = p.faint;
    g.strokeRect(column.x + 0.5, column.y + 0.5, column.w - 1, column.h - 1);
    g.fillStyle = p.faint;
    g.textAlign = "center";
    g.textBaseline = "alphabetic";
    g.fillText("instant", column.x + column.w / 2, column.y + column.h + 14);
  }

  // drawRow draws what a coarse table says of an instant.
  drawRow(g, table, t, color) {
    const { column, layer } = this;
    const at = lastAt(table.times, t);
    if (at < 0) return;
    for (let r = 0; r < table.rows; r++) {
      const shade = color(at * table.rows + r, table);
      if (!shade) continue;
      const top = this.y((layer.size * (r + 1)) / table.rows);
      g.fillStyle = shade;
      g.fillRect(column.x, top, column.w, this.y((layer.size * r) / table.rows) - top + 0.3);
    }
  }
}

// Merged adds up what blocks that are too small to be drawn cover of each dot. A
// block costs four additions, whatever its length: they are differences, which are
// summed up in the end.
class Merged {
  constructor(width, height, colors) {
    this.width = width;
    this.height = height;
    this.stride = width + 1;
    this.sums = Array(colors);
    this.any = false;
  }

  add(color, x, y, w, h) {
    const x0 = Math.max(0, Math.floor(x));
    const y0 = Math.max(0, Math.floor(y));
    const x1 = Math.min(this.width, Math.max(Math.ceil(x + w), x0 + 1));
    const y1 = Math.min(this.height, Math.max(Math.ceil(y + h), y0 + 1));
    if (x0 >= x1 || y0 >= y1) return;
    const sums = (this.sums[color] ??= new Float32Array(this.stride * (this.height + 1)));
    const share = Math.min(1, Math.max(w, 0.02) / Math.max(1, Math.ceil(x + w) - Math.floor(x))) * Math.min(1, Math.max(h, 0.02) / Math.max(1, Math.ceil(y + h) - Math.floor(y)));
    sums[y0 * this.stride + x0] += share;
    sums[y0 * this.stride + x1] -= share;
    sums[y1 * this.stride + x0] -= share;
    sums[y1 * this.stride + x1] += share;
    this.any = true;
  }

  draw(g, box, shades) {
    if (!this.any) return;
    const { width, height, stride } = this;
    const used = this.sums.map((sums, i) => ({ sums, shade: shades[i] })).filter((c) => c.sums);
    for (const { sums } of used) {
      for (let y = 0; y <= height; y++) {
        let row = 0;
        for (let x = 0; x < stride; x++) {
          const i = y * stride + x;
          row += sums[i];
          sums[i] = row + (y > 0 ? sums[i - stride] : 0);
        }
      }
    }
    const picture = new OffscreenCanvas(width, height);
    const pen = picture.getContext("2d");
    const image = pen.createImageData(width, height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const i = y * stride + x;
        let total = 0;
        let most = 0.0005;
        let shade;
        for (const c of used) {
          const v = c.sums[i];
          total += v;
          if (v > most) {
            most = v;
            shade = c.shade;
          }
        }
        if (!shade) continue;
        const at = 4 * (y * width + x);
        image.data[at] = shade[0];
        image.data[at + 1] = shade[1];
        image.data[at + 2] = shade[2];
        image.data[at + 3] = 70 + 185 * Math.min(1, total);
      }
    }
    pen.putImageData(image, 0, 0);
    g.imageSmoothingEnabled = false;
    g.drawImage(picture, box.x, box.y);
  }
}

// drawTimeAxis draws times below a box.
function drawTimeAxis(g, box, window, p) {
  g.strokeStyle = p.faint;
  g.fillStyle = p.faint;
  g.textBaseline = "alphabetic";
  const ticks = steps(window.t0, window.t1, Math.max(2, Math.floor(box.w / 92)), timeStep);
  let free = -Infinity;
  for (const v of ticks.list) {
    const x = Math.round(box.x + ((v - window.t0) / (window.t1 - window.t0)) * box.w) + 0.5;
    const text = v === 0 ? "0" : clock(v, ticks.size).replace(/m0s$/, "m").replace(/h0m$/, "h");
    const half = g.measureText(text).width / 2;
    g.beginPath();
    g.moveTo(x, box.y + box.h);
    g.lineTo(x, box.y + box.h + 4);
    g.stroke();
    const middle = Math.min(x, box.x + box.w + columnGap - half);
    if (middle - half < free) continue;
    free = middle + half + 6;
    g.textAlign = "center";
    g.fillText(text, middle, box.y + box.h + 15);
  }
}
