"use strict";

/* The model of a timeline: what the data of the page says, and the lanes that match a filter. Events are
   numbers, the indexes of the columns of the data; -1 stands for no event. */
function timelineModel(data) {
  const NONE = -1;
  const { kind, variable, context, time, place, text, reason: reasons } = data.events;
  const count = kind.length;
  const isMissing = (event) => data.kinds[kind[event]] === "missing";
  // A missing value is lost if its variable was set before. Many libraries look for values that are not set.
  const firstSets = new Map([...data.spans].reverse().map(([, setBy]) => [variable[setBy], setBy]));
  const isLost = (event) => isMissing(event) && firstSets.get(variable[event]) < event;

  const contexts = data.contexts.map(([number, parent, maker, thread, task, start, end, stack, freed], index) => {
    const names = { thread: data.texts[thread], task: task === NONE ? "" : data.texts[task] };
    const label = `${names.task || names.thread} \u00b7 context ${number}`;
    // For each variable, its spans in this context, and the events in which it was missing.
    const rows = new Map();
    return { index, number, parent, maker, ...names, label, start, end, stack, freed, rows, children: [], events: [], depth: 0 };
  });
  for (const it of contexts) {
    if (it.parent === NONE) continue;
    // A parent comes before its children.
    it.depth = contexts[it.parent].depth + 1;
    contexts[it.parent].children.push(it);
  }
  const rowOf = (event) => {
    const { rows } = contexts[context[event]];
    if (!rows.has(variable[event])) rows.set(variable[event], { spans: [], missing: [] });
    return rows.get(variable[event]);
  };
  const spanOf = new Map();
  for (const [began, setBy, endedBy] of data.spans) {
    const home = contexts[context[began]];
    const end = endedBy === NONE ? Math.max(home.end, time[began]) : time[endedBy];
    const span = { began, setBy, endedBy, start: time[began], end, home };
    spanOf.set(began, span);
    rowOf(began).spans.push(span);
  }
  for (let event = 0; event < count; event++) {
    contexts[context[event]].events.push(event);
    if (isMissing(event) && variable[event] !== NONE) rowOf(event).missing.push(event);
  }
  const last = contexts.reduce((most, { end }) => Math.max(most, end), 1);

  // Variables may have equal names, which the filter does not tell apart.
  const names = [...new Set(data.variables)];
  const nameNumbers = new Map(names.map((it, number) => [it, number]));
  const nameOf = [...data.variables.map((it) => nameNumbers.get(it)), NONE];
  const hasName = (number, filter) => filter === NONE || nameOf.at(number) === filter;
  const name = (event) => (variable[event] === NONE ? "" : data.variables[variable[event]]);
  const value = (event) => (text[event] === NONE ? "" : ` = ${data.texts[text[event]]}`);
  const reason = (event) => (reasons[event] === NONE ? "" : data.texts[reasons[event]]);
  const action = (event) => `${data.kinds[kind[event]]} ${name(event)}`.trim();

  function line(index) {
    const [file, number, func] = data.places[index];
    return `${data.files[file]}:${number} in ${func}`;
  }

  function sentence(event) {
    const [directories, where] = place[event] === NONE ? [] : /^(.*[/\\])?([^/\\]*:\d+ in .*)$/s.exec(line(place[event])).slice(1);
    return `${action(event)}${value(event)} \u00b7 ${contexts[context[event]].label}${where ? `, ${where}` : ""}`;
  }

  function firstAfter(list, bound, read) {
    // The index of the first item for which `read` returns more than the bound, in a sorted list.
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (read(list[middle]) > bound) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  function inherited(it) {
    // The spans whose values a context was copied with.
    const found = new Map();
    const chain = [];
    for (let child = it; child.parent !== NONE && child.maker !== NONE; child = contexts[child.parent]) chain.push(child);
    for (const { parent, maker } of chain.reverse()) {
      for (const [number, { spans }] of contexts[parent].rows) {
        const span = spans[firstAfter(spans, maker, ({ began }) => began) - 1];
        if (!span) continue;
        if (span.endedBy === NONE || span.endedBy > maker) found.set(number, span);
        else found.delete(number);
      }
    }
    return [...found.values()];
  }

  function heirs(span) {
    // The contexts that were copied with the value of a span, directly or from another copy.
    const found = [];
    const visit = (it, isInherited) => {
      for (const child of it.children) if (isInherited(child.maker)) found.push(child);
    };
    visit(span.home, (maker) => maker >= span.began && (span.endedBy === NONE || maker < span.endedBy));
    for (const it of found) {
      const first = it.rows.get(variable[span.began])?.spans[0]?.began ?? count;
      visit(it, (maker) => maker !== NONE && maker < first);
    }
    return found;
  }

  function scopes(event) {
    // The scopes of the context that were open before an event.
    const { rows } = contexts[context[event]];
    return [...rows.values()]
      .flatMap(({ spans }) => spans)
      .filter(({ began, setBy, endedBy }) => began === setBy && began < event && (endedBy === NONE || endedBy >= event))
      .map(({ began }) => began)
      .filter((began) => data.kinds[kind[began]] === "scope enter");
  }

  function isSeen({ it, rows }, [from, to]) {
    // Whether a context has an event or a value in a range of time.
    const event = it.events[firstAfter(it.events, from, (each) => time[each])];
    const span = ({ spans }) => spans[firstAfter(spans, from, ({ end }) => end)];
    return time[event] <= to || rows.some((number) => span(it.rows.get(number))?.start <= to);
  }

  function matching(filter) {
    // The contexts that match, with their variables, by thread; and the events, ordered by time.
    const words = filter.task.toLowerCase();
    const isShown = (event) => hasName(variable[event], filter.name) && (!filter.missing || isMissing(event));
    const threads = new Map();
    const events = [];
    // Copies come below the contexts that they are copied from.
    const waiting = contexts.filter(({ parent }) => parent === NONE).reverse();
    while (waiting.length) {
      const it = waiting.pop();
      for (let child = it.children.length - 1; child >= 0; child--) waiting.push(it.children[child]);
      if (!`${it.thread} ${it.label}`.toLowerCase().includes(words)) continue;
      const shown = it.events.filter(isShown);
      if (!shown.length) continue;
      for (const event of shown) events.push(event);
      const rows = [...it.rows.keys()].filter(
        (number) => hasName(number, filter.name) && (!filter.missing || it.rows.get(number).missing.length)
      );
      if (!threads.has(it.thread)) threads.set(it.thread, []);
      threads.get(it.thread).push({ it, rows });
    }
    events.sort((one, other) => time[one] - time[other] || one - other);
    return { threads, events };
  }

  return {
    ...{ NONE, data, kind, variable, context, time, place, count, contexts, spanOf, last, names, nameOf },
    ...{ isMissing, isLost, name, value, reason, action, line, sentence, firstAfter, inherited, heirs, scopes, isSeen, matching },
  };
}
