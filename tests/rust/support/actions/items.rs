//! Keys and values that count their live instances, and that can be made to panic.
//!
//! They own memory, so that sanitizers detect a double drop or a use after a drop.

use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};

/// User code that a map calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Eq,
    Hash,
    Clone,
    Drop,
    Borrow,
    /// A function that is passed to an operation.
    Function,
    /// `next` of an iterator that is passed to an operation.
    Next,
}

impl Call {
    pub(crate) const ALL: [Self; 7] =
        [Self::Eq, Self::Hash, Self::Clone, Self::Drop, Self::Borrow, Self::Function, Self::Next];
}

/// The payload of a requested panic.
pub(crate) struct Burnt;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static FUSE: Cell<Option<(Call, usize)>> = const { Cell::new(None) };
}

/// The number of live keys and values of this thread.
pub(crate) fn live() -> isize {
    LIVE.get()
}

fn count(difference: isize) {
    // A key in a static outlives the counter.
    let _ = LIVE.try_with(|live| live.set(live.get() + difference));
}

/// Makes a call of one kind panic once, after this many calls.
pub(crate) fn light(call: Call, calls: usize) {
    FUSE.set(Some((call, calls)));
}

/// Cancels the requested panic, and returns whether it was still pending.
pub(crate) fn put_out() -> bool {
    FUSE.take().is_some()
}

/// Panics if that was requested. All code that may panic calls it first.
pub(crate) fn user_code(call: Call) {
    let Ok(Some((burning, left))) = FUSE.try_with(Cell::get) else { return };
    if burning != call || std::thread::panicking() {
        return;
    }
    if left == 0 {
        FUSE.set(None);
        // Unlike `panic!`, this prints nothing.
        std::panic::resume_unwind(Box::new(Burnt));
    }
    FUSE.set(Some((burning, left - 1)));
}

/// The identity of a key.
pub(crate) struct Id(pub(crate) u16);

/// A key. Keys with one id are equal, but a test can check which copy is stored.
pub(crate) struct Key {
    id: Box<Id>,
    copy: u8,
}

/// A value.
pub(crate) struct Value(Box<u8>);

/// Makes a key; printed code uses it.
pub(crate) fn k(id: u16, copy: u8) -> Key {
    count(1);
    Key { id: Box::new(Id(id)), copy }
}

/// Makes a value; printed code uses it.
pub(crate) fn v(value: u8) -> Value {
    count(1);
    Value(Box::new(value))
}

impl Key {
    pub(crate) fn id(&self) -> u16 {
        self.id.0
    }

    pub(crate) fn copy(&self) -> u8 {
        self.copy
    }
}

impl Value {
    pub(crate) fn get(&self) -> u8 {
        *self.0
    }

    pub(crate) fn set(&mut self, value: u8) {
        *self.0 = value;
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        user_code(Call::Eq);
        self.0 == other.0
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        user_code(Call::Hash);
        self.0.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl Borrow<Id> for Key {
    fn borrow(&self) -> &Id {
        user_code(Call::Borrow);
        &self.id
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        user_code(Call::Eq);
        self.0 == other.0
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        user_code(Call::Hash);
        self.0.hash(state);
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        user_code(Call::Clone);
        k(self.id.0, self.copy)
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        user_code(Call::Clone);
        v(*self.0)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        count(-1);
        user_code(Call::Drop);
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        count(-1);
        user_code(Call::Drop);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k({}, {})", self.id.0, self.copy)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v({})", self.0)
    }
}
