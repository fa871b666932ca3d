"use strict";

/* The page that `explain-class` writes. The only state is the shown class and its current step; `show`
   draws both. All text of the traced program gets into the page by `textContent`. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  // The newest names of a namespace are drawn, at most so many.
  const MOST_NAMES = 300;
  const state = { shown: -1, step: -1 };
  let steps = [];
  // For each line of the source, the steps and instructions of the shown class in it.
  let stepsOfLine = new Map();
  let instructionsOfLine = new Map();
  const rows = { source: [], bytecode: [], steps: [] };
  let marked = [];

  function element(tag, name, text) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function button(name, text) {
    const made = element("button", name, text);
    made.type = "button";
    // Tab stops at one step of the list, and keys step through the others.
    made.tabIndex = -1;
    return made;
  }

  // Parts that are drawn for each class.

  function drawSource() {
    rows.source = data.lines.map((parts, index) => {
      const row = element("li");
      const text = element("span");
      for (const [kind, part] of parts) text.append(kind ? element("span", kind, part) : part);
      row.append(element("span", "", index + 1), text);
      row.dataset.line = index + 1;
      return row;
    });
    at("source").replaceChildren(...rows.source);
  }

  function numberLines(makeNumber) {
    // The numbers of lines with steps are buttons, as long as their class is shown.
    for (const line of stepsOfLine.keys()) rows.source[line - 1]?.firstChild.replaceWith(makeNumber(line));
  }

  function drawBytecode(instructions) {
    rows.bytecode = instructions.map(([mark, , words]) => {
      const row = element("li");
      const [opcode, ...argument] = words.split(" ");
      const text = element("span");
      text.append(element("span", "opcode", opcode), argument.length ? ` ${argument.join(" ")}` : "");
      row.append(element("span", "", mark), text);
      return row;
    });
    at("bytecode").replaceChildren(...rows.bytecode);
  }

  function drawSteps() {
    const parts = [];
    let list = null;
    rows.steps = steps.map((step, index) => {
      if (!list || step.phase !== steps[index - 1].phase) {
        list = element("ol");
        parts.push(element("h3", "", step.phase), list);
      }
      const row = button("later");
      row.dataset.step = index;
      row.append(element("span", "number", index + 1), element("span", "words code", step.text));
      list.append(element("li"));
      list.lastChild.append(row);
      return row;
    });
    at("steps").replaceChildren(...parts);
  }

  function drawClass(number) {
    const shown = data.classes[number];
    unmark();
    numberLines((line) => element("span", "", line));
    state.shown = number;
    state.step = -1;
    steps = shown.steps;
    stepsOfLine = byLine(steps.map(({ line }) => line));
    instructionsOfLine = byLine(shown.instructions.map(([, line]) => line));
    numberLines((line) => {
      const made = button("", line);
      made.setAttribute("aria-label", `Line ${line}: go to its next step`);
      return made;
    });
    drawBytecode(shown.instructions);
    drawSteps();
    at("class").value = number;
    at("slider").max = steps.length;
    const notices = [...data.notices, ...shown.notices].join(" ");
    at("notice").textContent = notices;
    at("notice").hidden = !notices;
    linkTo("outer", shown.parent, "Back to");
  }

  function byLine(lines) {
    const found = new Map();
    lines.forEach((line, index) => {
      if (!found.has(line)) found.set(line, []);
      found.get(line).push(index);
    });
    return found;
  }

  function linkTo(id, number, words) {
    at(id).hidden = number === null;
    at(id).textContent = number === null ? "" : `${words} ${data.classes[number].name}`;
    at(id).dataset.class = number;
  }

  // Parts that are drawn for each step.

  function mark(row, name) {
    if (!row) return;
    row.classList.add(name);
    marked.push([row, name]);
  }

  function unmark() {
    for (const [row, name] of marked) row.classList.remove(name);
    marked = [];
  }

  function reveal(pane, row) {
    // `scrollIntoView` would scroll the whole page, too.
    if (!row) return;
    const top = row.offsetTop - pane.scrollTop;
    const isSeen = top >= 20 && top + row.offsetHeight <= pane.clientHeight - 20;
    if (!isSeen) pane.scrollTop = row.offsetTop - pane.clientHeight / 3;
  }

  function drawMarks(step) {
    unmark();
    const current = rows.source[step.line - 1];
    mark(current, "current");
    for (const [, line] of step.calls) mark(rows.source[line - 1], "called");
    reveal(at("source"), current);
    // The method that runs in this step, if its source is in the file.
    if (step.calls.length) reveal(at("source"), rows.source[step.calls[0][1] - 1]);
    if (step.phase !== "Body") return;
    const ofLine = instructionsOfLine.get(step.line) ?? [];
    const [start, end] = step.span ?? [0, 0];
    const last = rows.bytecode[end - 1];
    for (const index of ofLine) mark(rows.bytecode[index], "of-line");
    for (let index = start; index < end; index++) mark(rows.bytecode[index], "ran");
    mark(last, "current");
    reveal(at("bytecode"), last ?? rows.bytecode[ofLine[0]]);
  }

  function drawCurrentStep(before, index) {
    const previous = rows.steps[before];
    const current = rows.steps[index];
    if (previous) {
      previous.tabIndex = -1;
      previous.removeAttribute("aria-current");
    }
    current.tabIndex = 0;
    current.setAttribute("aria-current", "step");
    const [low, high] = before < index ? [before + 1, index] : [index + 1, before];
    for (const row of rows.steps.slice(low, high + 1)) row.classList.toggle("later", before > index);
    if (at("steps").contains(document.activeElement)) current.focus({ preventScroll: true });
    reveal(at("steps"), current.parentElement);
  }

  function namespaceAt(index) {
    // Replays the changes: a few thousand at most.
    const values = new Map();
    for (const { changes } of steps.slice(0, index)) {
      for (const [name, value] of changes) {
        if (value === null) values.delete(name);
        else values.set(name, value);
      }
    }
    return values;
  }

  function drawNamespace(index) {
    const before = namespaceAt(index);
    const after = namespaceAt(index + 1);
    const changes = new Map(steps[index].changes);
    const row = (...texts) => {
      const made = element("tr", texts[2]);
      made.append(...texts.map((text) => element("td", "", text)));
      return made;
    };
    const all = [...new Map([...before, ...after])];
    const isDrawn = ([name], place) => place >= all.length - MOST_NAMES || changes.has(name);
    const drawn = all.filter(isDrawn).map(([name]) => {
      if (!after.has(name)) return row(name, before.get(name), "deleted");
      const change = changes.has(name) ? (before.has(name) ? "changed" : "new") : "";
      return row(name, after.get(name), change);
    });
    at("names").replaceChildren(...drawn);
    at("size").textContent = after.size === 1 ? "1 name" : `${after.size} names`;
    if (all.length > MOST_NAMES) at("size").textContent += `, the newest ${MOST_NAMES} shown`;
    reveal(at("namespace"), drawn.findLast((each) => each.className));
  }

  function drawText(step, index) {
    at("phase").textContent = step.phase;
    at("text").textContent = step.text;
    at("reason").textContent = step.reason;
    at("calls").textContent = step.calls.map(([name, line]) => `${name} is defined in line ${line}.`).join(" ");
    linkTo("inner", step.child, "Show the steps of");
    at("slider").value = index + 1;
    at("slider").setAttribute("aria-valuetext", `Step ${index + 1}: ${step.text}`);
    at("count").textContent = `step ${index + 1} of ${steps.length}`;
    for (const id of ["first", "back"]) at(id).disabled = index === 0;
    for (const id of ["forward", "last"]) at(id).disabled = index === steps.length - 1;
  }

  function show(number, index) {
    if (number !== state.shown) drawClass(number);
    const before = state.step;
    state.step = Math.max(0, Math.min(index, steps.length - 1));
    const step = steps[state.step];
    drawText(step, state.step);
    drawMarks(step);
    drawCurrentStep(before, state.step);
    drawNamespace(state.step);
    history.replaceState(null, "", `#${number + 1}.${state.step + 1}`);
  }

  const go = (index) => show(state.shown, index);

  function goToLine(line) {
    const those = stepsOfLine.get(line);
    // A click at the end of a selection selects text.
    if (!those || !document.getSelection().isCollapsed) return;
    go(those.find((index) => index > state.step) ?? those[0]);
  }

  function showAddress() {
    const [number, step] = location.hash.slice(1).split(".").map((it) => Number.parseInt(it, 10) - 1);
    show(data.classes[number] ? number : 0, step || 0);
  }

  const forward = () => go(state.step + 1);
  const back = () => go(state.step - 1);
  const KEYS = {
    ...{ ArrowRight: forward, ArrowDown: forward, j: forward },
    ...{ ArrowLeft: back, ArrowUp: back, k: back },
    ...{ Home: () => go(0), End: () => go(steps.length - 1) },
  };

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "SELECT") return;
    // In a pane that scrolls, the vertical arrows scroll.
    if (/^Arrow(Up|Down)$/.test(event.key) && event.target.matches(".scroll")) return;
    if (!Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  }

  function begin() {
    at("file").textContent = data.file;
    document.querySelector("main").classList.toggle("without-bytecode", !data.bytecode);
    drawSource();
    const depths = [];
    data.classes.forEach(({ name, line, parent }, number) => {
      depths.push(parent === null ? 0 : depths[parent] + 1);
      const choice = element("option", "", `${"\u00a0\u00a0".repeat(depths[number])}${name}, line ${line}`);
      choice.value = number;
      at("class").append(choice);
    });
    at("class").addEventListener("change", () => show(Number(at("class").value), 0));
    at("outer").addEventListener("click", () => {
      const number = Number(at("outer").dataset.class);
      const inner = state.shown;
      show(number, data.classes[number].steps.findIndex(({ child }) => child === inner));
    });
    at("inner").addEventListener("click", () => show(Number(at("inner").dataset.class), 0));
    at("source").addEventListener("click", ({ target }) => goToLine(Number(target.closest("li")?.dataset.line)));
    at("steps").addEventListener("click", ({ target }) => {
      const row = target.closest("button");
      if (row) go(Number(row.dataset.step));
    });
    at("first").addEventListener("click", KEYS.Home);
    at("back").addEventListener("click", back);
    at("forward").addEventListener("click", forward);
    at("last").addEventListener("click", KEYS.End);
    at("slider").addEventListener("input", () => go(Number(at("slider").value) - 1));
    document.addEventListener("keydown", onKey);
    window.addEventListener("hashchange", showAddress);
    showAddress();
  }

  begin();
})();
