/* The page of a timeline. Its state is the range of time, the filters, and the selected event or context.
   A change of the state calls `invalidate`, and the next frame draws. All text of the traced program gets
   into the page by `textContent` and `fillText`. */
(() => {
  const at = (id) => document.getElementById(id);
  const model = timelineModel(JSON.parse(at("data").textContent));
  const { NONE, data, context, time, contexts, firstAfter } = model;
  const state = { range: [0, 1], name: NONE, task: "", missing: false, selected: NONE, context: null, lit: new Set() };
  const [canvas, overview] = [at("canvas"), at("overview")];
  const drawing = timelineDrawing(model, state, canvas, overview);
  const { WHOLE, timeAt, plot, gutter } = drawing;
  state.range = [...WHOLE];
  const LIST_ROW = 24;
  // The items of a list in the details.
  const MOST_ITEMS = 50;
  let matched = null;
  let layout = null;
  let settling = 0;
  let isDue = false;
  const isDark = window.matchMedia("(prefers-color-scheme: dark)");
  const isStill = window.matchMedia("(prefers-reduced-motion: reduce)");

  function invalidate() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw();
    });
  }

  function draw() {
    const pane = at("lanes");
    canvas.style.height = `${pane.clientHeight}px`;
    at("height").style.marginTop = `${-pane.clientHeight}px`;
    drawing.drawLanes(pane.clientHeight, pane.scrollTop);
    drawing.drawOverview();
    drawList();
    for (const [id, when] of [["from", state.range[0]], ["to", state.range[1]]]) {
      if (document.activeElement !== at(id)) at(id).value = (Math.max(0, when) / 1e6).toFixed(3);
    }
  }

  function filter() {
    const [name, task, missing] = [Number(at("variable").value), at("task").value.trim(), at("missing").checked];
    Object.assign(state, { name, task, missing });
    matched = model.matching(state);
    at("nothing").hidden = matched.events.length > 0;
    layOut();
  }

  function layOut() {
    // If not all lanes fit the pane, those without anything in the range are left out.
    const pane = at("lanes");
    const before = layout;
    layout = drawing.layOut(matched, () => true);
    if (layout.height > pane.clientHeight) layout = drawing.layOut(matched, (lane) => model.isSeen(lane, state.range));
    at("height").style.height = `${layout.height}px`;
    canvas.setAttribute("aria-label", `Lanes of ${counted(layout.laneOf.size, "context")}. The list of events has the contents.`);
    // The first lane in view that is still there stays where it is.
    const { lanes, tops } = before ?? layout;
    const scroll = pane.scrollTop;
    const first = lanes.findIndex(({ it }, index) => tops[index] >= scroll && layout.laneOf.has(it));
    if (first >= 0) pane.scrollTop = layout.tops[layout.laneOf.get(lanes[first].it)] - tops[first] + scroll;
    invalidate();
  }

  // Elements.

  const moment = (when) => `${(when / 1e6).toFixed(3)} ms`;
  const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

  function duration(length) {
    const [unit, scale] = [["s", 1e9], ["ms", 1e6], ["\u00b5s", 1e3], ["ns", 1]].find(([, it]) => length >= it) ?? ["ns", 1];
    return `${(length / scale).toLocaleString("en", { maximumSignificantDigits: 4 })} ${unit}`;
  }

  function element(tag, className, ...contents) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...contents);
    return made;
  }

  function link(words, action) {
    const made = element("button", "", words);
    made.type = "button";
    made.addEventListener("click", action);
    return made;
  }
  const contextLink = (it) => link(it.label, () => selectContext(it));
  const eventLink = (event) => link(model.sentence(event), () => select(event));

  // The list of the events in the range. Only the rows in view are elements.

  function inRange() {
    const low = firstAfter(matched.events, state.range[0] - 1, (event) => time[event]);
    return [low, firstAfter(matched.events, state.range[1], (event) => time[event])];
  }

  function drawList() {
    const [low, high] = inRange();
    const total = high - low;
    const all = total === model.count ? "" : ` of ${model.count.toLocaleString("en")}`;
    at("count").textContent = `${total.toLocaleString("en")}${all}`;
    at("list-height").style.height = `${total * LIST_ROW}px`;
    const { scrollTop, clientHeight } = at("list");
    const first = Math.max(0, Math.min(total, Math.floor(scrollTop / LIST_ROW)) - 3);
    const events = matched.events.slice(low + first, Math.min(high, low + first + Math.ceil(clientHeight / LIST_ROW) + 6));
    at("rows").style.transform = `translateY(${first * LIST_ROW}px)`;
    at("rows").replaceChildren(...events.map((event, index) => listRow(event, first + index + 1, total)));
    const isShown = events.includes(state.selected);
    if (isShown) at("list").setAttribute("aria-activedescendant", `event-${state.selected}`);
    else at("list").removeAttribute("aria-activedescendant");
  }

  function listRow(event, position, total) {
    const words = element("span", model.isLost(event) ? "words lost" : "words", model.sentence(event));
    const row = element("div", "", element("span", "time", moment(time[event])), words);
    row.id = `event-${event}`;
    row.dataset.event = event;
    row.setAttribute("role", "option");
    row.setAttribute("aria-setsize", total);
    row.setAttribute("aria-posinset", position);
    row.setAttribute("aria-selected", event === state.selected);
    return row;
  }

  // The details of the selected event or context.

  function table(...pairs) {
    const made = element("dl");
    for (const [key, value] of pairs) if (value) made.append(element("dt", "", key), element("dd", "", value));
    return made;
  }

  function section(title, items) {
    if (!items.length) return [];
    const rows = items.slice(0, MOST_ITEMS).map((item) => element("li", "", item));
    if (items.length > rows.length) rows.push(element("li", "hint", `and ${(items.length - rows.length).toLocaleString("en")} more`));
    return [element("h3", "", title), element("ul", "", ...rows)];
  }

  const stack = (it) => section("Stack of the first event in this context", data.stacks[it.stack].map(model.line));

  function eventDetails(event) {
    const it = contexts[context[event]];
    const span = model.spanOf.get(event);
    const place = model.place[event];
    const heirs = [...state.lit];
    const parts = [element("h2", "", span ? `${model.name(event)}${model.value(span.setBy)}` : model.action(event))];
    if (model.reason(event)) parts.push(element("p", model.isLost(event) ? "reason lost" : "reason", model.reason(event)));
    let end = null;
    if (span) end = span.endedBy === NONE ? (span.home.freed ? "the context is freed" : "not recorded") : eventLink(span.endedBy);
    parts.push(
      table(
        ["event", `${model.action(event)}, at ${moment(time[event])}`],
        ["where", place === NONE ? "" : model.line(place)],
        ["in", contextLink(it)],
        ["value of", span && span.setBy !== event ? eventLink(span.setBy) : ""],
        ["until", end],
        ["for", span && span.endedBy !== NONE ? duration(span.end - span.start) : ""]
      )
    );
    if (span) parts.push(...section(`Inherited by ${counted(heirs.length, "context")}`, heirs.map(contextLink)));
    if (span && !heirs.length) parts.push(element("p", "hint", "No recorded context was copied with this value."));
    return [...parts, ...section("In the scopes", model.scopes(event).map(eventLink)), ...stack(it)];
  }

  function contextDetails(it) {
    const rows = table(
      ["thread", it.thread],
      ["task", it.task],
      ["copied from", it.parent === NONE ? "" : contextLink(contexts[it.parent])],
      ["after", it.maker === NONE ? "" : eventLink(it.maker)],
      ["seen", `${moment(it.start)} to ${moment(it.end)}${it.freed ? ", then freed" : ""}`],
      ["events", it.events.length.toLocaleString("en")]
    );
    const values = section("Values it was copied with", model.inherited(it).map(({ began }) => eventLink(began)));
    const children = section("Contexts copied from it", it.children.map(contextLink));
    return [element("h2", "", it.label), rows, ...values, ...children, ...stack(it)];
  }

  function drawDetails() {
    let parts = [element("p", "hint", "Click a span, a missing value or the name of a context.")];
    if (state.selected !== NONE) parts = eventDetails(state.selected);
    else if (state.context) parts = contextDetails(state.context);
    at("details").replaceChildren(...parts);
    at("details").scrollTop = 0;
  }

  // Changes of the selection.

  function change(selected, it, lit, address) {
    Object.assign(state, { selected, context: it, lit: new Set(lit) });
    drawDetails();
    history.replaceState(null, "", address);
    invalidate();
  }

  function select(event, { isRevealed = true } = {}) {
    const span = model.spanOf.get(event);
    change(event, null, span ? model.heirs(span) : [], event === NONE ? "#" : `#event-${event}`);
    if (event !== NONE && isRevealed) reveal(event);
  }

  function selectContext(it) {
    change(NONE, it, it.children, `#context-${it.number}`);
    if (it.end < state.range[0] || it.start > state.range[1]) showTime(it.start);
    revealLane(it);
  }

  function reveal(event) {
    if (time[event] < state.range[0] || time[event] > state.range[1]) showTime(time[event]);
    revealLane(contexts[context[event]]);
    const list = at("list");
    const top = (matched.events.indexOf(event) - inRange()[0]) * LIST_ROW;
    // The list must have its new height before it scrolls.
    drawList();
    if (top < list.scrollTop || top + LIST_ROW > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 3;
  }

  function showTime(when) {
    const length = state.range[1] - state.range[0];
    setRange([when - length / 3, when + (length * 2) / 3]);
  }

  function revealLane(it) {
    if (!layout.laneOf.has(it)) layOut();
    if (!layout.laneOf.has(it)) return;
    const index = layout.laneOf.get(it);
    const [top, pane] = [layout.tops[index], at("lanes")];
    const bottom = top + layout.lanes[index].height;
    const isSeen = top >= pane.scrollTop + drawing.AXIS && bottom <= pane.scrollTop + pane.clientHeight;
    if (!isSeen) pane.scrollTop = top - Math.max(drawing.AXIS, pane.clientHeight / 3);
  }

  // Changes of the range.

  function setRange([from, to]) {
    // At least 100 ns, at most everything.
    const length = Math.min(Math.max(100, to - from), WHOLE[1] - WHOLE[0]);
    const start = Math.min(Math.max(WHOLE[0], (from + to - length) / 2), WHOLE[1] - length);
    state.range = [start, start + length];
    invalidate();
    // The lanes do not jump while the user moves the range.
    clearTimeout(settling);
    settling = setTimeout(layOut, 250);
  }

  let motion = 0;
  function moveTo(target) {
    // In 150 ms, or at once if the user prefers reduced motion.
    cancelAnimationFrame(motion);
    const [from, begun] = [state.range, performance.now()];
    const step = (now) => {
      const part = isStill.matches ? 1 : Math.min(1, Math.max(0, (now - begun) / 150));
      const eased = 1 - (1 - part) ** 3;
      setRange([0, 1].map((end) => from[end] + (target[end] - from[end]) * eased));
      if (part < 1) motion = requestAnimationFrame(step);
    };
    step(begun);
  }

  function zoomed(factor, x = gutter() + plot() / 2) {
    const centre = timeAt(x);
    return state.range.map((when) => centre + (when - centre) * factor);
  }
  const moved = (part) => state.range.map((when) => when + part * (state.range[1] - state.range[0]));

  // Keys.

  function step(direction) {
    const { events } = matched;
    if (!events.length) return;
    const index = events.indexOf(state.selected);
    const next = index >= 0 ? index + direction : inRange()[0] - (direction > 0 ? 0 : 1);
    select(events[Math.max(0, Math.min(events.length - 1, next))]);
  }

  function stepLane(direction) {
    const { lanes, laneOf } = layout;
    const own = state.selected === NONE ? state.context : contexts[context[state.selected]];
    let index = laneOf.has(own) ? laneOf.get(own) + direction : direction > 0 ? 0 : lanes.length - 1;
    while (lanes[index] && !lanes[index].it) index += direction;
    if (lanes[index]) selectContext(lanes[index].it);
  }

  function nextLost() {
    const selected = matched.events.indexOf(state.selected);
    const start = selected >= 0 ? selected + 1 : inRange()[0];
    const found = [...matched.events.slice(start), ...matched.events.slice(0, start)].find(model.isLost);
    if (found !== undefined) select(found);
  }

  const [closer, farther] = [() => moveTo(zoomed(0.5)), () => moveTo(zoomed(2))];
  const KEYS = {
    ...{ ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => stepLane(1), ArrowUp: () => stepLane(-1) },
    ...{ Home: () => select(matched.events[0] ?? NONE), End: () => select(matched.events.at(-1) ?? NONE), m: nextLost },
    ...{ "+": closer, "=": closer, w: closer, "-": farther, s: farther, 0: () => moveTo(WHOLE) },
    ...{ a: () => moveTo(moved(-0.25)), d: () => moveTo(moved(0.25)), Escape: () => select(NONE) },
  };
  const LIST_KEYS = { ...KEYS, ArrowDown: KEYS.ArrowRight, ArrowUp: KEYS.ArrowLeft };

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select")) return;
    // The pane of details scrolls by the arrows.
    if (event.target.closest("#details") && /^Arrow|^Home|^End/.test(event.key)) return;
    const keys = event.target.id === "list" ? LIST_KEYS : KEYS;
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  }

  // Pointers: one drags, two pinch, and one that does not move clicks.

  function listenToPointers() {
    const pointers = new Map();
    let start = null;
    const begin = (x, y, isMoved) => {
      start = { x, y, isMoved, range: state.range, times: [...pointers.values()].map(timeAt) };
    };
    const hit = (event) => drawing.hit(event.offsetX, event.offsetY, at("lanes").scrollTop);

    function down(event) {
      if (event.button) return;
      cancelAnimationFrame(motion);
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event.offsetX);
      begin(event.offsetX, event.offsetY, pointers.size > 1);
    }

    function move(event) {
      if (!pointers.has(event.pointerId)) {
        const found = hit(event);
        canvas.style.cursor = found.event ?? found.context ? "pointer" : "";
        canvas.title = found.event === undefined ? "" : model.sentence(found.event);
        return;
      }
      pointers.set(event.pointerId, event.offsetX);
      if (Math.hypot(event.offsetX - start.x, event.offsetY - start.y) > 4) start.isMoved = true;
      if (!start.isMoved) return;
      canvas.classList.add("dragged");
      const [one, other] = pointers.values();
      if (other === undefined) {
        const by = ((start.x - one) / plot()) * (start.range[1] - start.range[0]);
        setRange(start.range.map((when) => when + by));
      } else {
        // The times under both fingers stay under them.
        const slope = (start.times[1] - start.times[0]) / (other - one);
        const from = start.times[0] - (one - gutter()) * slope;
        if (slope > 0 && slope < Infinity) setRange([from, from + slope * plot()]);
      }
    }

    function up(event) {
      if (!pointers.delete(event.pointerId)) return;
      canvas.classList.remove("dragged");
      if (event.type === "pointerup" && !start.isMoved) {
        const found = hit(event);
        if (found.context) selectContext(found.context);
        else select(found.event ?? NONE, { isRevealed: false });
      }
      for (const x of pointers.values()) begin(x, event.offsetY, true);
    }

    function wheel(event) {
      // Without Ctrl, the wheel scrolls the lanes, as the browser does it.
      const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (event.ctrlKey) setRange(zoomed(1.002 ** event.deltaY, event.offsetX));
      else if (isSideways) setRange(moved((event.deltaX || event.deltaY) / plot()));
      else return;
      event.preventDefault();
    }

    const listeners = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up, wheel };
    for (const [name, listener] of Object.entries(listeners)) canvas.addEventListener(name, listener, { passive: false });
    canvas.addEventListener("dblclick", (event) => moveTo(zoomed(0.25, event.offsetX)));
  }

  function listenToOverview() {
    let first = null;
    const when = (event) => WHOLE[0] + (event.offsetX / overview.clientWidth) * (WHOLE[1] - WHOLE[0]);
    const isMoved = (event) => first !== null && Math.abs(event.offsetX - first.x) > 3;
    overview.addEventListener("pointerdown", (event) => {
      overview.setPointerCapture(event.pointerId);
      first = { x: event.offsetX, when: when(event) };
    });
    overview.addEventListener("pointermove", (event) => {
      if (isMoved(event)) setRange([Math.min(first.when, when(event)), Math.max(first.when, when(event))]);
    });
    overview.addEventListener("pointerup", (event) => {
      const half = (state.range[1] - state.range[0]) / 2;
      if (first && !isMoved(event)) moveTo([first.when - half, first.when + half]);
      first = null;
    });
  }

  function showAddress() {
    const [, what, number] = /^#(event|context)-(\d+)$/.exec(location.hash) ?? [];
    const it = contexts.find((each) => each.number === Number(number));
    if (what === "event" && number < model.count) select(Number(number));
    else if (what === "context" && it) selectContext(it);
  }

  function begin() {
    at("program").textContent = at("program").title = data.program;
    const counts = [counted(model.count, "event"), counted(contexts.length, "context"), counted(data.variables.length, "variable")];
    at("summary").textContent = `${counts.join(", ")}, ${duration(model.last)}, Python ${data.python}`;
    at("notice").hidden = !data.lost;
    at("notice").textContent = `${counted(data.lost, "older event")} left out: there was no room for more.`;
    const uses = model.names.map(() => 0);
    for (const number of model.variable) if (number !== NONE) uses[model.nameOf[number]] += 1;
    model.names.forEach((name, number) => {
      const choice = element("option", "", `${name} (${uses[number].toLocaleString("en")})`);
      choice.value = number;
      at("variable").append(choice);
    });
    for (const id of ["variable", "task", "missing"]) at(id).addEventListener("input", filter);
    for (const id of ["from", "to"]) {
      at(id).addEventListener("change", () => setRange([Number(at("from").value) * 1e6, Number(at("to").value) * 1e6]));
    }
    at("filters").addEventListener("submit", (event) => event.preventDefault());
    at("in").addEventListener("click", closer);
    at("out").addEventListener("click", farther);
    at("all").addEventListener("click", KEYS[0]);
    at("lanes").addEventListener("scroll", invalidate);
    at("list").addEventListener("scroll", invalidate);
    at("rows").addEventListener("click", ({ target }) => {
      const row = target.closest("[data-event]");
      if (row) select(Number(row.dataset.event));
    });
    document.addEventListener("keydown", onKey);
    listenToPointers();
    listenToOverview();
    const sizes = new ResizeObserver(invalidate);
    for (const id of ["chart", "list"]) sizes.observe(at(id));
    const recolour = () => {
      drawing.readColours(isDark.matches);
      invalidate();
    };
    isDark.addEventListener("change", recolour);
    window.addEventListener("hashchange", showAddress);
    recolour();
    filter();
    drawDetails();
    showAddress();
  }

  begin();
})();
