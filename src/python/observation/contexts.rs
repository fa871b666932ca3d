//! Telling contexts apart.
//!
//! The recorder numbers contexts in the order of their first events. It keeps no reference to a
//! context, which would keep its values alive. It knows a context by its address, and by the version
//! of its bindings after its last event: a context that is made later at the same address does not
//! have that version, because each change makes a new one. All empty bindings have one version, so
//! an empty context is also known by its thread.
//!
//! Without knowledge of the layout of native contexts, a context is known by its task of asyncio, if
//! there is one, and by the version. So a copy in which the same task runs code counts as the context
//! of the task.

use super::place::{self, Place};
use crate::context::Version;
use crate::python::context::native_layout;
use crate::python::interpreter::Owned;
use std::collections::{HashMap, TryReserveError, VecDeque};

/// A context in which an event happened.
pub(super) struct Row {
    pub(super) number: u32,
    /// The version of its bindings before its first event.
    pub(super) parent_version: Version,
    /// The number of the context that made this version, if it is known.
    pub(super) parent: Option<u32>,
    pub(super) nanoseconds: u64,
    pub(super) thread: u64,
    pub(super) thread_name: Option<Owned>,
    pub(super) task_name: Option<Owned>,
    pub(super) stack: Vec<Place>,
    /// The version of its bindings after its last event.
    last: Version,
    /// The thread of its first event, by a number that is not used again.
    unique_thread: u64,
}

impl Row {
    /// A row for the current context, whose first event happens now in this thread.
    pub(super) fn of_this_thread(parent_version: Version, nanoseconds: u64) -> Self {
        Self {
            number: 0,
            parent_version,
            parent: None,
            nanoseconds,
            thread: place::thread(),
            thread_name: place::thread_name(),
            task_name: place::task_name(),
            stack: Place::stack(),
            last: parent_version,
            unique_thread: place::unique_thread(),
        }
    }

    /// A copy; an error if memory is too short for the stack.
    pub(super) fn try_clone(&self) -> Result<Self, TryReserveError> {
        let mut stack = Vec::new();
        stack.try_reserve_exact(self.stack.len())?;
        stack.extend(self.stack.iter().cloned());
        let (thread_name, task_name) = (self.thread_name.clone(), self.task_name.clone());
        Ok(Self { thread_name, task_name, stack, ..*self })
    }
}

/// What identifies the current context.
#[derive(Clone, Copy)]
pub(super) struct Identity {
    /// The address of the context; if the thread has none yet, the key of the thread. If the layout is
    /// not known, the address of the task, or 0.
    key: u64,
    unique_thread: u64,
    /// Whether CPython has made the context for the thread, which has not entered another one.
    is_of_thread: bool,
}

/// The key of a thread that has no context yet: an odd number, unlike an address.
fn key_of_thread(unique_thread: u64) -> u64 {
    unique_thread << 1 | 1
}

impl Identity {
    pub(super) fn current() -> Self {
        let unique_thread = place::unique_thread();
        let context = native_layout::current_context();
        let is_of_thread = context.as_ref().is_some_and(|it| !native_layout::is_entered(it));
        let key = match context {
            Some(context) => context.as_ptr().addr() as u64,
            None if native_layout::is_active() => key_of_thread(unique_thread),
            None => place::task().map_or(0, |task| task.as_ptr().addr() as u64),
        };
        Self { key, unique_thread, is_of_thread }
    }
}

/// The contexts of the events in the ring.
pub(super) struct Contexts {
    rows: VecDeque<Row>,
    /// The number of the first row.
    first: u32,
    numbers: HashMap<u64, u32>,
    limit: usize,
    /// The result of the last look-up.
    latest: (u64, u32),
}

impl Contexts {
    pub(super) fn new(limit: usize) -> Self {
        let (rows, numbers) = (VecDeque::new(), HashMap::new());
        Self { rows, first: 0, numbers, limit, latest: (0, 0) }
    }

    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &Row> {
        self.rows.iter()
    }

    fn row_mut(&mut self, number: u32) -> Option<&mut Row> {
        self.rows.get_mut(number.checked_sub(self.first)? as usize)
    }

    /// The row of a context whose bindings have this version now.
    fn find(&mut self, context: Identity, version: Version) -> Option<&mut Row> {
        let is_it = |row: &Row| {
            let is_same_thread = row.unique_thread == context.unique_thread;
            row.last == version && (version != Version::EMPTY || is_same_thread)
        };
        let number = match context.key {
            0 => return self.rows.iter_mut().rev().find(|row| is_it(row)),
            key if key == self.latest.0 => self.latest.1,
            key => *self.numbers.get(&key)?,
        };
        self.latest = (context.key, number);
        self.row_mut(number).filter(|row| is_it(row))
    }

    /// The number of a context whose bindings have this version now.
    pub(super) fn number_of(&mut self, context: Identity, version: Version) -> Option<u32> {
        self.find(context, version).map(|row| row.number)
    }

    /// The number of a context whose bindings have changed from one version to another.
    pub(super) fn changed(
        &mut self,
        context: Identity,
        before: Version,
        after: Version,
    ) -> Option<u32> {
        if let Some(row) = self.find(context, before) {
            row.last = after;
            return Some(row.number);
        }
        if before != Version::EMPTY || !context.is_of_thread {
            return None;
        }
        // The thread may have got its first context since its last event.
        let number = self.numbers.remove(&key_of_thread(context.unique_thread))?;
        self.numbers.insert(context.key, number);
        self.latest = (context.key, number);
        let row = self.row_mut(number).filter(|row| row.last == Version::EMPTY)?;
        row.last = after;
        Some(number)
    }

    /// Adds a row for a context, and returns its number and a row that is to be dropped; or the row
    /// itself, if memory is too short.
    pub(super) fn add(
        &mut self,
        context: Identity,
        after: Version,
        mut row: Row,
    ) -> Result<(u32, Option<Row>), Row> {
        if self.rows.try_reserve(1).is_err() || self.numbers.try_reserve(1).is_err() {
            return Err(row);
        }
        let old = if self.rows.len() == self.limit { self.rows.pop_front() } else { None };
        if let Some(old) = &old {
            self.first = old.number + 1;
            if self.numbers.len() > 2 * self.limit {
                let first = self.first;
                self.numbers.retain(|_, number| *number >= first);
            }
        }
        let number = self.first + self.rows.len() as u32;
        (row.number, row.last) = (number, after);
        self.rows.push_back(row);
        if context.key != 0 {
            self.numbers.insert(context.key, number);
            self.latest = (context.key, number);
        }
        Ok((number, old))
    }

    /// Removes a context that dies, and returns its number and the version of its bindings.
    pub(super) fn remove(&mut self, address: usize) -> Option<(u32, Version)> {
        let number = self.numbers.remove(&(address as u64))?;
        self.latest = (0, 0);
        self.row_mut(number).map(|row| (row.number, row.last))
    }
}
