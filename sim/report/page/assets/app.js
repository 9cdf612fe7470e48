// What the page shows, and what keys and pointers do.

// Panel is one run on the page.
class Panel {
  constructor(app, place) {
    this.app = app;
    this.place = place;
    this.title = element("h3");
    this.note = element("p", { class: "note" });
    this.readout = element("p", { class: "readout" });
    this.map = new MapView("Memory map");
    this.charts = element("div");
    this.cursors = element("div", { class: "cursor" });
    this.node = element("div", { class: "panel" }, this.title, this.note, this.readout, this.map.surface, element("div", { class: "stack" }, this.charts, this.cursors));
    this.hovered = [];
    this.listen();
  }

  // show takes another run or another memory.
  show(scene, view) {
    this.scene = scene;
    this.layer = scene?.layer(view);
    this.node.hidden = !scene;
    if (!scene) return;
    this.title.textContent = this.app.panels.length > 1 && this.app.two ? "AB"[this.place] + ": " + scene.name : scene.name;
    const notes = [scene.note];
    if (this.layer && !scene.recorded) notes.push("The map shows samples of who holds most of each part; there are no single buffers to point at.");
    if (scene.leftOut) {
      notes.push(plural(scene.leftOut.buffers, "buffer") + " of " + count(scene.leftOut.buffers + scene.column("buffer.start").length) + " " + (scene.leftOut.buffers === 1 ? "is" : "are") + " left out, the lightest: none of them held more than " +
        bytes(scene.leftOut.heaviest) + " for a second, or a part of that for longer. In their place the map shows, in a paler shade, samples of who holds most.");
    }
    if (!this.layer) notes.push("This run has no memory of that name.");
    this.note.textContent = notes.filter(Boolean).join(" ");
    this.note.hidden = !this.note.textContent;
    this.map.surface.hidden = !this.layer;
    this.map.surface.setAttribute("aria-label", "Memory map of " + scene.name);
    this.chartList = this.layer ? chartsOf(this.layer) : [];
    this.charts.replaceChildren(...this.chartList.map((c) => c.node));
  }

  draw() {
    if (!this.layer) return;
    this.map.draw(this.layer, this.app.window, this.app.colors, this.app.failure?.panel === this.place ? this.app.failure.index : undefined);
    for (const c of this.chartList) c.draw(this.map, this.app.window);
    this.drawOver();
  }

  drawOver() {
    if (!this.layer) return;
    const { app } = this;
    const chosen = app.chosen?.panel === this.place ? app.chosen.blocks : [];
    this.map.drawOver(this.instant(), this.hovered, chosen, app.failure?.panel === this.place ? app.failure.highlights : []);
    const x = this.map.x(app.t);
    this.cursors.hidden = x < this.map.box.x - 1 || x > this.map.box.x + this.map.box.w + 1;
    this.cursors.style.left = x - 0.75 + "px";
    for (const c of this.chartList) c.show(app.t);
    this.readout.textContent = this.stateAt(this.instant());
  }

  // instant is the time that is looked at, and where a failure is chosen, its event.
  instant() {
    const { app } = this;
    return { t: app.t, event: app.failure?.panel === this.place && app.failure.at === app.t ? app.failure.event : undefined };
  }

  // stateAt says how full the memory is at an instant.
  stateAt(instant) {
    const { layer, scene } = this;
    const { t } = instant;
    const i = lastAt(layer.times.at, t);
    const at = scene.column("failure.at");
    const of = scene.column("failure.heap");
    let failed = 0;
    for (let k = 0; k < at.length && at[k] <= t; k++) if (layer.view.heaps.includes(of[k] - 1)) failed++;
    const sampled = i >= 0 ? layer.times.failures[i] : 0;
    const capacity = Math.max(layer.capacity, ...layer.view.heaps.map((h) => scene.heaps[h].capacity));
    const parts = [];
    if (scene.recorded && !scene.leftOut) {
      const alive = layer.alive(instant);
      const buffers = new Set(alive.map((b) => layer.buffer[b]));
      const used = alive.reduce((sum, b) => sum + layer.y1[b] - layer.y0[b], 0);
      parts.push(bytes(used) + " of " + bytes(capacity) + " reserved (" + percent(used / capacity) + ")", "by " + plural(buffers.size, "buffer"));
    } else if (i >= 0) {
      parts.push(bytes(layer.times.reserved[i]) + " of " + bytes(capacity) + " reserved (" + percent(layer.times.reserved[i] / capacity) + ")", "by " + plural(layer.times.blocks[i], "buffer"));
    }
    if (i >= 0 && layer.times.free[i] > 0) parts.push("largest free run " + bytes(layer.times.largest[i]) + (layer.times.at[i] < t ? " (at " + clock(layer.times.at[i]) + ")" : ""));
    parts.push(plural(Math.max(failed, sampled), "failure") + " so far");
    return parts.join(" · ");
  }

  listen() {
    const { app } = this;
    const surface = this.map.surface;
    const local = (e) => {
      const r = surface.getBoundingClientRect();
      return { x: e.clientX - r.left, y: e.clientY - r.top };
    };
    let drag;
    surface.addEventListener("pointerdown", (e) => {
      if (e.button !== 0) return;
      drag = { ...local(e), window: { ...app.window }, moved: false };
      surface.setPointerCapture(e.pointerId);
    });
    surface.addEventListener("pointermove", (e) => {
      const at = local(e);
      if (!drag) return this.hover(at, e);
      const dx = at.x - drag.x;
      const dy = e.pointerType === "touch" ? 0 : at.y - drag.y;
      if (Math.hypot(dx, dy) > 4) drag.moved = true;
      if (!drag.moved) return;
      app.tip();
      const { w, h } = this.map.box;
      app.setWindow({
        t0: drag.window.t0 - (dx / w) * (drag.window.t1 - drag.window.t0), t1: drag.window.t1 - (dx / w) * (drag.window.t1 - drag.window.t0),
        a0: drag.window.a0 + (dy / h) * (drag.window.a1 - drag.window.a0), a1: drag.window.a1 + (dy / h) * (drag.window.a1 - drag.window.a0),
      });
    });
    const release = (e) => {
      const was = drag;
      drag = undefined;
      if (!was || was.moved || e.type === "pointercancel") return;
      this.press(was);
    };
    surface.addEventListener("dblclick", (e) => {
      const i = this.layer ? this.find(local(e)) : -1;
      if (i >= 0) app.showBlock(this, i);
    });
    surface.addEventListener("pointerup", release);
    surface.addEventListener("pointercancel", release);
    surface.addEventListener("pointerleave", () => {
      this.hovered = [];
      app.tip();
      this.drawOver();
    });
    surface.addEventListener("wheel", (e) => {
      if (!e.ctrlKey && !e.metaKey && document.activeElement !== surface) return;
      e.preventDefault();
      const at = local(e);
      const factor = Math.exp(Math.sign(e.deltaY) * Math.min(Math.abs(e.deltaY), 100) / 250);
      if (e.shiftKey) app.zoomAddress(factor, this.map.place(at.y));
      else app.zoomTime(factor, this.map.time(at.x));
    }, { passive: false });
    surface.addEventListener("keydown", (e) => app.key(e, this));
    this.charts.addEventListener("click", (e) => {
      const r = this.charts.getBoundingClientRect();
      if (this.map.box) app.setTime(this.map.time(e.clientX - r.left));
    });
  }

  // find returns the block at a place of the map or of the instant beside it.
  find({ x, y }) {
    const { box, column, layer } = this.map;
    if (y < box.y || y > box.y + box.h) return -1;
    if (x >= column.x && x <= column.x + column.w) {
      const a = this.map.place(y);
      return layer.alive(this.instant()).find((i) => layer.y0[i] <= a && a < layer.y1[i]) ?? -1;
    }
    if (x < box.x || x > box.x + box.w) return -1;
    const w = this.app.window;
    return layer.at(this.map.time(x), this.map.place(y), (2 * (w.t1 - w.t0)) / box.w, (2 * (w.a1 - w.a0)) / box.h);
  }

  hover(at, e) {
    if (!this.layer) return;
    const { box } = this.map;
    const mark = at.y < box.y ? this.map.marks.find(([x]) => Math.abs(x - at.x) < 5) : undefined;
    const i = mark ? -1 : this.find(at);
    const before = this.hovered.join();
    this.hovered = i < 0 ? [] : this.layer.blocksOf(this.layer.buffer[i]);
    if (this.hovered.join() !== before) this.drawOver();
    if (mark) {
      const f = this.scene.failure(mark[1]);
      this.app.tip([element("h4", {}, f.client + " failed at " + clock(f.at)), element("p", {}, bytes(f.size) + ", cause: " + f.cause + ". Click for the explanation.")], e);
    } else if (i >= 0) {
      const nodes = aboutBuffer(this.layer, i, this.app.colors);
      const w = this.app.window;
      if (at.x <= box.x + box.w) {
        const near = this.layer.near(this.map.time(at.x), this.map.place(at.y), (w.t1 - w.t0) / box.w, (w.a1 - w.a0) / box.h);
        if (near > 3) nodes.push(element("p", { class: "note" }, near + " buffers share this dot; zoom in to tell them apart."));
      }
      this.app.tip(nodes, e);
    } else if (at.x >= box.x && at.x <= box.x + box.w && at.y >= box.y && at.y <= box.y + box.h) {
      this.app.tip(this.aboutPlace(this.map.time(at.x), this.map.place(at.y)), e);
    } else {
      this.app.tip();
    }
  }

  // aboutPlace tells of a place where there is no single buffer.
  aboutPlace(t, a) {
    const { layer, scene } = this;
    if (t > scene.duration) return [element("p", {}, "after the end of the run")];
    const inside = layer.view.arena.some(([lo, size]) => a >= lo * layer.unit && a < (lo + size) * layer.unit);
    if (!inside) return [element("p", {}, layer.address(Math.max(a, 0)) + ": outside of what is shown")];
    let text = "free";
    const look = (table, say) => {
      const at = lastAt(table.times, t);
      const row = Math.floor((a / layer.size) * table.rows);
      if (at >= 0 && row >= 0 && row < table.rows) text = say(at * table.rows + row) ?? text;
    };
    if (layer.frames) look(layer.frames, (i) => ({ kernel: "kernel", anonymous: "memory of programs", "page-cache": "page cache", "dma-buf": "pages of dma-bufs, or kept for them", hole: "no memory" })[scene.kinds[layer.frames.of[i]]]);
    if (layer.cells) look(layer.cells, (i) => (layer.cells.of[i] ? "mostly " + scene.clients[layer.cells.of[i] - 1].name + ", " + percent(layer.cells.fill[i] / 255) + " in use (from samples)" : undefined));
    return [element("p", {}, clock(t) + ", " + layer.address(Math.max(a, 0)) + ": " + text)];
  }

  // press chooses what lies at a place, and the instant.
  press(at) {
    if (!this.layer) return;
    const { box, column } = this.map;
    if (at.y < box.y) {
      const mark = this.map.marks.reduce((a, b) => (Math.abs(b[0] - at.x) < Math.abs((a?.[0] ?? Infinity) - at.x) ? b : a), undefined);
      if (mark && Math.abs(mark[0] - at.x) < 8) return this.app.chooseFailure(this, mark[1]);
    }
    const i = this.find(at);
    if (at.x < column.x) this.app.setTime(this.map.time(Math.min(Math.max(at.x, box.x), box.x + box.w)));
    this.app.chooseBlock(this, i);
  }
}

const scrubSteps = 4000;

class App {
  constructor(scenes, section) {
    this.scenes = scenes;
    this.untouched = true;
    this.colors = new Colors(scenes);
    this.panels = [new Panel(this, 0), new Panel(this, 1)];
    this.shown = [scenes[0], scenes[1]];
    this.two = scenes.length > 1;
    this.t = 0;
    this.build(section);
    const said = new URLSearchParams(location.hash.slice(1));
    for (const [place, name] of [[0, "a"], [1, "b"]]) if (said.has(name)) this.shown[place] = scenes[said.get(name)];
    this.wanted = said.get("memory") ?? "";
    this.showRuns();
    this.restore(said);
  }

  // restore shows what the address of the page says.
  restore(said) {
    const number = (name, otherwise) => (said.has(name) && Number.isFinite(Number(said.get(name))) ? Number(said.get(name)) : otherwise);
    const [panel, index] = (said.get("failure") ?? "").split(":").map(Number);
    if (index < this.panels[panel]?.scene?.failures) this.chooseFailure(this.panels[panel], index);
    const w = this.window;
    if (said.has("t")) this.setTime(number("t", this.t));
    if (said.has("t0")) this.setWindow({ t0: number("t0", w.t0), t1: number("t1", w.t1), a0: number("a0", w.a0), a1: number("a1", w.a1) });
  }

  // save puts what is shown into the address of the page, so that it can be passed on.
  save() {
    const { t0, t1, a0, a1 } = this.window;
    const said = new URLSearchParams({ a: this.shown[0].index, b: this.shown[1]?.index ?? -1, memory: this.viewPicker.value, t: Math.round(this.t) });
    if (t0 > 0 || t1 < this.duration || a0 > 0 || a1 < this.size) for (const [name, v] of Object.entries({ t0, t1, a0, a1 })) said.set(name, Math.round(v));
    if (this.failure) said.set("failure", this.failure.panel + ":" + this.failure.index);
    history.replaceState(null, "", "#" + said);
  }

  build(section) {
    const runs = (place, none) => element("select", { on: { change: (e) => {
      this.shown[place] = this.scenes[e.target.value];
      this.showRuns();
    } } }, ...(none ? [element("option", { value: "-1" }, "nothing")] : []), this.scenes.map((s, i) => element("option", { value: String(i) }, s.name)));
    this.pickers = [runs(0, false), runs(1, true)];
    this.viewPicker = element("select", { on: { change: () => this.showRuns() } });
    const button = (text, label, act) => element("button", { type: "button", "aria-label": label, title: label, on: { click: act } }, text);
    this.key1 = element("div", { class: "key", role: "group", "aria-label": "Clients" });
    this.scrub = element("input", { type: "range", min: 0, max: scrubSteps, step: 1, "aria-label": "Instant", on: { input: () => this.setTime((this.scrub.value / scrubSteps) * this.duration) } });
    this.clock = element("output");
    this.nothing = element("p", { class: "note" });
    this.spoken = element("p", { class: "spoken", role: "status", "aria-live": "polite" });
    this.failureList = new List("Failed requests", ([place, i]) => this.chooseFailure(this.panels[place], i));
    this.blockList = new List("Buffers at this instant", ([place, i]) => this.chooseBlock(this.panels[place], i));
    this.failureTitle = element("h3");
    this.blockTitle = element("h3");
    this.details = element("div", { id: "details", role: "region", "aria-live": "polite", "aria-label": "Details", tabindex: "0" },
      element("p", { class: "note" }, "Choose a failure or a buffer: here or in the map."));
    this.incidentBox = element("details", {});
    this.tipNode = element("div", { id: "tip", hidden: true, role: "tooltip" });
    const keys = [["← →", "the instant; with Shift faster"], ["+ −", "zoom time"], ["] [", "zoom addresses"], ["0", "all of it"], ["u", "the addresses in use"], ["z", "the chosen buffer"], ["↑ ↓", "the next buffer at this instant"], [", .", "the last and next allocation or free"], ["p n", "the last and next failure"], ["Home End", "begin and end"], ["Esc", "nothing chosen"]];
    section.append(...[
      element("div", { class: "bar" },
        element("label", { hidden: this.scenes.length < 2 }, "A", this.pickers[0]), element("label", { hidden: this.scenes.length < 2 }, "B", this.pickers[1]),
        this.viewLabel = element("label", {}, "Memory", this.viewPicker),
        element("span", { class: "group", role: "group", "aria-label": "Zoom" },
          button("−", "Zoom out", () => this.zoomTime(2, this.t)), button("+", "Zoom in", () => this.zoomTime(0.5, this.t)), button("All", "Show all", () => this.reset()), button("Used", "Show the addresses that are used", () => this.showUsed())),
        this.failureButtons = element("span", { class: "group", role: "group", "aria-label": "Failures" },
          button("◂ failure", "Previous failure", () => this.stepFailure(this.active(), -1)), button("failure ▸", "Next failure", () => this.stepFailure(this.active(), 1)))),
      this.key1,
      element("div", { class: "panels" }, this.panels.map((p) => p.node)),
      element("div", { class: "scrub" }, this.clock, this.scrub, element("span", { class: "group" }, button("◂", "Last event", () => this.stepEvent(false)), button("▸", "Next event", () => this.stepEvent(true)))),
      this.nothing, this.spoken,
      element("div", { class: "below" },
        element("div", {}, this.failureTitle, this.failureList.node), element("div", {}, this.blockTitle, this.blockList.node),
        element("div", {}, element("h3", {}, "Details"), this.details)),
      this.incidentBox,
      element("details", {}, element("summary", {}, "Keys and pointer"),
        element("ul", { class: "keys", id: "keys" }, keys.map(([k, text]) => element("li", {}, element("kbd", {}, k), " " + text))),
        element("p", { class: "note" }, "Drag the map to move it; a double click zooms to a buffer. Ctrl and the wheel zoom time, with Shift addresses; on the map that has the focus the wheel alone does. Tab goes from the map to the lists, arrows go through them.")),
      this.tipNode,
    ]);
    this.panelBox = section.querySelector(".panels");
  }

  active() {
    return this.panels.find((p) => p.scene && p.node.contains(document.activeElement)) ?? this.panels[this.failure?.panel ?? 0];
  }

  // showRuns shows other runs, or another memory of them.
  showRuns() {
    this.shown = this.shown.map((s, i) => (i === 0 ? s ?? this.scenes[0] : s));
    this.two = Boolean(this.shown[1]);
    this.pickers.forEach((p, i) => { p.value = String(this.shown[i] ? this.shown[i].index : -1); });
    const names = [...new Set(this.shown.filter(Boolean).flatMap((s) => s.views.map((v) => v.name)))];
    const wanted = this.viewPicker.value || this.wanted;
    this.viewPicker.replaceChildren(...names.map((n) => element("option", { value: n }, n)));
    const used = names.find((n) => this.shown.some((s) => s?.layer(n)?.n));
    if (names.includes(wanted)) this.viewPicker.value = wanted;
    else if (used) this.viewPicker.value = used;
    this.viewLabel.hidden = names.length < 2;
    this.panelBox.classList.toggle("two", this.two);
    this.panels.forEach((p, i) => p.show(this.shown[i], this.viewPicker.value));
    const layers = this.layers();
    this.duration = Math.max(1, ...this.shown.filter(Boolean).map((s) => s.duration));
    this.size = Math.max(1, ...layers.map((l) => l.size));
    this.chosen = this.failure = undefined;
    this.window = { t0: 0, t1: this.duration, a0: 0, a1: this.size };
    this.t = Math.min(this.t, this.duration);
    this.fillKey();
    this.fillFailures();
    this.fillIncidents();
    if (this.untouched) this.begin();
    this.nothing.textContent = names.length ? "" : "The result says nothing of where memory was used: there is no map.";
    this.nothing.hidden = names.length > 0;
    this.changed();
  }

  layers() { return this.panels.map((p) => p.layer).filter(Boolean); }

  // begin chooses what a reader sees at first: the first failure, or the middle.
  begin() {
    this.untouched = false;
    const first = this.failureValues[0];
    if (first) this.chooseFailure(this.panels[first[0]], first[1]);
    else this.t = this.duration / 2;
  }

  fillKey() {
    const holders = new Set();
    for (const layer of this.layers()) {
      for (let i = 0; i < layer.n; i++) holders.add(layer.scene.clients[layer.owner[i]].name);
      if (layer.cells) for (const c of layer.cells.of) if (c) holders.add(layer.scene.clients[c - 1].name);
    }
    const p = palette();
    const swatch = (...colors) => {
      const i = element("i");
      i.style.background = colors.length > 1 ? "linear-gradient(90deg, " + colors[0] + " 50%, " + colors[1] + " 50%)" : colors[0];
      if (colors[0] === p.free) i.style.outline = "1px solid " + p.faint;
      return i;
    };
    const nodes = this.colors.names.filter((n) => holders.has(n)).map((name) => element("button", {
      type: "button", "aria-pressed": String(this.colors.chosen === name), title: "Show " + name + " alone", on: { click: () => {
        this.colors.chosen = this.colors.chosen === name ? undefined : name;
        this.fillKey();
        this.redraw();
      } },
    }, swatch(this.colors.base(name), mix(this.colors.base(name), "#000000", 0.25)), name));
    const item = (text, ...colors) => element("span", { class: "item" }, swatch(...colors), text);
    nodes.push(item("free", p.free));
    const layers = this.layers();
    if (layers.some((l) => l.waste.some((w) => w > 0))) nodes.push(item("reserved, not asked for", mix(p.waste, p.free, 0.3)));
    if (layers.some((l) => l.frames)) nodes.push(item("kernel", p.kinds.kernel), item("programs", p.kinds.anonymous), item("page cache", p.kinds["page-cache"]), item("pages of dma-bufs", p.kinds["dma-buf"]));
    if (layers.some((l) => l.view.arena.length > 1 || l.size !== this.size)) nodes.push(item("outside", p.outside));
    this.key1.replaceChildren(...nodes);
  }

  fillFailures() {
    const items = [];
    let more = 0;
    this.panels.forEach((p, place) => {
      if (!p.layer) return;
      for (let i = 0; i < p.scene.failures; i++) {
        const f = p.scene.failure(i);
        items.push({ at: f.at, value: place + ":" + i, f, place, i, explained: p.scene.explanations[i] !== undefined });
      }
      const all = p.scene.clients.reduce((sum, c) => sum + c.failures, 0);
      more += Math.max(0, all - p.scene.failures);
    });
    items.sort((a, b) => a.at - b.at || a.place - b.place);
    this.failureValues = items.map((it) => [it.place, it.i]);
    this.failureList.fill(items.map((it, k) => ({ value: this.failureValues[k], nodes: [
      this.two ? element("span", { class: "tag" }, "AB"[it.place]) : null, clock(it.f.at) + " " + it.f.client + " " + bytes(it.f.size) + " ", element("small", {}, it.f.cause + (it.explained ? " · explained" : "")),
    ] })), items.length === 0 ? "Nothing failed." : more ? count(more) + " later ones are counted in the summary, not listed." : "");
    this.failureTitle.textContent = "Failures (" + count(items.length) + ")";
    this.failureButtons.hidden = items.length === 0;
  }

  fillIncidents() {
    const rows = [];
    this.panels.forEach((p, place) => p.scene?.incidents.forEach((it) => rows.push([it, place])));
    rows.sort((a, b) => a[0].at - b[0].at);
    this.incidentBox.hidden = rows.length === 0;
    const shown = rows.slice(0, 400);
    const list = new List("Incidents", (k) => this.setTime(shown[k][0].at));
    list.fill(shown.map(([it, place], k) => ({ value: k, nodes: [this.two ? element("span", { class: "tag" }, "AB"[place]) : null, it.text] })), rows.length > 400 ? count(rows.length - 400) + " more" : "");
    this.incidentBox.replaceChildren(element("summary", {}, "What went wrong beside failed requests (" + count(rows.length) + ")"), list.node);
  }

  // fillBlocks lists the largest buffers at the instant.
  fillBlocks() {
    const most = 100;
    const items = [];
    let all = 0;
    this.panels.forEach((p, place) => {
      if (!p.layer?.scene.recorded) return;
      const seen = new Set();
      for (const i of p.layer.alive(p.instant())) {
        const b = p.layer.buffer[i];
        if (seen.has(b)) continue;
        seen.add(b);
        items.push({ place, i, b, size: p.scene.column("buffer.reserved")[b] });
      }
    });
    all = items.length;
    items.sort((a, b) => b.size - a.size);
    items.length = Math.min(most, items.length);
    this.blockValues = items.map((it) => [it.place, it.i]);
    this.blockList.fill(items.map((it, k) => {
      const { layer, scene } = this.panels[it.place];
      const client = scene.clients[scene.column("buffer.client")[it.b]].name;
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = this.colors.base(client);
      return { value: this.blockValues[k], nodes: [this.two ? element("span", { class: "tag" }, "AB"[it.place]) : null, swatch, client + " " + bytes(it.size) + " ", element("small", { class: "mono" }, layer.address(layer.y0[it.i]))] };
    }), all === 0 ? (this.layers().some((l) => l.scene.recorded) ? "None." : "The result has no single buffers.") : all > most ? count(all - most) + " smaller ones" : "");
    this.blockTitle.textContent = "Buffers at this instant (" + count(all) + ")";
    this.showChosen();
  }

  // showChosen marks in the lists what is chosen.
  showChosen() {
    const find = (values, [place, i]) => values.find((v) => v[0] === place && v[1] === i);
    if (this.chosen) {
      const same = this.blockValues.find(([place, i]) => place === this.chosen.panel && this.panels[place].layer.buffer[i] === this.chosen.buffer);
      this.blockList.show(same);
    } else this.blockList.show(undefined);
    this.failureList.show(this.failure ? find(this.failureValues, [this.failure.panel, this.failure.index]) : undefined);
  }

  setTime(t, redraw = true) {
    this.t = Math.max(0, Math.min(this.duration, t));
    if (redraw) this.changed(false);
  }

  setWindow({ t0, t1, a0, a1 }) {
    const clamp = (lo, hi, limit, least) => {
      const size = Math.min(Math.max(hi - lo, least), limit);
      const from = Math.max(0, Math.min(lo, limit - size));
      return [from, from + size];
    };
    [t0, t1] = clamp(t0, t1, this.duration, Math.min(this.duration, 100));
    [a0, a1] = clamp(a0, a1, this.size, Math.min(this.size, 64 * (this.layers()[0]?.unit ?? 1)));
    this.window = { t0, t1, a0, a1 };
    this.changed();
  }

  zoomTime(factor, about) {
    const { t0, t1 } = this.window;
    this.setWindow({ ...this.window, t0: about - (about - t0) * factor, t1: about + (t1 - about) * factor });
  }

  zoomAddress(factor, about) {
    const { a0, a1 } = this.window;
    this.setWindow({ ...this.window, a0: about - (about - a0) * factor, a1: about + (a1 - about) * factor });
  }

  // showUsed zooms to the addresses that ever had a block.
  showUsed() {
    let a0 = Infinity;
    let a1 = 0;
    for (const layer of this.layers()) {
      for (let i = 0; i < layer.n; i++) {
        a0 = Math.min(a0, layer.y0[i]);
        a1 = Math.max(a1, layer.y1[i]);
      }
    }
    if (a0 < a1) this.setWindow({ ...this.window, a0: a0 - (a1 - a0) / 50, a1: a1 + (a1 - a0) / 50 });
  }

  // showBlock zooms to a block, with as much again on every side.
  showBlock(panel, i) {
    const { layer } = panel;
    const t1 = Math.min(layer.t1[i], layer.scene.duration);
    const life = Math.max(t1 - layer.t0[i], 100);
    const size = layer.y1[i] - layer.y0[i];
    this.setWindow({ t0: layer.t0[i] - life, t1: t1 + life, a0: layer.y0[i] - 4 * size, a1: layer.y1[i] + 4 * size });
  }

  reset() { this.setWindow({ t0: 0, t1: this.duration, a0: 0, a1: this.size }); }

  // changed draws again, once for all changes before the next picture.
  changed(whole = true) {
    this.whole = this.whole || whole;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.whole) for (const p of this.panels) p.draw();
      else for (const p of this.panels) p.drawOver();
      this.whole = false;
      this.clock.textContent = clock(this.t, Math.min(1e6, (this.window.t1 - this.window.t0) / 2000));
      this.scrub.value = String(Math.round((this.t / this.duration) * scrubSteps));
      this.scrub.setAttribute("aria-valuetext", this.clock.textContent);
      this.fillBlocks();
      clearTimeout(this.saving);
      this.saving = setTimeout(() => this.save(), 500); // browsers allow no more than so many in a time
      document.documentElement.dataset.drawn = String(Number(document.documentElement.dataset.drawn ?? 0) + 1);
    });
  }

  redraw() { this.changed(true); }

  // follow moves the window so that the instant is in it.
  follow() {
    const { t0, t1 } = this.window;
    if (this.t >= t0 && this.t <= t1) return this.changed(false);
    const half = (t1 - t0) / 2;
    this.setWindow({ ...this.window, t0: this.t - half, t1: this.t + half });
  }

  chooseBlock(panel, i) {
    if (i === undefined || i < 0) {
      this.chosen = undefined;
      return this.changed(false);
    }
    const { layer } = panel;
    this.chosen = { panel: panel.place, block: i, buffer: layer.buffer[i], blocks: layer.blocksOf(layer.buffer[i]) };
    this.failure = undefined;
    this.details.replaceChildren(...aboutBuffer(layer, i, this.colors), element("p", {}, element("button", { type: "button", on: { click: () => this.showBlock(panel, i) } }, "Zoom to it")));
    this.changed(false);
  }

  chooseFailure(panel, i) {
    const { scene } = panel;
    const f = scene.failure(i);
    const view = scene.views.find((v) => v.name === this.viewPicker.value && v.heaps.includes(f.heap)) ?? scene.views.find((v) => v.heaps.includes(f.heap));
    if (view && view.name !== this.viewPicker.value) {
      this.viewPicker.value = view.name;
      this.showRuns();
    }
    const { layer } = panel;
    const e = scene.explanations[i];
    const highlights = [];
    for (const b of e?.in_the_way ?? []) {
      const known = b.op ? scene.bufferOf(b.op) : -1;
      if (known >= 0) {
        for (const k of layer.blocksOf(known)) highlights.push({ t0: layer.t0[k], t1: Math.min(layer.t1[k], scene.duration), y0: layer.y0[k], y1: layer.y1[k] });
      } else if (layer) {
        const y0 = Number(b.addr) - layer.view.lo * layer.unit;
        highlights.push({ t0: b.since_ns, t1: f.at, y0, y1: y0 + b.bytes });
      }
    }
    // Where somebody was killed for the request, memory as it was before is of interest.
    const killed = scene.incidents.some((it) => it.at === f.at && it.kind === "out-of-memory");
    this.chosen = undefined;
    this.failure = { panel: panel.place, index: i, at: f.at, event: killed && layer ? layer.begins(f.at, f.op) : f.op, highlights };
    this.details.replaceChildren(...aboutFailure(scene, i));
    this.t = f.at;
    this.follow();
  }

  stepFailure(panel, by) {
    if (!panel.scene?.failures) panel = this.panels.find((p) => p.scene?.failures);
    if (!panel) return;
    const at = panel.scene.column("failure.at");
    let i = this.failure?.panel === panel.place ? this.failure.index + by : by > 0 ? lastAt(at, this.t) + 1 : lastAt(at, this.t);
    i = Math.max(0, Math.min(at.length - 1, i));
    this.chooseFailure(panel, i);
  }

  stepEvent(forward) {
    const times = this.layers().map((l) => l.change(this.t, forward)).filter((t) => t !== undefined);
    if (!times.length) return;
    this.t = forward ? Math.min(...times) : Math.max(...times);
    this.follow();
    this.speak();
  }

  // stepBlock goes to the next buffer up or down in memory at the instant.
  stepBlock(panel, up) {
    const { layer } = panel;
    const alive = layer.alive(panel.instant()).filter((i) => layer.y1[i] > this.window.a0 && layer.y0[i] < this.window.a1);
    if (!alive.length) return;
    const chosen = this.chosen?.panel === panel.place ? this.chosen.block : undefined;
    const at = alive.indexOf(chosen);
    const next = at < 0 ? (up ? 0 : alive.length - 1) : at + (up ? 1 : -1);
    this.chooseBlock(panel, alive[Math.max(0, Math.min(alive.length - 1, next))]);
  }

  key(e, panel) {
    if (e.altKey || e.ctrlKey || e.metaKey || !panel.layer) return;
    const span = this.window.t1 - this.window.t0;
    const step = span / (e.shiftKey ? 10 : 100);
    const middle = this.chosen?.panel === panel.place ? (panel.layer.y0[this.chosen.block] + panel.layer.y1[this.chosen.block]) / 2 : (this.window.a0 + this.window.a1) / 2;
    const act = {
      ArrowLeft: () => this.move(-step), ArrowRight: () => this.move(step),
      ArrowUp: () => this.stepBlock(panel, true), ArrowDown: () => this.stepBlock(panel, false),
      Home: () => this.move(-Infinity), End: () => this.move(Infinity),
      "+": () => this.zoomTime(0.5, this.t), "=": () => this.zoomTime(0.5, this.t), "-": () => this.zoomTime(2, this.t),
      "]": () => this.zoomAddress(0.5, middle), "[": () => this.zoomAddress(2, middle),
      0: () => this.reset(), u: () => this.showUsed(),
      z: () => this.chosen?.panel === panel.place && this.showBlock(panel, this.chosen.block),
      n: () => this.stepFailure(panel, 1), p: () => this.stepFailure(panel, -1),
      ",": () => this.stepEvent(false), ".": () => this.stepEvent(true),
      Escape: () => {
        this.failure = undefined;
        this.chooseBlock(panel, -1);
      },
    }[e.key];
    if (!act) return;
    e.preventDefault();
    act();
  }

  move(by) {
    this.t = Math.max(0, Math.min(this.duration, this.t + by));
    this.follow();
    this.speak();
  }

  // speak tells those who listen, once the instant stays, what there is.
  speak() {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => {
      const shown = this.panels.filter((p) => p.layer);
      this.spoken.textContent = [this.clock.textContent, ...shown.map((p) => p.title.textContent + ": " + p.readout.textContent)].join(". ");
    }, 400);
  }

  // tip shows nodes beside the pointer; nothing hides it.
  tip(nodes, e) {
    this.tipNode.hidden = !nodes;
    if (!nodes) return;
    this.tipNode.replaceChildren(...nodes);
    const { width, height } = this.tipNode.getBoundingClientRect();
    const x = e.clientX + 14 + width > innerWidth ? Math.max(4, e.clientX - 14 - width) : e.clientX + 14;
    const y = Math.max(4, Math.min(e.clientY + 14, innerHeight - height - 4));
    this.tipNode.style.transform = "translate(" + x + "px, " + y + "px)";
  }
}

function themeButton(app) {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const store = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("dmasim-theme");
      localStorage.setItem("dmasim-theme", value);
    } catch {
      return null; // pages from files may not keep anything
    }
  };
  const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  const kept = store();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  button.hidden = false;
  button.setAttribute("aria-label", "Switch between dark and light");
  const changed = () => {
    label();
    const current = app();
    if (current) {
      current.fillKey();
      current.redraw();
    }
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    store(root.dataset.theme);
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  label();
}

let app;
themeButton(() => app);
const section = document.getElementById("map");
if (section) {
  const loading = document.getElementById("loading");
  try {
    const data = JSON.parse(document.getElementById("scenes").textContent);
    const scenes = [];
    for (const [i, run] of data.entries()) {
      const text = document.getElementById("columns-" + i);
      scenes.push(new Scene(run, await unpack(text.textContent, run.columns), i));
      text.remove();
    }
    loading.remove();
    app = new App(scenes, section);
    addEventListener("resize", () => app.redraw());
    requestAnimationFrame(() => requestAnimationFrame(() => { document.documentElement.dataset.ready = String(Math.round(performance.now())); }));
  } catch (error) {
    loading.textContent = "The data of this page cannot be read: " + error.message;
    throw error;
  }
} else {
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}
