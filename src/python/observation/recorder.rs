//! The recorder: a ring of events.
//!
//! The ring is allocated when the recording starts. An event in it takes 56 bytes, and the newest
//! event replaces the oldest one. Values are not kept. Versions say how events are related: the
//! parent of an event is the version of the bindings before it.
//!
//! # Locking
//!
//! [`STATE`] is locked for a few instructions, in which no Python code runs. So nothing is dropped
//! while it is locked, and the objects of a new event are made before.

use super::contexts::{Contexts, Identity, Row};
use super::place::{self, Place};
use super::{Kind, RECORDER, current_version, is_on, quietly, switch};
use crate::context::Version;
use crate::python::context::variable::VariableObject;
use crate::python::interpreter::error::clear_exception;
use crate::python::interpreter::free_threading::{Shared, SharedRef};
use crate::python::interpreter::lazy_import::MONOTONIC_NS;
use crate::python::interpreter::type_object::no_memory;
use crate::python::interpreter::{ErrorSet, Exception, Owned, raise_message};
use std::collections::{HashMap, TryReserveError};
use std::mem;
use std::time::Instant;

/// The number of events for each context that is kept.
const EVENTS_PER_CONTEXT: usize = 4;

const LEAST_CONTEXTS: usize = 16;

/// An event, in 56 bytes.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) version: Version,
    pub(super) parent: Version,
    /// Since the start of the recording.
    pub(super) nanoseconds: u64,
    pub(super) thread: u64,
    pub(super) variable: Option<VariableObject>,
    pub(super) code: Option<Owned>,
    context: u32,
    instruction: [u8; 3],
    pub(super) kind: Kind,
}

const _: () = assert!(size_of::<usize>() != 8 || size_of::<Event>() == 56);

impl Event {
    /// An event in this thread, which has led from one version to another, without a variable and a
    /// place.
    fn new(
        kind: Kind,
        (parent, version): (Version, Version),
        context: u32,
        nanoseconds: u64,
    ) -> Self {
        let (thread, instruction) = (place::thread(), [0; 3]);
        let (variable, code) = (None, None);
        Self { version, parent, nanoseconds, thread, variable, code, context, instruction, kind }
    }

    fn at(self, place: Option<&Place>) -> Self {
        let code = place.map(|place| place.code.clone());
        Self { code, instruction: place.map_or([0; 3], Place::short_instruction), ..self }
    }

    fn of(self, variable: Option<&VariableObject>) -> Self {
        Self { variable: variable.cloned(), ..self }
    }

    /// The number of the context; `None` if memory was too short for its row.
    pub(super) fn context(&self) -> Option<u32> {
        (self.context != NO_CONTEXT).then_some(self.context)
    }

    /// The offset of the instruction in its code.
    pub(super) fn instruction(&self) -> u32 {
        let [a, b, c] = self.instruction;
        u32::from_le_bytes([a, b, c, 0])
    }
}

const NO_CONTEXT: u32 = u32::MAX;

struct Recorder {
    events: Vec<Event>,
    /// The texts of the values of the events, if they were asked for.
    texts: Vec<Option<Owned>>,
    /// The place of the next event, if the ring is full.
    next: usize,
    /// The number of events so far.
    count: u64,
    contexts: Contexts,
    start: Instant,
    /// The time of `start` on the clock of `time.monotonic_ns`.
    base: u64,
}

static STATE: Shared<Option<Box<Recorder>>> = Shared::new(None);
/// The variables whose values are recorded: `True` for all, or a frozenset.
static SHOWN: SharedRef = SharedRef::new(None);
/// Called for each `LookupError` of `get`.
static MISSING_HOOK: SharedRef = SharedRef::new(None);

/// Starts a recording, and drops the last one.
pub(super) fn start(capacity: usize, shown: Option<Owned>) -> Result<(), ErrorSet> {
    let base = MONOTONIC_NS.get()?.call_without_arguments()?.to_u64()?;
    let mut events = Vec::new();
    events.try_reserve_exact(capacity).map_err(|_| no_memory())?;
    let mut texts = Vec::new();
    if shown.is_some() {
        texts.try_reserve_exact(capacity).map_err(|_| no_memory())?;
    }
    let contexts = Contexts::new((capacity / EVENTS_PER_CONTEXT).max(LEAST_CONTEXTS));
    let recorder = Box::new(Recorder {
        events,
        texts,
        next: 0,
        count: 0,
        contexts,
        start: Instant::now(),
        base,
    });
    let started = STATE.with(|state| {
        if is_on(RECORDER) {
            return Err(recorder);
        }
        let old = state.replace(recorder);
        switch(RECORDER, true);
        Ok(old)
    });
    match started {
        Ok(_old) => {
            SHOWN.set(shown);
            Ok(())
        }
        Err(_refused) => {
            let message = c"a recording is on: stop it before another one is started";
            Err(raise_message(Exception::RuntimeError, message))
        }
    }
}

/// Stops the recording. Its events stay until the next start.
pub(super) fn stop() {
    switch(RECORDER, false);
    SHOWN.set(None);
}

pub(super) fn set_missing_hook(hook: Option<Owned>) {
    MISSING_HOOK.set(hook);
}

impl Recorder {
    /// Writes an event, and returns the objects of the event that it replaces.
    fn push(&mut self, event: Event, text: Option<Owned>) -> (Option<Event>, Option<Owned>) {
        self.count += 1;
        let has_texts = self.texts.capacity() != 0;
        if self.events.len() < self.events.capacity() {
            self.events.push(event);
            if has_texts {
                self.texts.push(text);
            }
            return (None, None);
        }
        let place = self.next;
        self.next = (place + 1) % self.events.len();
        let old = mem::replace(&mut self.events[place], event);
        (Some(old), if has_texts { mem::replace(&mut self.texts[place], text) } else { None })
    }

    /// The places of the events, oldest first.
    fn in_order(&self) -> impl Iterator<Item = usize> {
        (self.next..self.events.len()).chain(0..self.next)
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

/// The number of the current context, whose bindings have changed from one version to another, and
/// the time.
fn context_and_time(before: Version, after: Version) -> Option<(u32, u64)> {
    let context = Identity::current();
    let (number, now) = STATE.with(|state| {
        let recorder = state.as_mut()?;
        Some((recorder.contexts.changed(context, before, after), recorder.now()))
    })?;
    if let Some(number) = number {
        return Some((number, now));
    }
    let row = Row::of_this_thread(before, now);
    let added = STATE.with(|state| Some(state.as_mut()?.contexts.add(context, after, row)));
    match added? {
        Ok((number, _dropped)) => Some((number, now)),
        Err(_no_memory) => Some((NO_CONTEXT, now)),
    }
}

fn write(event: Event, text: Option<Owned>) {
    let _replaced = STATE.with(|state| state.as_mut().map(|state| state.push(event, text)));
}

/// Records a change of variables, which led from the version `before` to the current one.
pub(super) fn record_change<'a>(
    kind: Kind,
    before: Version,
    place: Option<&Place>,
    variables: impl Iterator<Item = &'a VariableObject>,
) {
    let Some(after) = quietly(current_version()) else { return };
    let Some((context, nanoseconds)) = context_and_time(before, after) else { return };
    for variable in variables {
        let text = text_of(variable);
        let event = Event::new(kind, (before, after), context, nanoseconds);
        write(event.at(place).of(Some(variable)), text);
    }
}

/// Records an event in the current context, which changes no variable.
pub(super) fn record(kind: Kind, variable: Option<&VariableObject>) {
    let place = Place::innermost();
    let Some(version) = quietly(current_version()) else { return };
    let Some((context, nanoseconds)) = context_and_time(version, version) else { return };
    let event = Event::new(kind, (version, version), context, nanoseconds);
    write(event.at(place.as_ref()).of(variable), None);
}

/// Records that the context at this address dies, if it is in the recording. It may be called where
/// no object can be made.
pub(super) fn record_drop(address: usize) {
    let _replaced = STATE.with(|state| {
        let recorder = state.as_mut()?;
        let (context, version) = recorder.contexts.remove(address)?;
        let event = Event::new(Kind::Drop, (version, version), context, recorder.now());
        Some(recorder.push(event, None))
    });
}

/// The text of the current value of a variable, if it was asked for. It runs no Python code: values of
/// other types than the simple built-in ones are shown by their type.
fn text_of(variable: &VariableObject) -> Option<Owned> {
    let shown = SHOWN.get()?;
    let is_shown = shown.is(&Owned::from_bool(true)) || quietly(shown.contains(variable))?;
    if !is_shown {
        return None;
    }
    quietly(quietly(variable.get_current())??.short_repr())
}

/// Calls the hook for a `LookupError`, which has been raised. The hook may add a note to it. An
/// `Exception` of the hook is dropped; any other exception, such as `KeyboardInterrupt`, replaces
/// the `LookupError`.
pub(super) fn explain_missing(variable: &VariableObject) {
    let Some(hook) = MISSING_HOOK.get() else { return };
    let Some(raised) = ErrorSet.take() else { return };
    match hook.call([variable, &raised]) {
        Err(ErrorSet) if !Exception::Any.is_set() => return,
        Err(ErrorSet) => clear_exception(),
        Ok(_) => {}
    }
    ErrorSet::restore(raised);
}

/// The events, oldest first, with the number of the first one and the time of the start.
pub(super) struct Recorded {
    pub(super) events: Vec<(Event, Option<Owned>)>,
    pub(super) first: u64,
    pub(super) base: u64,
}

pub(super) fn events() -> Result<Recorded, ErrorSet> {
    let empty = Recorded { events: Vec::new(), first: 0, base: 0 };
    let recorded = STATE.with(|state| {
        let Some(recorder) = state else { return Ok(empty) };
        let mut copies = Vec::new();
        copies.try_reserve_exact(recorder.events.len())?;
        for place in recorder.in_order() {
            let text = recorder.texts.get(place).cloned().flatten();
            copies.push((recorder.events[place].clone(), text));
        }
        let first = recorder.count - copies.len() as u64;
        Ok(Recorded { events: copies, first, base: recorder.base })
    });
    recorded.map_err(|_: TryReserveError| no_memory())
}

/// The contexts of the events, and the time of the start.
pub(super) fn contexts() -> Result<(Vec<Row>, u64), ErrorSet> {
    let rows = STATE.with(|state| {
        let Some(recorder) = state else { return Ok((Vec::new(), 0)) };
        let mut rows = Vec::new();
        rows.try_reserve_exact(recorder.contexts.rows().len())?;
        let mut makers = HashMap::new();
        makers.try_reserve(recorder.events.len())?;
        // A reset may restore an older version, which the first of these events has made. Empty
        // bindings are not made by a change: a new thread has them.
        for event in recorder.in_order().map(|place| &recorder.events[place]) {
            if event.version != event.parent && event.version != Version::EMPTY {
                makers.entry(event.version.number()).or_insert(event.context());
            }
        }
        for row in recorder.contexts.rows() {
            let mut row = row.try_clone()?;
            row.parent = makers.get(&row.parent_version.number()).copied().flatten();
            rows.push(row);
        }
        Ok((rows, recorder.base))
    });
    rows.map_err(|_: TryReserveError| no_memory())
}

/// The version of the current bindings, and the number of the current context, if it has a row.
pub(super) fn position() -> Result<(Version, Option<u32>), ErrorSet> {
    let version = current_version()?;
    let context = Identity::current();
    let number = STATE.with(|state| state.as_mut()?.contexts.number_of(context, version));
    Ok((version, number))
}
