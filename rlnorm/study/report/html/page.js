// Draws the figures of a part when it is opened, filters and sorts the answers, saves data as CSV. Without it the
// page still tells every answer, figure by figure, in its tables.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg", W = 440, PATTERNS = ["", "7 3", "2 3", "9 3 2 3", "4 2", "12 4", "1 2", "6 2 1 2"];
  const $ = (found, root = document) => root.querySelector(found), all = (found, root = document) => [...root.querySelectorAll(found)];
  const finite = (values) => values.filter((v) => v !== null && v !== undefined);
  const clean = (text) => text.replace(/^\s+|\s+$/g, "").replace(/\s+/g, " ");

  function element(parent, name, attributes = {}, text = "") {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    parent.append(made);
    return made;
  }

  function html(parent, name, properties = {}) {
    const made = Object.assign(document.createElement(name), properties);
    parent.append(made);
    return made;
  }

  const short = (v) => Math.abs(v) >= 1e6 ? `${+(v / 1e6).toPrecision(3)}M` : Math.abs(v) >= 1e4 ? `${+(v / 1e3).toPrecision(3)}k` : String(+v.toPrecision(3));

  function ticks(low, high, count) {
    const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw), found = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(Math.abs(v) < step * 1e-9 ? 0 : v);
    return found;
  }

  // One figure: <figure> with caption and buttons, an SVG with title and description, and what can be saved of it.
  function figure(parent, caption, description, height, rows) {
    const box = html(parent, "figure");
    html(box, "figcaption", { textContent: caption });
    const svg = element(box, "svg", { viewBox: `0 0 ${W} ${height}`, role: "img" });
    const name = `f${all("figure svg").length}`;
    svg.setAttribute("aria-labelledby", `${name}t ${name}d`);
    element(svg, "title", { id: `${name}t` }, caption);
    element(svg, "desc", { id: `${name}d` }, description);
    const buttons = html(box, "p", { className: "buttons" });
    saver(buttons, caption, rows);
    return { svg, buttons };
  }

  function saver(parent, caption, rows) {
    const button = html(parent, "button", { type: "button", textContent: data.say.csv, className: "csv" });
    button.setAttribute("aria-label", `${data.say.csv}: ${caption}`);
    button.addEventListener("click", () => {
      const cell = (v) => v === null || v === undefined ? "" : /[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : v;
      const text = rows().map((row) => row.map(cell).join(",")).join("\n") + "\n";
      const link = html(document.body, "a", {
        href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: `${caption.replace(/[^\p{L}\p{N}]+/gu, "-")}.csv`,
      });
      link.click();
      URL.revokeObjectURL(link.href);
      link.remove();
    });
  }

  // A legend of one row or more under the top edge -> where the plot begins.
  function legend(svg, arms, label) {
    let x = 8, y = 12;
    for (const arm of arms) {
      const text = label(arm), wide = 34 + 6.6 * text.length;
      if (x > 8 && x + wide > W) { x = 8; y += 17; }
      element(svg, "path", { d: `M${x} ${y - 4}h22`, stroke: arm.colour, "stroke-width": 2.5, "stroke-dasharray": PATTERNS[arm.pattern % 8] });
      element(svg, "text", { x: x + 27, y }, text);
      x += wide;
    }
    return y + 12;
  }

  function axes(svg, frame, xs, ys, xLabel, yLabel) {
    for (const v of ys.ticks) {
      element(svg, "path", { class: "grid", d: `M${frame.left} ${ys.at(v)}H${frame.right}` });
      element(svg, "text", { x: frame.left - 5, y: ys.at(v) + 4, "text-anchor": "end" }, short(ys.value ? ys.value(v) : v));
    }
    for (const v of xs.ticks) element(svg, "text", { x: xs.at(v), y: frame.bottom + 15, "text-anchor": "middle" }, short(v));
    element(svg, "path", { class: "axis", d: `M${frame.left} ${frame.top}V${frame.bottom}H${frame.right}` });
    element(svg, "text", { x: (frame.left + frame.right) / 2, y: frame.bottom + 32, "text-anchor": "middle", class: "name" }, xLabel);
    if (yLabel) element(svg, "text", { transform: `translate(12 ${(frame.top + frame.bottom) / 2}) rotate(-90)`, "text-anchor": "middle", class: "name" }, yLabel);
  }

  const scale = (low, high, from, to) => {
    const span = high - low || 1;
    return { at: (v) => +(from + (v - low) / span * (to - from)).toFixed(1), ticks: ticks(low, high, 4) };
  };

  function path(xs, values, x, y) {
    let d = "", on = false;
    values.forEach((v, i) => {
      if (v === null) { on = false; return; }
      d += `${on ? "L" : "M"}${x.at(xs[i])} ${y.at(v)}`;
      on = true;
    });
    return d;
  }

  function curve(parent, part, curve) {
    const shown = part.arms.map((arm, i) => ({ ...arm, series: curve.of[i] === null ? null : data.series[curve.of[i]] })).filter((arm) => arm.series);
    const lines = shown.flatMap((arm) => [...finite(arm.series.mean), ...finite(arm.series.low), ...finite(arm.series.high), ...finite(arm.series.rest)]);
    const log = curve.key === "loss" && Math.min(...lines) > 0 && Math.max(...lines) / Math.min(...lines) > 50;
    const turn = (v) => v === null || !log ? v : v > 0 ? Math.log10(v) : null;
    const caption = `${part.title}: ${curve.label}`;
    const runs = shown.some((arm) => arm.series.runs.length), head = ["arm", runs ? "seed" : "runs", part.unit, curve.key];
    const each = (arm) => runs ? arm.series.runs.map((run, r) => [seeds(part, arm, r), run]) : [[arm.series.n, arm.series.mean]];
    const rows = () => [head, ...shown.flatMap((arm) => each(arm).flatMap(([seed, run]) => run.map((v, i) => [arm.name, seed, arm.series.x[i], v])))];
    const sentence = shown.map((arm) => `${arm.name}: ${data.say.last} ${finite([...arm.series.mean, ...arm.series.rest]).at(-1)}`).join("; ");
    const { svg, buttons } = figure(parent, caption, sentence, 285, rows);
    const n = (arm) => `${arm.name} (n = ${arm.series.n ?? arm.series.runs.length})`;
    const frame = { left: 56, right: W - 20, top: legend(svg, shown, n), bottom: 245 };
    const values = lines.map(turn).filter((v) => v !== null);
    const steps = shown.flatMap((arm) => arm.series.x);
    const x = scale(Math.min(0, ...steps), Math.max(...steps), frame.left, frame.right);
    const y = scale(Math.min(...values), Math.max(...values), frame.bottom - 4, frame.top);
    if (log) y.value = (v) => 10 ** v;
    axes(svg, frame, x, y, part.unit, curve.label + (log ? ` (${data.say.log})` : ""));
    const faint = element(svg, "g", { class: "seeds", hidden: "" });
    for (const arm of shown) {
      const s = arm.series, ok = s.x.map((_, i) => i).filter((i) => s.low[i] !== null && s.high[i] !== null && turn(s.low[i]) !== null);
      if (ok.length > 1) {
        const edge = (i, v) => `${x.at(s.x[i])} ${y.at(turn(v))}`;
        element(svg, "path", { class: "band", fill: arm.colour, d: `M${ok.map((i) => edge(i, s.high[i])).join("L")}L${ok.toReversed().map((i) => edge(i, s.low[i])).join("L")}Z` });
      }
      const stroke = { fill: "none", stroke: arm.colour, "stroke-dasharray": PATTERNS[arm.pattern % 8] };
      element(svg, "path", { ...stroke, "stroke-width": 2.2, d: path(s.x, s.mean.map(turn), x, y) });
      element(svg, "path", { ...stroke, "stroke-width": 1, "stroke-dasharray": "3 2", d: path(s.x, s.rest.map(turn), x, y) });
      if (s.x.length === 1) element(svg, "circle", { cx: x.at(s.x[0]), cy: y.at(turn(s.mean[0] ?? s.rest[0])), r: 3.5, fill: arm.colour });
    }
    if (!runs) return;
    const button = html(buttons, "button", { type: "button", textContent: data.say.seeds });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const shows = button.getAttribute("aria-pressed") === "false";
      button.setAttribute("aria-pressed", String(shows));
      if (!faint.childNodes.length)
        for (const arm of shown) for (const run of arm.series.runs) element(faint, "path", { fill: "none", stroke: arm.colour, d: path(arm.series.x, run.map(turn), x, y) });
      faint.toggleAttribute("hidden", !shows);
    });
  }

  const seeds = (part, arm, run) => data.series[part.scores[part.arms.findIndex((each) => each.name === arm.name)]].seeds[run];

  function scores(parent, part) {
    const shown = part.arms.map((arm, i) => ({ ...arm, series: data.series[part.scores[i]] }));
    const values = shown.flatMap((arm) => [...finite(arm.series.scores), ...finite(arm.series.mean)]).concat(part.strip ?? []);
    const rows = () => [["arm", "seed", "score", "diverged"], ...shown.flatMap((arm) => arm.series.scores.map((v, i) => [arm.name, arm.series.seeds[i], v, arm.series.diverged[i]]))];
    const sentence = shown.map((arm) => `${arm.name}: ${data.say.mean} ${arm.series.mean[0]} [${arm.series.mean[1]}, ${arm.series.mean[2]}]`).join("; ");
    const height = 66 + 46 * shown.length, caption = `${part.title}: ${data.say.scores}`;
    const { svg } = figure(parent, caption, sentence, height, rows);
    const frame = { left: 12, right: W - 12, top: 6, bottom: height - 40 };
    const pad = (Math.max(...values) - Math.min(...values)) * 0.03;
    const x = scale(Math.min(...values) - pad, Math.max(...values) + pad, frame.left, frame.right);
    if (part.strip) element(svg, "rect", { class: "inside", x: x.at(part.strip[0]), y: frame.top, width: x.at(part.strip[1]) - x.at(part.strip[0]), height: frame.bottom - frame.top });
    axes(svg, frame, x, { ticks: [] }, part.metric, "");
    shown.forEach((arm, row) => {
      const middle = frame.top + 30 + 46 * row, s = arm.series;
      element(svg, "text", { x: frame.left + 5, y: middle - 15, class: "arm" }, `${arm.name} (n = ${finite(s.scores).length})`);
      s.scores.forEach((v, i) => {
        if (v === null) return;
        const y = middle + 9 * (2 * ((i * 0.618034 + 0.5) % 1) - 1), at = x.at(v);
        if (s.diverged[i]) element(svg, "path", { d: `M${at - 3} ${y - 3}l6 6m0 -6l-6 6`, stroke: arm.colour, "stroke-width": 1.6 });
        else element(svg, "circle", { cx: at, cy: y.toFixed(1), r: 3, fill: arm.colour, opacity: 0.6 });
      });
      if (s.mean[1] !== null) element(svg, "path", { class: "mean", d: `M${x.at(s.mean[1])} ${middle}H${x.at(s.mean[2])}` });
      if (s.mean[0] !== null) element(svg, "path", { class: "mean", fill: arm.colour, d: `M${x.at(s.mean[0]) - 5} ${middle}l5 -5l5 5l-5 5z` });
    });
  }

  let data;
  function draw(details) {
    const plots = $(".plots", details), part = data?.parts[details.id];
    if (!part || !plots || plots.childNodes.length) return;
    if (part.scores) scores(plots, part);
    for (const each of part.curves) curve(plots, part, each);
    if (part.scores) html(plots, "p", { className: "soft small", textContent: data.say.note });
  }

  function filter(form) {
    const items = all(".answers li"), flat = $("#flat"), groups = all(".group"), home = new Map(items.map((item) => [item, item.parentNode]));
    const value = (name) => form.elements[name].value;
    const apply = () => {
      let count = 0;
      for (const item of items) {
        const on = (!value("verdict") || item.dataset.verdict === value("verdict")) && (!value("kind") || item.dataset.kind === value("kind"))
          && (!value("note") || item.dataset.notes.split(" ").includes(value("note")));
        item.hidden = !on;
        document.getElementById(item.dataset.claim).hidden = !on;
        count += on;
      }
      const by = value("sort"), compare = { effect: (a, b) => b.dataset.effect - a.dataset.effect, title: (a, b) => clean($("a", a).textContent).localeCompare(clean($("a", b).textContent)) }[by];
      for (const item of compare ? items.toSorted(compare) : items) (by ? flat : home.get(item)).append(item);
      flat.hidden = !by;
      for (const group of groups) group.hidden = by !== "" || !all("li", group).some((item) => !item.hidden);
      $("output", form).textContent = data.say.shown.replace("{count}", count).replace("{total}", items.length);
    };
    form.addEventListener("change", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  function reach() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.matches("details")) target.open = true;
    target.scrollIntoView();
  }

  async function start() {
    const bytes = Uint8Array.from(atob($("#data").textContent.trim()), (c) => c.charCodeAt(0));
    data = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
    all("details.part").forEach((details) => {
      details.addEventListener("toggle", () => details.open && draw(details));
      if (details.open) draw(details);
    });
    for (const table of all("table[data-csv]")) {
      const rows = () => all("tr", table).map((row) => all("th, td", row).filter((cell) => !cell.matches(".draw")).map((cell) => clean(cell.textContent)));
      saver(html(table.closest(".wide").parentNode.insertBefore(document.createElement("p"), table.closest(".wide").nextSibling), "span"), table.dataset.csv, rows);
    }
    const form = $(".controls");
    if (form) filter(form);
    addEventListener("hashchange", reach);
    addEventListener("beforeprint", () => all("details.part, #forest details").forEach((details) => { details.open = true; draw(details); }));
    reach();
    document.documentElement.dataset.ready = "";
  }
  start();
})();
