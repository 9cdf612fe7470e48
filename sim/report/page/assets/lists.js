// Lists that are walked with the arrow keys, and the text about what is chosen.

let lists = 0;

// List is a list box: one stop for the tab key, arrows within.
class List {
  constructor(label, choose) {
    this.choose = choose;
    this.id = "list" + lists++;
    this.node = element("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": label, on: {
      keydown: (e) => this.key(e),
      click: (e) => {
        const option = e.target.closest('[role="option"]');
        if (option) this.select(this.options.indexOf(option));
      },
      focus: () => { // by a key: a pointer must not find the list scrolled
        if (this.node.matches(":focus-visible")) this.mark(Math.max(this.at, 0));
      },
    } });
    this.options = [];
    this.at = -1;
  }

  // fill shows items {value, nodes}; note says what is not shown.
  fill(items, note) {
    this.values = items.map((item) => item.value);
    this.options = items.map((item, i) => element("div", { role: "option", id: this.id + "-" + i, "aria-selected": "false" }, item.nodes));
    this.node.replaceChildren(...this.options, ...(note ? [element("p", {}, note)] : []));
    this.at = -1;
    this.node.removeAttribute("aria-activedescendant");
  }

  // show marks the item of a value as chosen, if it is there.
  show(value, scroll = true) {
    const i = this.values?.indexOf(value) ?? -1;
    this.options.forEach((o, k) => o.setAttribute("aria-selected", String(k === i)));
    if (i >= 0) {
      this.mark(i, scroll);
    }
  }

  mark(i, scroll = true) {
    this.options[this.at]?.classList.remove("at");
    const option = this.options[i];
    if (!option) return;
    this.at = i;
    option.classList.add("at");
    this.node.setAttribute("aria-activedescendant", option.id);
    if (scroll) {
      const top = option.offsetTop - this.node.offsetTop;
      if (top < this.node.scrollTop) this.node.scrollTop = top;
      else if (top + option.offsetHeight > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = top + option.offsetHeight - this.node.clientHeight;
    }
  }

  select(i) {
    if (!this.options[i]) return;
    this.mark(i);
    this.choose(this.values[i]);
  }

  key(e) {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    if (e.key in moves) {
      this.select(Math.max(0, Math.min(this.options.length - 1, this.at + moves[e.key])));
    } else if (e.key === "Enter" || e.key === " ") {
      this.select(this.at);
    } else {
      return;
    }
    e.preventDefault();
    e.stopPropagation();
  }
}

// properties makes a list of names and values.
function properties(pairs) {
  return element("dl", { class: "props" }, pairs.filter(([, value]) => value !== undefined && value !== "").map(([name, value, className]) =>
    [element("dt", {}, name), element("dd", { class: className }, value)]));
}

// aboutBuffer tells of a block.
function aboutBuffer(layer, i, colors) {
  const b = layer.scene.buffer(layer.buffer[i]);
  const swatch = element("span", { class: "swatch" });
  swatch.style.background = colors.base(b.client.name);
  const reserved = b.reserved === b.payload ? "" : bytes(b.reserved) + " (" + percent((b.reserved - b.payload) / b.reserved) + " not asked for)";
  const constraints = b.client.constraints.map((c) => c.text);
  if (b.align > 1) constraints.push("the request asked for an alignment of " + bytes(b.align));
  return [
    element("h4", {}, swatch, b.client.name),
    properties([
      ["size", bytes(b.payload)], ["reserved", reserved],
      ["address", layer.address(layer.y0[i]) + " – " + layer.address(layer.y1[i]), "mono"],
      ["pieces", b.pieces > 1 ? count(b.pieces) : ""],
      ["from", clock(b.start)], ["until", b.live ? "the end of the run" : clock(b.end)],
      ["lifetime", (b.live ? "at least " : "") + clock(b.end - b.start)],
      ["heap", b.heap.name], ["devices", b.client.devices.join(", ")],
      ["constraints", constraints.length ? constraints.join("; ") : "none: it may lie anywhere"],
      ["event", count(b.number)],
    ]),
  ];
}

// recordedFunnel is what is known of a failure that nobody explained.
function recordedFunnel(f) {
  return properties([
    ["asked for", bytes(f.size) + (f.reserve > f.size ? ", " + bytes(f.reserve) + " with padding and rounding" : "")],
    ["free", bytes(f.free)], ["free in reach", bytes(f.reach)], ["largest run in reach", bytes(f.largest)],
    ["polluted", f.polluted ? bytes(f.polluted) + " of the window held by buffers that don't need it" : ""],
    ["waiting", f.waiting ? bytes(f.waiting) + " for a flush of the IOTLB" : ""],
  ]);
}

// aboutFailure tells why a request failed.
function aboutFailure(scene, i) {
  const f = scene.failure(i);
  const e = scene.explanations[i];
  if (!e) {
    const nodes = [element("h4", {}, clock(f.at) + ": " + f.client + " asked heap " + (scene.heaps[f.heap]?.name ?? "?") + " for " + bytes(f.size)),
      element("p", {}, element("span", { class: "tag" }, f.cause), "event " + count(f.op)), recordedFunnel(f)];
    if (scene.command) nodes.push(element("p", { class: "note" }, "Who was in the way and what would have helped: ", element("span", { class: "mono" }, scene.command + " --failure " + (i + 1))));
    return nodes;
  }
  const nodes = [element("h4", {}, e.headline), element("p", {}, element("span", { class: "tag" }, e.cause), e.reason)];
  if (e.verdict) nodes.push(element("p", {}, "It was placed at " + e.place.lo + ": " + e.verdict));
  if (e.funnel.length) {
    const most = Math.max(...e.funnel.map((s) => s.bytes), 1);
    nodes.push(element("h4", {}, "What was free, and what of it was of use"), element("div", { class: "wide" }, element("table", {}, element("tbody", {}, e.funnel.map((s, k) => element("tr", { class: k === e.died ? "died" : undefined },
      element("th", { scope: "row" }, s.name, element("small", {}, (k === e.died ? "less than the " + bytes(s.needed_bytes) + " needed" + (s.note ? "; " : "") : "") + (s.note ?? ""))),
      element("td", {}, element("meter", { min: 0, max: most, value: s.bytes, "aria-label": s.name })), element("td", {}, bytes(s.bytes))))))));
    nodes.push(element("p", {}, "Asked for: " + bytes(e.payload_bytes) + (e.reserve_bytes > e.payload_bytes ? ", " + bytes(e.reserve_bytes) + " with padding and rounding" : "")));
  }
  if (e.in_the_way.length) {
    nodes.push(element("h4", {}, "In the way, the fewest without which there is a place"),
      element("ul", {}, e.in_the_way.slice(0, 12).map((b) => element("li", {}, inTheWay(b)))));
    const more = e.in_the_way.length - 12 + e.more;
    if (more > 0) nodes.push(element("p", { class: "note" }, "and " + more + " more"));
  }
  if (e.changes.length) {
    nodes.push(element("h4", {}, "The smallest changes, each of which alone would have done"),
      element("ul", {}, e.changes.map((c) => element("li", {}, changeText(c)))));
  }
  if (e.holders.length) {
    nodes.push(element("h4", {}, "Who held memory"), element("div", { class: "wide" }, element("table", {},
      element("thead", {}, element("tr", {}, ["", "bytes", "in reach", "had to lie there"].map((h) => element("th", { scope: "col" }, h)))),
      element("tbody", {}, e.holders.slice(0, 12).map((h) => element("tr", {}, element("th", { scope: "row" }, h.name + (h.blocks ? " (" + count(h.blocks) + " " + h.what + ")" : h.what ? " (" + h.what + ")" : "")),
        element("td", {}, bytes(h.bytes)), element("td", {}, bytes(h.in_reach_bytes)), element("td", {}, h.in_reach_bytes === 0 ? "–" : h.needed ? "yes" : "no")))))));
  }
  for (const note of e.notes) nodes.push(element("p", { class: "note" }, note));
  return nodes;
}

function inTheWay(b) {
  return b.owner + ": " + bytes(b.bytes) + " at " + b.addr + (b.op ? ", there since " + clock(b.since_ns) : "") + (b.devices.length ? ", for " + b.devices.join(" and ") : "") +
    (!b.needed && b.what === "buffer" ? "; it could have lain elsewhere" : "");
}

function changeText(c) {
  let text = c.text;
  if (c.kind === "free-strangers" && c.buffers?.length) text += ": " + inTheWay({ ...c.buffers[0], needed: true }) + (c.buffers.length > 1 ? ", and " + (c.buffers.length - 1) + " more" : "");
  if (c.place && c.kind !== "tell-heap" && c.kind !== "other-strategy") text += "; a place is at " + c.place.lo + " then";
  if (c.served_by_heap === true) text += "; served";
  if (c.served_by_heap === false) text += "; but the strategy does not look there";
  return text + (c.verified ? "" : " (not tried)");
}
