// Charts over time below a map, on the same axis: areas on top of each other, and lines.

class Chart {
  // A chart has a title, parts {name, color, at, values}, of which areas are stacked
  // and lines are not, and the value at its upper edge.
  constructor({ title, areas, lines = [], limit }) {
    this.areas = areas;
    this.lines = lines;
    this.limit = Math.max(limit, 1);
    this.title = title;
    this.heading = element("div", { class: "title" });
    this.canvas = element("canvas", { role: "img", "aria-label": title });
    this.node = element("div", { class: "chart" }, this.heading, this.canvas);
  }

  draw(map, window) {
    const height = 66;
    const p = palette();
    const g = fit(this.canvas, map.width, height);
    const box = { x: map.box.x, y: 3, w: map.box.w, h: height - 6 };
    g.fillStyle = p.free;
    g.fillRect(box.x, box.y, box.w, box.h);
    g.save();
    g.beginPath();
    g.rect(box.x, box.y, box.w, box.h);
    g.clip();
    const x = (t) => box.x + ((t - window.t0) / (window.t1 - window.t0)) * box.w;
    const y = (v) => box.y + (1 - v / this.limit) * box.h;
    const parts = [...this.areas];
    const n = parts[0]?.at.length ?? 0;
    const base = new Float64Array(n);
    for (const part of parts) {
      g.fillStyle = part.color(p);
      g.beginPath();
      const top = Float64Array.from(part.values, (v, i) => base[i] + v);
      for (let i = 0; i < n; i++) {
        g.lineTo(x(part.at[i]), y(top[i]));
        g.lineTo(x(part.at[i + 1] ?? map.layer.scene.duration), y(top[i]));
      }
      for (let i = n - 1; i >= 0; i--) {
        g.lineTo(x(part.at[i + 1] ?? map.layer.scene.duration), y(base[i]));
        g.lineTo(x(part.at[i]), y(base[i]));
      }
      g.fill();
      base.set(top);
    }
    for (const line of this.lines) {
      g.strokeStyle = line.color(p);
      g.lineWidth = 1.2;
      g.setLineDash(line.dash ?? []);
      g.beginPath();
      for (let i = 0; i < line.at.length; i++) {
        g.lineTo(x(line.at[i]), y(line.values[i]));
        g.lineTo(x(line.at[i + 1] ?? map.layer.scene.duration), y(line.values[i]));
      }
      g.stroke();
    }
    g.restore();
    g.strokeStyle = p.line;
    g.lineWidth = 1;
    g.strokeRect(box.x + 0.5, box.y + 0.5, box.w - 1, box.h - 1);
    g.fillStyle = p.faint;
    g.textAlign = "right";
    g.textBaseline = "middle";
    g.fillText(bytes(this.limit), box.x - 6, box.y + 6);
    g.fillText("0", box.x - 6, box.y + box.h - 5);
  }

  // show writes the values at an instant into the heading, which is the legend as well.
  show(t) {
    const p = palette();
    const texts = [element("b", {}, this.title)];
    for (const part of [...this.areas, ...this.lines]) {
      const i = lastAt(part.at, t);
      const swatch = element("i");
      swatch.style.background = part.color(p);
      texts.push(element("span", {}, swatch, part.name + " " + bytes(i < 0 ? 0 : part.values[i])));
    }
    this.heading.replaceChildren(...texts);
  }
}

// chartsOf returns the charts of a run: how full what is shown was, what memory held,
// and how full bounce buffers and address spaces were.
function chartsOf(layer) {
  const { scene, times } = layer;
  const charts = [new Chart({
    title: "In use",
    areas: [{ name: "reserved", color: (p) => p.used, at: times.at, values: times.reserved }],
    lines: [
      { name: "largest free run", color: () => series[3], at: times.at, values: times.largest },
      { name: "peak between samples", color: (p) => p.ink, dash: [2, 2], at: times.at, values: times.peak },
    ],
    limit: Math.max(layer.capacity, ...layer.view.heaps.map((h) => scene.heaps[h].capacity)),
  })];
  if (scene.memory) {
    const at = scene.column("memory.at");
    const part = (name, key, color) => ({ name, color, at, values: scene.column("memory." + key) });
    charts.push(new Chart({
      title: "What RAM held",
      areas: [
        part("kernel", "kernel", (p) => p.held.kernel), part("dma-bufs", "dmabuf", (p) => p.held["dma-buf"]),
        part("programs", "anonymous", (p) => p.held.anonymous), part("page cache", "cache", (p) => p.held["page-cache"]), part("kept", "kept", (p) => p.held.kept),
      ],
      lines: [part("in swap", "swapped", (p) => p.ink)],
      limit: scene.memory,
    }));
  }
  const of = scene.column("space.space");
  scene.spaces.forEach((space, number) => {
    const here = [...of.keys()].filter((i) => of[i] === number);
    const at = Float64Array.from(here, (i) => scene.column("space.at")[i]);
    const part = (name, key, color) => ({ name, color, at, values: Float64Array.from(here, (i) => scene.column("space." + key)[i]) });
    const peak = part("peak", "peak", (p) => p.ink);
    peak.dash = [2, 2];
    charts.push(new Chart({
      title: (space.kind === "iova" ? "I/O virtual addresses of " : "Bounce buffers ") + space.name,
      areas: [part("used", "used", (p) => p.used), part("waiting for a flush", "waiting", () => series[3]), part("cached", "cached", () => series[6])]
        .filter((a) => a.name === "used" || a.values.some((v) => v > 0)),
      lines: [peak],
      limit: space.capacity > 64 * Math.max(1, ...peak.values) ? 1.2 * Math.max(...peak.values) : space.capacity,
    }));
  });
  return charts;
}
