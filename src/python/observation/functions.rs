//! The functions of the module that start and read recordings, and set hooks. They are not public:
//! `ctxvars.record`, `ctxvars.why` and `ctxvars.watch` use them.

use super::place::Place;
use super::recorder::{self, Event};
use super::{RECORDER, is_on, watch};
use crate::python::interpreter::{
    ErrorSet, Exception, Owned, exactly, module_function,
    module_function_without_arguments as without_arguments, raise, type_object,
};
use std::ffi::CStr;

/// `start_recording(capacity, values)`: `values` is `True`, `False`, or the variables whose values
/// are shown.
fn start_recording(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [capacity, values] = exactly(c"start_recording", arguments)?;
    let count = capacity.to_long()?;
    let Ok(size @ 1..) = usize::try_from(count) else {
        let message = c"start_recording() argument 'capacity' must be positive, got %R";
        return Err(raise(Exception::ValueError, message, capacity));
    };
    let shown = if values.is(&Owned::from_bool(false)) {
        None
    } else if values.is(&Owned::from_bool(true)) {
        Some(values.clone())
    } else {
        Some(values.to_frozenset()?)
    };
    recorder::start(size, shown)?;
    Ok(Owned::none())
}

fn stop_recording() -> Result<Owned, ErrorSet> {
    recorder::stop();
    Ok(Owned::none())
}

fn is_recording() -> Result<Owned, ErrorSet> {
    Ok(Owned::from_bool(is_on(RECORDER)))
}

/// The number, or `None`.
fn optional_number(number: Option<u32>) -> Result<Owned, ErrorSet> {
    number.map_or_else(|| Ok(Owned::none()), |number| Owned::from_u64(number.into()))
}

fn or_none(object: Option<&Owned>) -> Owned {
    object.cloned().unwrap_or_else(Owned::none)
}

fn event_row(
    event: &Event,
    text: Option<&Owned>,
    number: u64,
    base: u64,
) -> Result<Owned, ErrorSet> {
    Owned::tuple([
        &Owned::from_u64(number)?,
        event.kind.name(),
        &or_none(event.variable.as_deref()),
        &Owned::from_u64(event.version.number())?,
        &Owned::from_u64(event.parent.number())?,
        &optional_number(event.context())?,
        &Owned::from_u64(event.thread)?,
        &Owned::from_u64(base + event.nanoseconds)?,
        &or_none(event.code.as_ref()),
        &Owned::from_u64(event.instruction().into())?,
        &or_none(text),
    ])
}

fn recorded_events() -> Result<Owned, ErrorSet> {
    let recorded = recorder::events()?;
    let rows = Owned::list()?;
    for (number, (event, text)) in (recorded.first..).zip(&recorded.events) {
        rows.append(&event_row(event, text.as_ref(), number, recorded.base)?)?;
    }
    Ok(rows)
}

fn place_row(place: &Place) -> Result<Owned, ErrorSet> {
    Owned::tuple([&place.code, &Owned::from_u64(place.instruction.into())?])
}

fn recorded_contexts() -> Result<Owned, ErrorSet> {
    let (rows, base) = recorder::contexts()?;
    let list = Owned::list()?;
    for row in &rows {
        let stack = Owned::list()?;
        for place in &row.stack {
            stack.append(&place_row(place)?)?;
        }
        list.append(&Owned::tuple([
            &Owned::from_u64(row.number.into())?,
            &optional_number(row.parent)?,
            &Owned::from_u64(row.parent_version.number())?,
            &Owned::from_u64(base + row.nanoseconds)?,
            &Owned::from_u64(row.thread)?,
            &or_none(row.thread_name.as_ref()),
            &or_none(row.task_name.as_ref()),
            &stack.list_to_tuple()?,
        ])?)?;
    }
    Ok(list)
}

fn recording_position() -> Result<Owned, ErrorSet> {
    let (version, context) = recorder::position()?;
    Owned::tuple([&Owned::from_u64(version.number())?, &optional_number(context)?])
}

fn set_missing_hook(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [hook] = exactly(c"set_missing_hook", arguments)?;
    recorder::set_missing_hook((!hook.is_none()).then(|| hook.clone()));
    Ok(Owned::none())
}

/// `set_watch_hook(hook, variables)`
fn set_watch_hook(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [hook, variables] = exactly(c"set_watch_hook", arguments)?;
    let variables = variables.to_frozenset()?;
    watch::set((!hook.is_none()).then(|| (hook.clone(), variables)))?;
    Ok(Owned::none())
}

/// The functions, and a constant, with their names.
pub(crate) fn functions(module: &Owned) -> Result<Vec<(&'static CStr, Owned)>, ErrorSet> {
    let rows = [
        (c"start_recording", module_function(c"start_recording", start_recording, START_DOC)),
        (c"stop_recording", without_arguments(c"stop_recording", stop_recording, STOP_DOC)),
        (c"is_recording", without_arguments(c"is_recording", is_recording, IS_DOC)),
        (c"recorded_events", without_arguments(c"recorded_events", recorded_events, EVENTS_DOC)),
        (
            c"recorded_contexts",
            without_arguments(c"recorded_contexts", recorded_contexts, CONTEXTS_DOC),
        ),
        (
            c"recording_position",
            without_arguments(c"recording_position", recording_position, POSITION_DOC),
        ),
        (c"set_missing_hook", module_function(c"set_missing_hook", set_missing_hook, MISSING_DOC)),
        (c"set_watch_hook", module_function(c"set_watch_hook", set_watch_hook, WATCH_DOC)),
    ];
    let mut named = Vec::with_capacity(rows.len() + 1);
    for (name, row) in rows {
        named.push((name, type_object::function(module, row)?));
    }
    named.push((c"watches_switches", Owned::from_bool(watch::SEES_SWITCHES)));
    Ok(named)
}

const START_DOC: &CStr = c"start_recording($module, capacity, values, /)\n--\n\n\
    Record the next events, and keep the newest ones, as many as the capacity says.\n\n\
    Values are not kept. If values is True or a collection of variables, short texts of the values\n\
    are. Raise RuntimeError if a recording is on.";
const STOP_DOC: &CStr = c"stop_recording($module, /)\n--\n\n\
    Stop recording. The events stay until the next recording starts.";
const IS_DOC: &CStr = c"is_recording($module, /)\n--\n\nReturn whether a recording is on.";
const EVENTS_DOC: &CStr = c"recorded_events($module, /)\n--\n\n\
    Return a list of tuples, one for each event that is kept, oldest first.\n\n\
    Each has the number of the event, its kind, variable, version, version before, context, thread,\n\
    time in nanoseconds, code, offset of the instruction, and text of the value. O(n).";
const CONTEXTS_DOC: &CStr = c"recorded_contexts($module, /)\n--\n\n\
    Return a list of tuples, one for each context with an event.\n\n\
    Each has the number of the context, the number of the context that it was copied from, the\n\
    version that was copied, time in nanoseconds, thread, name of the thread, name of the task, and\n\
    the stack of the first event. O(n).";
const POSITION_DOC: &CStr = c"recording_position($module, /)\n--\n\n\
    Return the version of the current bindings, and the number of the current context in the\n\
    recording, or None.";
const MISSING_DOC: &CStr = c"set_missing_hook($module, hook, /)\n--\n\n\
    Call hook(variable, exception) for each LookupError of a variable during a recording.\n\n\
    None takes the hook away.";
const WATCH_DOC: &CStr = c"set_watch_hook($module, hook, variables, /)\n--\n\n\
    Call hook(kind, variable, old, new) after each change of one of the variables.\n\n\
    Also call hook('switch', None, MISSING, MISSING) after each switch to another context that is\n\
    seen. None takes the hook away.";
