/* The lanes and the overview, on canvases. Only what is in view is drawn, and of spans that are narrower
   than a pixel, one for each pixel. `state` is that of the page: it is read, not changed. */
function timelineDrawing(model, state, canvas, overview) {
  const { NONE, data, contexts, time, firstAfter, isLost } = model;
  const [HEADER, ROW, GAP, AXIS] = [20, 18, 6, 24];
  const FONT = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
  // The range of all events, with a margin.
  const WHOLE = [-model.last * 0.01, model.last * 1.03];
  let colours = {};
  let layout = { lanes: [], tops: [], laneOf: new Map(), height: 0, events: [] };
  let histogram = null;

  function readColours(isDark) {
    const style = getComputedStyle(document.documentElement);
    colours = {};
    for (const key of ["page", "pane", "text", "quiet", "line", "accent", "ran", "deleted", "deleted-text"]) {
      colours[key] = style.getPropertyValue(`--${key}`).trim();
    }
    // Hues at golden angles, without red, which stands for missing values.
    colours.variables = data.variables.map((_, number) => {
      const hue = Math.round(30 + ((0.58 + number * 0.618034) % 1) * 290);
      return isDark
        ? { fill: `hsl(${hue} 38% 25%)`, edge: `hsl(${hue} 65% 65%)` }
        : { fill: `hsl(${hue} 68% 87%)`, edge: `hsl(${hue} 60% 42%)` };
    });
  }

  function layOut({ threads, events }, isKept) {
    // The lanes of the matching contexts, as far as they are kept, below the names of their threads.
    const lanes = [];
    for (const [thread, those] of threads) {
      const kept = those.filter(isKept);
      if (kept.length) lanes.push({ thread, count: kept.length, height: HEADER + 4 });
      for (const { it, rows } of kept) lanes.push({ it, rows, height: HEADER + ROW * rows.length + GAP });
    }
    layout = { lanes, tops: [], laneOf: new Map(), height: AXIS, events };
    lanes.forEach(({ it, height }, index) => {
      if (it) layout.laneOf.set(it, index);
      layout.tops.push(layout.height);
      layout.height += height;
    });
    histogram = null;
    return layout;
  }

  const gutter = () => (canvas.clientWidth > 600 ? 150 : 74);
  const plot = () => Math.max(1, canvas.clientWidth - gutter() - 8);
  const xOf = (when) => gutter() + ((when - state.range[0]) / (state.range[1] - state.range[0])) * plot();
  const timeAt = (x) => state.range[0] + ((x - gutter()) / plot()) * (state.range[1] - state.range[0]);

  function fitted(element, height) {
    const ratio = window.devicePixelRatio || 1;
    const width = element.clientWidth;
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    // Setting a size clears the canvas, and is slow.
    if (element.width !== across) element.width = across;
    if (element.height !== down) element.height = down;
    const pen = element.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.textBaseline = "middle";
    return [pen, width];
  }

  function cut(pen, words, room) {
    // As much of a text as fits, approximately: to measure each prefix would be slow.
    if (room < 14) return "";
    const width = pen.measureText(words).width;
    if (width <= room) return words;
    const length = Math.floor((words.length * room) / width) - 1;
    return length > 1 ? `${words.slice(0, length)}\u2026` : "";
  }

  function drawLanes(height, scroll) {
    const [pen, width] = fitted(canvas, height);
    const { lanes, tops } = layout;
    drawAxis(pen, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(0, AXIS, width, height - AXIS);
    pen.clip();
    const visible = [];
    for (let index = Math.max(0, firstAfter(tops, scroll + AXIS, (top) => top) - 1); index < lanes.length; index++) {
      const top = tops[index] - scroll;
      if (top > height) break;
      visible.push([lanes[index], top, isLit(lanes[index].it)]);
    }
    for (const [lane, top, lit] of visible) drawBackground(pen, lane, top, width, lit);
    for (const [lane, top] of visible) drawBranch(pen, lane, top, scroll, false);
    for (const [lane, top, lit] of visible) drawLane(pen, lane, top, width, lit);
    for (const [lane, top] of visible) drawBranch(pen, lane, top, scroll, true);
    pen.restore();
  }

  const isLit = (it) =>
    it !== undefined &&
    (state.lit.has(it) || it === state.context || (state.selected !== NONE && it.index === model.context[state.selected]));

  function drawAxis(pen, width, height) {
    const rough = (state.range[1] - state.range[0]) / Math.max(1, plot() / 110);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(1, power * ([1, 2, 5].find((it) => it * power >= rough) ?? 10));
    const [unit, scale] = [["s", 1e9], ["ms", 1e6], ["\u00b5s", 1e3], ["ns", 1]].find(([, it]) => step >= it);
    const digits = Math.max(0, Math.ceil(-Math.log10(step / scale)));
    pen.font = `11px ${FONT}`;
    for (let number = Math.ceil(state.range[0] / step); number * step <= state.range[1]; number++) {
      const x = Math.round(xOf(number * step));
      const label = `${((number * step) / scale).toLocaleString("en", { minimumFractionDigits: digits })} ${unit}`.replace(/^-0/, "0");
      const half = pen.measureText(label).width / 2;
      pen.fillStyle = colours.line;
      pen.fillRect(x, AXIS - 4, 1, height);
      pen.fillStyle = colours.quiet;
      if (x + half < width) pen.fillText(label, x - half, AXIS / 2 - 1);
    }
    pen.fillStyle = colours.line;
    pen.fillRect(0, AXIS - 1, width, 1);
  }

  function drawBackground(pen, { it, height }, top, width, lit) {
    pen.fillStyle = it ? colours.ran : colours.page;
    if (lit || !it) pen.fillRect(0, top, width, height - 3);
    if (!it) return;
    // The life of the context: from its first event to the last sign of it.
    const [left, right] = [Math.max(xOf(it.start), gutter()), Math.min(xOf(it.end), width)];
    pen.fillStyle = lit ? colours.accent : colours.line;
    if (right >= left) pen.fillRect(left, top + HEADER - 4, Math.max(2, right - left), 2);
  }

  function drawBranch(pen, { it }, top, scroll, isOfSelected) {
    // From the event whose values a context was copied with, to the context.
    const parent = it && it.parent !== NONE ? contexts[it.parent] : null;
    const lit = state.lit.has(it) || it === state.context;
    if (!parent || lit !== isOfSelected || !layout.laneOf.has(parent)) return;
    const [x, y] = [xOf(it.start), top + HEADER - 3];
    const from = xOf(it.maker === NONE ? parent.start : time[it.maker]);
    if (x < gutter() || from > canvas.clientWidth) return;
    const above = layout.tops[layout.laneOf.get(parent)] - scroll + HEADER - 3;
    const start = Math.max(from, gutter());
    pen.strokeStyle = pen.fillStyle = lit ? colours.accent : colours.quiet;
    pen.globalAlpha = lit ? 1 : 0.5;
    pen.lineWidth = lit ? 2 : 1;
    pen.beginPath();
    pen.moveTo(start, above);
    pen.bezierCurveTo(start, y, Math.max(start, x - 30), y, x, y);
    pen.stroke();
    pen.beginPath();
    pen.arc(x, y, 2.5, 0, 7);
    pen.fill();
    pen.globalAlpha = 1;
  }

  function drawLane(pen, { it, rows, thread, count, height }, top, width, lit) {
    pen.font = `${it ? "" : "600 "}12px ${FONT}`;
    const indent = it ? 8 + Math.min(it.depth, 6) * (gutter() > 100 ? 8 : 3) : 8;
    const words = cut(pen, it ? it.label : `${thread} (${count})`, width - indent - 8);
    if (it) {
      // The name may be wider than the gutter.
      pen.globalAlpha = 0.8;
      pen.fillStyle = lit ? colours.ran : colours.pane;
      pen.fillRect(0, top + 1, indent + pen.measureText(words).width + 4, HEADER - 6);
      pen.globalAlpha = 1;
    }
    pen.fillStyle = lit ? colours.accent : colours.text;
    pen.fillText(words, indent, top + (it ? HEADER - 4 : height - 3) / 2);
    if (!it) return;
    rows.forEach((number, index) => {
      const y = top + HEADER + ROW * index;
      pen.fillStyle = colours.quiet;
      pen.font = `11px ${FONT}`;
      pen.fillText(cut(pen, data.variables[number], gutter() - indent - 14), indent + 8, y + ROW / 2);
      pen.save();
      pen.beginPath();
      pen.rect(gutter(), y, width, ROW);
      pen.clip();
      if (!state.missing) drawSpans(pen, it.rows.get(number).spans, colours.variables[number], y);
      drawAllMissing(pen, it.rows.get(number), y, width);
      pen.restore();
    });
  }

  function drawSpans(pen, spans, { fill, edge }, top) {
    pen.font = `11px ${FONT}`;
    let index = firstAfter(spans, timeAt(gutter() - 24), ({ end }) => end);
    while (index < spans.length && spans[index].start <= state.range[1]) {
      const span = spans[index];
      const left = xOf(span.start);
      const right = Math.max(left + 2, xOf(span.end));
      // A value that came back by a reset is paler.
      pen.globalAlpha = span.setBy === span.began ? 1 : 0.6;
      pen.fillStyle = fill;
      pen.fillRect(left, top + 1, right - left, ROW - 3);
      if (span.endedBy === NONE && !span.home.freed) {
        // The end is not known: the span fades.
        for (let part = 0; part < 4; part++) {
          pen.globalAlpha = 0.7 - part * 0.18;
          pen.fillRect(right + part * 5, top + 1, 5, ROW - 3);
        }
      }
      pen.globalAlpha = 1;
      pen.fillStyle = edge;
      pen.fillRect(left, top + 1, Math.min(3, right - left), ROW - 3);
      const start = Math.max(left, gutter()) + 7;
      if (right - start > 17) {
        pen.fillStyle = colours.text;
        const words = `${model.name(span.setBy)}${model.value(span.setBy)}`;
        pen.fillText(cut(pen, words, right - start - 4), start, top + ROW / 2 - 0.5);
      }
      if (span.began === state.selected) outline(pen, Math.max(left, gutter()), right, top);
      const next = right - left > 2 ? 0 : firstAfter(spans, timeAt(left + 1), ({ end }) => end);
      index = Math.max(index + 1, next);
    }
  }

  function drawAllMissing(pen, { missing, spans }, top, width) {
    let before = Number.NEGATIVE_INFINITY;
    for (let index = firstAfter(missing, timeAt(gutter() - 9), (event) => time[event]); index < missing.length; index++) {
      const event = missing[index];
      const x = xOf(time[event]);
      if (x > width) break;
      if (x - before < 1 && event !== state.selected) continue;
      before = x;
      // The text ends before the next value, or the next time that it is missing.
      const value = state.missing ? undefined : spans[firstAfter(spans, time[event], ({ end }) => end)];
      const ends = [time[missing[index + 1]], value?.start].filter((end) => end !== undefined).map(xOf);
      drawMissing(pen, event, x, Math.min(width, ...ends) - x - 18, top);
    }
  }

  function drawMissing(pen, event, x, room, top) {
    const y = top + ROW / 2 - 0.5;
    const isLost = model.isLost(event);
    pen.fillStyle = isLost ? colours.deleted : colours.pane;
    pen.strokeStyle = isLost ? colours["deleted-text"] : colours.quiet;
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(x, y, 6, 0, 7);
    pen.fill();
    for (const slope of [1, -1]) {
      pen.moveTo(x - 2.5, y - 2.5 * slope);
      pen.lineTo(x + 2.5, y + 2.5 * slope);
    }
    pen.stroke();
    pen.fillStyle = pen.strokeStyle;
    const reason = model.reason(event);
    pen.fillText(cut(pen, reason ? `missing: ${reason}` : "missing", room), x + 10, y);
    if (event === state.selected) outline(pen, x - 8, x + 8, top);
  }

  function outline(pen, left, right, top) {
    pen.strokeStyle = colours.accent;
    pen.lineWidth = 2;
    pen.strokeRect(left + 1, top + 1, Math.max(4, right - left - 2), ROW - 3);
  }

  function drawOverview() {
    const height = overview.clientHeight;
    const [pen, width] = fitted(overview, height);
    const place = (when) => ((when - WHOLE[0]) / (WHOLE[1] - WHOLE[0])) * width;
    if (histogram?.length !== width) {
      histogram = Array.from({ length: width }, () => [0, 0]);
      for (const event of layout.events) histogram[Math.floor(place(time[event]))][isLost(event) ? 1 : 0] += 1;
    }
    const most = histogram.reduce((so, [there, lost]) => Math.max(so, there, lost), 1);
    const bar = (x, amount, colour, size) => {
      const length = amount && 3 + (Math.log1p(amount) / Math.log1p(most)) * (height - 10);
      pen.fillStyle = colour;
      pen.fillRect(x, height - length, size, length);
    };
    histogram.forEach(([there], x) => bar(x, there, colours.quiet, 1));
    histogram.forEach(([, lost], x) => bar(x, lost, colours["deleted-text"], 2));
    const [left, right] = state.range.map(place);
    pen.fillStyle = colours.accent;
    pen.globalAlpha = 0.12;
    pen.fillRect(left, 0, Math.max(2, right - left), height);
    pen.globalAlpha = 1;
    pen.fillRect(left, 0, 2, height);
    pen.fillRect(Math.max(left, right - 2), 0, 2, height);
  }

  function hit(x, y, scroll) {
    // What is drawn at a point of the canvas: an event, a context, or nothing.
    const index = firstAfter(layout.tops, y + scroll, (top) => top) - 1;
    const lane = layout.lanes[index];
    const inside = y + scroll - layout.tops[index];
    if (y < AXIS || !lane?.it || inside > lane.height) return {};
    const number = lane.rows[Math.floor((inside - HEADER) / ROW)];
    if (x < gutter() || number === undefined) return { context: lane.it };
    const { spans, missing } = lane.it.rows.get(number);
    const near = missing[firstAfter(missing, timeAt(x - 9), (event) => time[event])];
    if (near !== undefined && xOf(time[near]) < x + 9) return { event: near };
    const span = state.missing ? undefined : spans[firstAfter(spans, timeAt(x - 4), ({ end }) => end)];
    return span && xOf(span.start) - 3 <= x ? { event: span.began } : { context: lane.it };
  }

  return { AXIS, WHOLE, readColours, layOut, drawLanes, drawOverview, hit, xOf, timeAt, plot, gutter };
}
