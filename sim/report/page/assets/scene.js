// A run, and what can be looked at of it.

class Scene {
  constructor(data, columns, index) {
    Object.assign(this, data);
    this.columns = columns;
    this.index = index;
    this.layers = new Map();
    this.duration = Math.max(this.duration, 1);
  }

  column(name) { return this.columns[name] ?? new Float64Array(0); }

  // layer returns what lies in the memory of that name; undefined if there is none.
  layer(name) {
    if (!this.layers.has(name)) {
      const view = this.views.find((v) => v.name === name);
      if (view) this.layers.set(name, new Layer(this, view));
    }
    return this.layers.get(name);
  }

  get failures() { return this.column("failure.at").length; }

  // failure returns the figures of the i-th failure.
  failure(i) {
    const of = (name) => this.column("failure." + name)[i];
    return {
      at: of("at"), op: of("op"), client: this.clients[of("client") - 1]?.name ?? "?", heap: of("heap") - 1,
      cause: this.causes[of("cause") - 1] ?? "?", size: of("size"), reserve: of("reserve"), free: of("free"),
      reach: of("reach"), largest: of("largest"), polluted: of("polluted"), waiting: of("waiting"),
    };
  }

  // buffer returns what is known of the i-th buffer.
  buffer(i) {
    const of = (name) => this.column("buffer." + name)[i];
    const start = of("start");
    return {
      index: i, number: of("number"), heap: this.heaps[of("heap")], client: this.clients[of("client")], start, end: start + of("life"),
      live: of("freed") === 0, payload: of("payload"), reserved: of("reserved"), align: of("align"), pieces: of("pieces"),
    };
  }

  // bufferOf returns the place of the buffer that an event allocated; -1 if it is not
  // in the record.
  bufferOf(event) {
    const numbers = this.column("buffer.number");
    const i = lastAt(numbers, event);
    return i >= 0 && numbers[i] === event ? i : -1;
  }

  // samples are those of some heaps, added up.
  samples(heaps) {
    const of = this.column("sample.heap");
    const wanted = [];
    for (let i = 0; i < of.length; i++) if (of[i] === heaps[0]) wanted.push(i);
    const pick = (name) => Float64Array.from(wanted, (i) => this.column("sample." + name)[i]);
    const s = { at: pick("at"), reserved: pick("reserved"), peak: pick("peak"), free: pick("free"), largest: pick("largest"), holes: pick("holes"), blocks: pick("blocks"), failures: pick("failures") };
    for (const more of heaps.slice(1)) {
      let k = 0;
      for (let i = 0; i < of.length; i++) {
        if (of[i] !== more || k >= s.at.length) continue;
        for (const name of ["reserved", "peak", "blocks", "failures"]) s[name][k] += this.column("sample." + name)[i];
        k++;
      }
    }
    return s;
  }
}

// Layer is the blocks of a run that lie in a view: rectangles of time and address.
// Times are nanoseconds, addresses bytes above the start of the view.
class Layer {
  constructor(scene, view) {
    this.scene = scene;
    this.view = view;
    this.unit = scene.unit;
    this.size = view.size * scene.unit;
    this.capacity = view.arena.reduce((sum, [, size]) => sum + size, 0) * scene.unit;
    this.times = scene.samples(view.heaps);
    this.fillBlocks();
    this.cells = this.coarse("cells", view.rows);
    this.frames = this.coarse("frames", view.frames);
  }

  fillBlocks() {
    const { scene, view } = this;
    const heap = scene.column("buffer.heap");
    const client = scene.column("buffer.client");
    const start = scene.column("buffer.start");
    const life = scene.column("buffer.life");
    const number = scene.column("buffer.number");
    const freed = scene.column("buffer.freed");
    const pieces = scene.column("buffer.pieces");
    const payload = scene.column("buffer.payload");
    const reserved = scene.column("buffer.reserved");
    const lo = scene.column("piece.lo");
    const size = scene.column("piece.size");
    const here = scene.heaps.map((_, i) => view.heaps.includes(i));
    const n = lo.length;
    this.t0 = new Float64Array(n);
    this.t1 = new Float64Array(n);
    this.y0 = new Float64Array(n);
    this.y1 = new Float64Array(n);
    this.owner = new Uint16Array(n);
    this.buffer = new Uint32Array(n);
    this.born = new Float64Array(n); // events that allocated and freed it
    this.gone = new Float64Array(n);
    this.waste = new Float32Array(n); // share of the block that nobody asked for
    let k = 0;
    let p = 0;
    for (let b = 0; b < heap.length; b++) {
      for (let i = 0; i < pieces[b]; i++, p++) {
        const y = (lo[p] - view.lo) * this.unit;
        const end = y + size[p] * this.unit;
        if (!here[heap[b]] || end <= 0 || y >= this.size) continue;
        this.t0[k] = start[b];
        this.t1[k] = freed[b] ? start[b] + life[b] : Infinity;
        this.born[k] = number[b];
        this.gone[k] = freed[b] ? number[b] + freed[b] : Infinity;
        this.y0[k] = y;
        this.y1[k] = end;
        this.owner[k] = client[b];
        this.buffer[k] = b;
        this.waste[k] = pieces[b] === 1 && reserved[b] > payload[b] ? 1 - payload[b] / reserved[b] : 0;
        k++;
      }
    }
    this.n = k;
    this.some = k > 0 || scene.recorded;
  }

  // coarse returns a table of rows over time; undefined if there is none.
  coarse(kind, rows) {
    if (!rows) return undefined;
    const { scene } = this;
    const { name } = this.view;
    if (kind === "frames") return { rows, times: scene.column("frames.at." + name), of: scene.column("frames.kind." + name) };
    return { rows, times: scene.column("cells.at." + name), of: scene.column("cells.client." + name), fill: scene.column("cells.fill." + name) };
  }

  // at returns the block at a time and address, or the nearest within a tolerance; -1
  // if there is none.
  at(t, y, dt, dy) {
    let best = -1;
    let least = Infinity;
    for (let i = 0; i < this.n && this.t0[i] <= t + dt; i++) {
      if (this.t1[i] < t - dt || this.y0[i] > y + dy || this.y1[i] < y - dy) continue;
      const away = Math.max(this.t0[i] - t, t - this.t1[i], 0) / dt + Math.max(this.y0[i] - y, y - this.y1[i], 0) / dy;
      if (away < least || (away === least && this.y0[i] <= y && y < this.y1[i])) {
        best = i;
        least = away;
      }
    }
    return best;
  }

  // near counts the buffers within a distance from a time and an address.
  near(t, y, dt, dy) {
    const seen = new Set();
    for (let i = 0; i < this.n && this.t0[i] <= t + dt; i++) {
      if (this.t1[i] >= t - dt && this.y0[i] <= y + dy && this.y1[i] >= y - dy) seen.add(this.buffer[i]);
    }
    return seen.size;
  }

  // begins returns the number of the first event at a time, of those that allocate or
  // free a block here; of the given event if there is none.
  begins(t, event) {
    for (let i = 0; i < this.n && this.t0[i] <= t; i++) {
      if (this.t0[i] === t) event = Math.min(event, this.born[i]);
      if (this.t1[i] === t) event = Math.min(event, this.gone[i]);
    }
    return event;
  }

  // lives reports whether a block lives at an instant: after all events of its time, or
  // just before one of them.
  lives(i, { t, event }) {
    return event === undefined ? this.t0[i] <= t && t < this.t1[i] : this.born[i] < event && event < this.gone[i];
  }

  // alive returns the blocks that live at an instant, by rising address.
  alive(instant) {
    const list = [];
    for (let i = 0; i < this.n && this.t0[i] <= instant.t; i++) if (this.lives(i, instant)) list.push(i);
    return list.sort((a, b) => this.y0[a] - this.y0[b]);
  }

  // blocksOf returns the blocks of a buffer.
  blocksOf(buffer) {
    const list = [];
    for (let i = 0; i < this.n; i++) if (this.buffer[i] === buffer) list.push(i);
    return list;
  }

  // change returns the next time after t, or the last before it, at which a block
  // comes or goes; undefined if there is none.
  change(t, forward) {
    let best;
    for (let i = 0; i < this.n; i++) {
      for (const at of [this.t0[i], this.t1[i]]) {
        if (at === Infinity || (forward ? at <= t : at >= t)) continue;
        if (best === undefined || (forward ? at < best : at > best)) best = at;
      }
    }
    return best;
  }

  address(y) { return address(this.view.lo + Math.floor(y / this.unit), this.unit); }
}
