"use strict";
// The report's program: draws what the block "data" holds.  Texts come from folders: they are set as text, never as HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const PRINTED = 680;                                   // pixels of a picture on paper
  const RAMP = ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"];       // cividis

  const make = (parent, name, attributes = {}, text) => {
    const node = ["svg", "line", "circle", "text", "rect", "path", "title", "stop", "defs", "marker"].includes(name)
      ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  };
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");    // for Plotly
  const told = (value) => value === null || value === undefined ? "–"
    : Math.abs(value) >= 1e5 && Math.abs(value) < 1e15 ? Math.round(value).toLocaleString("en-US")
    : Number(value.toPrecision(5)).toLocaleString("en-US", { maximumSignificantDigits: 5 });
  const choice = (parent, label, options, changed) => {
    const select = make(make(parent, "label", {}, `${label} `), "select");
    options.forEach((option, k) => make(select, "option", { value: k }, option));
    select.addEventListener("change", changed);
    return select;
  };
  const tick = (parent, label, checked, changed) => {
    const holder = make(parent, "label"), box = make(holder, "input", { type: "checkbox" });
    box.checked = checked;
    box.addEventListener("change", changed);
    make(holder, "span", {}, label);
    return box;
  };
  const fill = (holder, columns, rows) => {              // a table in place of what the holder has
    holder.replaceChildren();
    const table = make(holder, "table"), head = make(make(table, "thead"), "tr"), body = make(table, "tbody");
    columns.forEach((name) => make(head, "th", { scope: "col" }, name));
    rows.forEach((row) => {
      const line = make(body, "tr");
      row.forEach((cell, k) => make(line, k ? "td" : "th", k ? { class: "number" } : { scope: "row" }, cell));
    });
  };

  const pictures = [];
  const chart = (each) => {
    const place = document.getElementById(each.id), picture = place.querySelector(".picture");
    const controls = place.querySelector(".controls"), legend = place.querySelector(".legend");
    const draw = () => {
      const column = each.columns[what.value], axis = each.axes[against.value];
      const lines = column.lines.filter((line) => axis.name in line.x && boxes[line.setup].checked);
      const traces = lines.flatMap((line) => {
        const setup = each.setups[line.setup], x = each.pool[line.x[axis.name]], y = each.pool[line.y];
        const common = { x, type: "scatter", mode: "lines", legendgroup: line.setup, showlegend: false };
        const band = line.low === undefined || !bands.checked ? [] : [
          { ...common, y: each.pool[line.low], line: { width: 0 }, hoverinfo: "skip" },
          { ...common, y: each.pool[line.high], line: { width: 0 }, hoverinfo: "skip", fill: "tonexty",
            fillcolor: `${setup.colour}2e` }];
        return [...band, { ...common, y, mode: x.length > 1 ? "lines" : "markers", name: plain(setup.label),
          line: { color: setup.colour, dash: setup.dash, width: 2 }, marker: { color: setup.colour } }];
      });
      const coarse = matchMedia("(pointer: coarse)").matches;
      Plotly.react(picture, traces, {
        margin: { l: 64, r: 12, t: coarse ? 12 : 34, b: 52 }, hovermode: "x unified", dragmode: coarse ? false : "zoom",
        font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "#1d2228" },
        hoverlabel: { namelength: -1 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
        xaxis: { title: { text: plain(axis.label) }, gridcolor: "#e4e4e4", rangemode: "tozero", zeroline: false,
          type: byteLog(axis) ? "log" : "linear", exponentformat: "power" },
        yaxis: { title: { text: plain(column.label) }, gridcolor: "#e4e4e4", zeroline: false, automargin: true,
          type: logarithmic.checked ? "log" : "linear", exponentformat: "power" },
      }, { responsive: true, displaylogo: false, displayModeBar: coarse ? false : "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
      const rows = lines.map((line) => {
        const at = each.pool[line.x[axis.name]], y = each.pool[line.y], last = y.length - 1;
        const bounds = line.low === undefined ? "" : ` [${told(each.pool[line.low][last])}, ${told(each.pool[line.high][last])}]`;
        return [each.setups[line.setup].label, String(line.seeds), told(at[0]), told(y[0]), told(at[last]), `${told(y[last])}${bounds}`];
      });
      fill(place.querySelector(".alternative .wide"), ["line", "seeds", `first ${axis.label}`, "value there", `last ${axis.label}`, "value there"], rows);
      picture.setAttribute("aria-label", `${column.label} against ${axis.label}: ${rows.length} lines. `
        + rows.slice(0, 8).map((row) => `${row[0]} ends at ${row[5]}`).join("; ")
        + (rows.length > 8 ? "; the others stand in the table below." : "."));
    };
    const byteLog = (axis) => axis.name === "bytes";
    const what = choice(controls, "Show", each.columns.map((column) => column.label), () => {
      logarithmic.checked = each.columns[what.value].log;
      draw();
    });
    const against = choice(controls, "against", each.axes.map((axis) => axis.label), draw);
    const banded = each.columns.some((column) => column.lines.some((line) => line.low !== undefined));
    const bands = tick(controls, each.what === "Diagnostics" ? "least to most" : "intervals", banded, draw);
    bands.disabled = !banded;
    const logarithmic = tick(controls, "logarithmic", each.columns[0].log, draw);
    const drawn = new Set(each.columns.flatMap((column) => column.lines.map((line) => line.setup)));
    const boxes = each.setups.map((setup, k) => {
      const seeds = each.what === "Diagnostics" ? "" : ` (${setup.seeds} seed${setup.seeds === 1 ? "" : "s"})`;
      const box = tick(legend, `${setup.label}${seeds}`, true, draw);
      const dash = { solid: "none", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3" }[setup.dash];
      const sample = make(box.parentNode, "svg", { viewBox: "0 0 40 10", "aria-hidden": "true" });
      make(sample, "line", { x1: 0, y1: 5, x2: 40, y2: 5, stroke: setup.colour, "stroke-width": 3.5, "stroke-dasharray": dash });
      box.after(sample);
      box.parentNode.hidden = !drawn.has(k);
      return box;
    });
    if (drawn.size > 3) {
      for (const [label, wanted] of [["all", true], ["none", false]]) {
        make(legend, "button", { type: "button" }, label).addEventListener("click", () => {
          boxes.forEach((box) => { box.checked = wanted; });
          draw();
        });
      }
    }
    draw();
    pictures.push(picture);
  };
  data.charts.filter((each) => each.columns.length).forEach(chart);

  const colour = (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1), k = Math.min(Math.floor(at), RAMP.length - 2);
    const parts = [1, 3, 5].map((from) => {
      const [low, high] = [RAMP[k], RAMP[k + 1]].map((hex) => parseInt(hex.slice(from, from + 2), 16));
      return Math.round(low + (high - low) * (at - k));
    });
    return { fill: `rgb(${parts.join(",")})`, ink: parts[0] * 0.3 + parts[1] * 0.59 + parts[2] * 0.11 > 120 ? "#000" : "#fff" };
  };
  const range = (values) => {
    const known = values.filter((value) => value !== null && value !== undefined);
    return known.length ? [Math.min(...known), Math.max(...known)] : null;
  };

  const viewer = document.getElementById("viewer"), network = viewer.querySelector(".network");
  const caption = viewer.querySelector(".caption"), note = viewer.querySelector(".note"), scale = viewer.querySelector(".scale");
  const controls = viewer.querySelector(".controls");
  const current = () => {
    const run = data.runs[which.value], topology = data.topologies[run.topology], k = Number(mode.value);
    const options = run.colours.filter((each) => each.kind !== "none");
    return { run, topology, k, view: topology.views[k], traffic: run.views[k], tint: options[paint.value], at: Number(slider.value) };
  };
  const bytesOf = ({ topology, view, traffic }, at) => {         // of every pair, in one stretch
    const counts = topology.pool[view.frames[at].messages], all = traffic.messages[at];
    return counts.map((count) => all ? traffic.bytes[at] * count / all : 0);
  };
  const values = ({ run, traffic, tint, k, topology }, at) => tint.kind === "agent" ? run.pool[tint.values]
    : tint.kind === "stretch" ? run.pool[tint.values[k][at]]
    : Array(topology.agents).fill(traffic[tint.of][at]);
  const name = (topology, agent) => topology.labels[agent] ?? String(agent);
  const spot = (agent, n) => {
    const angle = -Math.PI / 2 + 2 * Math.PI * agent / n, radius = n === 1 ? 0 : 95;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  };
  const drawGraph = () => {
    const now = current(), { run, topology, view, traffic, tint, at } = now, n = topology.agents, frame = view.frames[at];
    const bytes = bytesOf(now, at), most = Math.max(...view.frames.map((_, k) => Math.max(0, ...bytesOf(now, k))), 0);
    const counts = topology.pool[frame.messages], size = Math.max(2.2, Math.min(11, 150 / n));
    const span = range(tint.kind === "agent" ? values(now, 0) : view.frames.flatMap((_, k) => values(now, k)));
    const shade = values(now, at);
    network.replaceChildren();
    const arrow = make(make(network, "defs"), "marker", { id: "arrow", viewBox: "0 0 10 10", refX: 9, refY: 5,
      markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" });
    make(arrow, "path", { d: "M 0 1 L 10 5 L 0 9 z", fill: "#5b6570" });
    view.pairs.forEach(([i, j], k) => {
      if (!counts[k]) return;
      const [a, b] = [spot(i, n), spot(j, n)], length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
      const cut = view.directed ? (size + 1) / length : 0;
      const line = make(network, "line", { x1: a[0] + cut * (b[0] - a[0]), y1: a[1] + cut * (b[1] - a[1]),
        x2: b[0] - cut * (b[0] - a[0]), y2: b[1] - cut * (b[1] - a[1]), stroke: "#5b6570", "stroke-opacity": 0.75,
        "stroke-width": most ? 0.4 + 4.6 * bytes[k] / most : 0.8, class: "link", "data-bytes": bytes[k] });
      if (view.directed) line.setAttribute("marker-end", "url(#arrow)");
      make(line, "title", {}, `${name(topology, i)} ${view.directed ? "to" : "and"} ${name(topology, j)}: ${told(bytes[k])} bytes`);
    });
    for (let agent = 0; agent < n; agent += 1) {
      const [x, y] = spot(agent, n), value = shade[agent];
      const known = value !== null && value !== undefined && span;
      const look = known ? colour(span[1] > span[0] ? (value - span[0]) / (span[1] - span[0]) : 0.5) : { fill: "#fff", ink: "#000" };
      const node = make(network, "circle", { cx: x, cy: y, r: size, fill: look.fill, stroke: "#1d2228", "stroke-width": 0.7, class: "agent" });
      make(node, "title", {}, `agent ${name(topology, agent)}: ${told(value)}`);
      if (n <= 30) make(network, "text", { x, y, fill: look.ink }, String(agent));
    }
    const linked = counts.filter((count) => count > 0).length;
    const when = frame.to === frame.from + 1 ? `iteration ${frame.from}` : `iterations ${frame.from} to ${frame.to - 1}`;
    const partly = frame.looks < frame.to - frame.from ? ` Counted in ${frame.looks} of these iterations.` : "";
    const over = most ? "" : " Nothing was sent over these links: this algorithm does not use them.";
    caption.textContent = `${when}: ${linked} ${view.directed ? "directed links" : "links"} among ${n} agents, `
      + `${told(traffic.bytes[at])} bytes for consensus in all; team reward ${told(traffic.reward[at])}, `
      + `mean disagreement ${told(traffic.consensus_error[at])}.${partly}${over}`;
    output.textContent = when;
    network.setAttribute("aria-label", `The graph of ${run.label}, seed ${run.seed}, ${caption.textContent} Wide edges carried much. Agents are coloured by ${tint.label}.`);
    slider.setAttribute("aria-valuetext", when);
    scale.replaceChildren();
    if (span) {
      make(scale, "span", {}, told(span[0]));
      const bar = make(scale, "svg", { viewBox: "0 0 60 6", preserveAspectRatio: "none", "aria-hidden": "true" });
      for (let k = 0; k < 60; k += 1) make(bar, "rect", { x: k, y: 0, width: 1.2, height: 6, fill: colour(k / 59).fill });
      make(scale, "span", {}, told(span[1]));
    }
    const order = view.pairs.map((_, k) => k).filter((k) => counts[k]).sort((a, b) => bytes[b] - bytes[a]).slice(0, 20);
    fill(viewer.querySelector("details .wide"), ["link", "messages a round", "bytes"], order.map((k) => [
      `${name(topology, view.pairs[k][0])} ${view.directed ? "→" : "–"} ${name(topology, view.pairs[k][1])}`, told(counts[k]), told(bytes[k])]));
  };
  const rewind = () => {
    slider.max = current().view.frames.length - 1;
    slider.value = 0;
    slider.disabled = slider.max === "0";
    drawGraph();
  };
  const chosen = () => {
    const run = data.runs[which.value], there = run.topology !== null;
    for (const part of [mode, slider, paint]) part.parentNode.hidden = !there;
    viewer.querySelector(".stage").hidden = !there;
    const remarks = run.conditions.length ? [`With conditions of the network (${run.conditions.join(", ")}) the graph shows who may talk; what was lost or late the learning curves tell.`] : [];
    const missing = run.colours.filter((each) => each.kind === "none").map((each) => `Not shown: ${each.label}.`);
    note.textContent = (there ? [...remarks, ...missing] : [`No graph is shown. ${run.why}`]).join(" ");
    note.hidden = !note.textContent;
    if (!there) return;
    mode.replaceChildren();
    ["the whole run", "its first iterations, one by one"].slice(0, data.topologies[run.topology].views.length)
      .forEach((label, k) => make(mode, "option", { value: k }, label));
    mode.value = 0;
    paint.replaceChildren();
    run.colours.filter((each) => each.kind !== "none").forEach((each, k) => make(paint, "option", { value: k }, each.label));
    paint.value = 0;
    rewind();
  };
  const which = choice(controls, "Run", data.runs.map((run) => `${run.label}, seed ${run.seed}`), chosen);
  const mode = choice(controls, "Time", [], rewind);
  const paint = choice(controls, "Agents by", [], () => drawGraph());
  const slide = make(controls, "label", { class: "slider" }, "When "), slider = make(slide, "input", { type: "range", min: 0, value: 0, id: "when" });
  const output = make(slide, "output");
  slider.addEventListener("input", drawGraph);
  if (data.runs.length) {
    const first = data.runs.findIndex((run) => run.topology !== null);
    which.value = Math.max(first, 0);
    chosen();
  } else viewer.hidden = true;

  const opened = new Set();                              // tables that stand open on paper alone
  addEventListener("beforeprint", () => {
    document.querySelectorAll(".alternative:not([open])").forEach((each) => { each.open = true; opened.add(each); });
    pictures.forEach((picture) => Plotly.relayout(picture, { width: PRINTED, height: 340, autosize: false }));
  });
  addEventListener("afterprint", () => {
    opened.forEach((each) => { each.open = false; });
    opened.clear();
    pictures.forEach((picture) => Plotly.relayout(picture, { width: null, height: null, autosize: true }));
  });
})();
