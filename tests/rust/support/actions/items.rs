//! Keys and values that count how many of them live, and that can be made to panic.
//!
//! Both own memory, so that sanitizers notice one that is dropped twice or used after that.

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
    /// A function that an operation is given.
    Function,
    /// `next` of an iterator that an operation is given.
    Next,
}

impl Call {
    pub(crate) const ALL: [Self; 7] =
        [Self::Eq, Self::Hash, Self::Clone, Self::Drop, Self::Borrow, Self::Function, Self::Next];
}

/// What a call that was made to panic panics with.
pub(crate) struct Burnt;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static FUSE: Cell<Option<(Call, usize)>> = const { Cell::new(None) };
}

/// Keys and values of this thread that have not been dropped.
pub(crate) fn live() -> isize {
    LIVE.get()
}

fn count(difference: isize) {
    // A key in a static outlives the counter, which does not matter then.
    let _ = LIVE.try_with(|live| live.set(live.get() + difference));
}

/// Lets calls of one kind panic once, after this many of them.
pub(crate) fn light(call: Call, calls: usize) {
    FUSE.set(Some((call, calls)));
}

/// Lets nothing panic any more, and tells whether something would still have.
pub(crate) fn put_out() -> bool {
    FUSE.take().is_some()
}

/// What all code that may be made to panic begins with.
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

/// What makes two keys the same.
pub(crate) struct Id(pub(crate) u16);

/// A key. Those with one id are the same, but a test can tell which copy is in a map.
pub(crate) struct Key {
    id: Box<Id>,
    copy: u8,
}

/// A value.
pub(crate) struct Value(Box<u8>);

/// A key, as reproductions write it.
pub(crate) fn k(id: u16, copy: u8) -> Key {
    count(1);
    Key { id: Box::new(Id(id)), copy }
}

/// A value, as reproductions write it.
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
