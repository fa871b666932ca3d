//! What a thread knows of its current context.
//!
//! A thread owns its current bindings. As long as no copy of the context is alive, nobody else
//! shares them, and setting a variable edits them in place.
//!
//! # Readers
//!
//! Reading hands out a reference into the current bindings without counting it. The reader may be
//! user code, which may set this very variable, enter other contexts, panic, or read again. What
//! it has must stay alive and unchanged until it is done:
//!
//! 1. A reader *pins* the current bindings, by one flag, if no reader further out has. Pinned
//!    bindings are neither edited nor dropped: an update *retires* them to a stack, makes a copy of
//!    them current, which nobody reads yet and so is not pinned, and edits that.
//! 2. Readers are calls, which nest. So a reader that found the bindings pinned ends before the
//!    one that pinned them, and only that one has anything to do at its end: if the bindings are
//!    still pinned, it unpins them; if not, they have been retired, and it drops them. They are on
//!    top of the stack then: what was pinned since has been dropped by the readers that pinned it.
//! 3. Entering a context moves the bindings that were current, with their flag, into a frame that
//!    cannot end before those inside of it; leaving it puts both back.
//!
//! So an update waits for no reader further out, and a reader that goes on for the life of the
//! program keeps one retired value of the bindings, not one for each update.

#![allow(unsafe_code)] // Readers borrow from bindings that they do not count: see above.

use super::carrier::LocalHeap;
use super::id::VariableId;
use super::lookup_cache::LookupCache;
use super::value::{LocalValue, ValueAddress};
use crate::context::bindings::Bindings;
use crate::context::version::Version;
use crate::map::{Node, NodeRef};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::mem::{self, ManuallyDrop, forget};
use std::ptr::NonNull;

type Root = Option<NonNull<Node<LocalHeap>>>;

/// What a thread knows of the context that is current in it.
///
/// It needs no destructor, so that reading it needs no check whether that has run.
pub(super) struct Current {
    /// The root of the bindings, one reference to which is owned here.
    root: Cell<Root>,
    /// The version of the bindings, here as well so that a reader need not ask the root for it.
    version: Cell<Version>,
    /// The identity of the context, empty until it is asked for.
    context: Cell<Version>,
    /// Whether a reader may hold references into the bindings.
    is_pinned: Cell<bool>,
    /// Whether `CLEANUP` will drop the bindings.
    has_cleanup: Cell<bool>,
    /// The values that were looked up last, by variable.
    lookups: LookupCache,
}

/// What must be dropped when the thread ends.
struct Cleanup {
    /// Bindings replaced while they were pinned, the latest last.
    retired: RefCell<Vec<Bindings<LocalHeap>>>,
}

thread_local! {
    pub(super) static CURRENT: Current = const {
        Current {
            root: Cell::new(None),
            version: Cell::new(Version::EMPTY),
            context: Cell::new(Version::EMPTY),
            is_pinned: Cell::new(false),
            has_cleanup: Cell::new(false),
            lookups: LookupCache::new(),
        }
    };

    static CLEANUP: Cleanup = const { Cleanup { retired: RefCell::new(Vec::new()) } };
}

/// How often the bindings of a thread that ends are dropped, if the destructors of values set
/// variables again. What is set after that is leaked with the thread.
const MAX_DROP_ROUNDS: usize = 4;

impl Drop for Cleanup {
    fn drop(&mut self) {
        CURRENT.with(|current| {
            // `exit` runs this on top of the readers that called it, which never end. Another
            // thread may hold a reference that such a reader gave it, so what is read is leaked.
            self.retired.take().into_iter().for_each(forget);
            for _ in 0..MAX_DROP_ROUNDS {
                if !current.is_pinned.get() {
                    drop(current.replace(Bindings::new()));
                }
            }
        });
    }
}

/// Ends the read that pinned the current bindings, also when the reader panics.
struct UnpinOnDrop<'a> {
    current: &'a Current,
    was_pinned: bool,
}

impl Drop for UnpinOnDrop<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.was_pinned && !self.current.is_pinned.replace(false) {
            self.current.drop_retired();
        }
    }
}

/// Leaves a context that was entered, also when what ran in it panics.
struct LeaveOnDrop<'a> {
    current: &'a Current,
    /// Where the bindings and the identity of the context go back to.
    context: (&'a mut Bindings<LocalHeap>, &'a mut Version),
    /// What was current before. One reference to the root is owned here.
    before: (Root, Version, Version, bool),
}

impl Drop for LeaveOnDrop<'_> {
    #[inline]
    fn drop(&mut self) {
        let (root, version, context, is_pinned) = self.before;
        *self.context.1 = self.current.context.replace(context);
        let root = self.current.root.replace(root);
        // SAFETY: the reference that `root` owned is taken over.
        let root = root.map(|root| unsafe { NodeRef::from_raw(root) });
        forget(mem::replace(self.context.0, Bindings::from_root(root)));
        self.current.version.set(version);
        self.current.is_pinned.set(is_pinned);
    }
}

impl Current {
    /// The current bindings, without taking the reference that `root` owns.
    #[inline]
    fn borrow_bindings(&self) -> ManuallyDrop<Bindings<LocalHeap>> {
        // SAFETY: `root` owns a reference to a complete node, and the copy is not dropped. Every
        // use below is over before `root` changes.
        let root = self.root.get().map(|root| unsafe { NodeRef::from_raw(root) });
        ManuallyDrop::new(Bindings::from_root(root))
    }

    /// Makes `bindings` current and returns those that were.
    #[inline]
    fn replace(&self, bindings: Bindings<LocalHeap>) -> Bindings<LocalHeap> {
        self.version.set(bindings.version());
        let root = self.root.replace(bindings.into_root().map(NodeRef::into_raw));
        // SAFETY: the reference that `root` owned is taken over.
        Bindings::from_root(root.map(|root| unsafe { NodeRef::from_raw(root) }))
    }

    /// Runs `reader` with the value of `variable`. O(1) if it was looked up since the last change,
    /// else O(log n).
    ///
    /// # Safety
    ///
    /// `variable` has values of the type `T` only.
    #[inline]
    pub(super) unsafe fn read<T, R>(
        &self,
        variable: VariableId,
        reader: impl FnOnce(Option<&T>) -> R,
    ) -> R {
        let value = match self.lookups.get(variable, self.version.get()) {
            Some(value) => value,
            None => self.look_up(variable),
        };
        // The flag is written as a constant, twice, and only ever read for a branch. Counting
        // readers would make each read wait for the memory of the one before.
        let _ends = UnpinOnDrop { current: self, was_pinned: self.is_pinned.replace(true) };
        // SAFETY: the value is in the current bindings, which are pinned until `_ends` is dropped,
        // by this reader or by one further out, and so stay alive; and it is a `T`.
        reader(unsafe { value.get::<T>() })
    }

    /// Looks the value of `variable` up, and remembers it.
    #[cold]
    #[inline(never)]
    fn look_up(&self, variable: VariableId) -> ValueAddress {
        let value = if variable == VariableId::NEVER_SET {
            ValueAddress::NONE
        } else {
            match self.borrow_bindings().get(&variable) {
                Ok(value) => value.map_or(ValueAddress::NONE, LocalValue::address),
                Err(never) => match never {},
            }
        };
        self.lookups.insert(variable, self.version.get(), value);
        value
    }

    /// Drops the bindings that were retired last.
    #[cold]
    #[inline(never)]
    fn drop_retired(&self) {
        // Dropping values may run user code, so they are taken out first. An error means that the
        // thread is ending, and that they have been leaked.
        let done = CLEANUP.try_with(|cleanup| cleanup.retired.borrow_mut().pop());
        drop(done);
    }

    /// Sees to it that the bindings are dropped when the thread ends.
    #[cold]
    fn register_cleanup(&self) {
        self.has_cleanup.set(true);
        // An error means that the thread is ending, and that the bindings are leaked.
        let _ = CLEANUP.try_with(|_| ());
    }

    /// Edits the current bindings, or a copy of them if somebody reads them. O(1) besides `edit`.
    #[inline]
    pub(super) fn edit<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<LocalHeap>) -> Result<R, Infallible>,
    ) -> Result<R, Infallible> {
        if !self.has_cleanup.get() {
            self.register_cleanup();
        }
        if self.is_pinned.get() {
            self.retire();
        }
        // Nothing in an edit runs user code, so nobody sees that there are none meanwhile.
        let mut bindings = self.replace(Bindings::new());
        let result = edit(&mut bindings);
        forget(self.replace(bindings));
        result
    }

    /// Leaves the pinned bindings to their readers, and makes a copy of them current.
    #[cold]
    fn retire(&self) {
        let copy = Bindings::clone(&self.borrow_bindings());
        let before = ManuallyDrop::new(self.replace(copy));
        self.is_pinned.set(false);
        // If the thread is ending, the bindings are leaked rather than pulled from under a reader.
        let _ = CLEANUP.try_with(|cleanup| {
            cleanup.retired.borrow_mut().push(ManuallyDrop::into_inner(before));
        });
    }

    /// The current bindings, shared. O(1).
    #[inline]
    pub(super) fn snapshot(&self) -> Bindings<LocalHeap> {
        Bindings::clone(&self.borrow_bindings())
    }

    /// Runs `f` with `bindings` current in the context `identity`; what it sets goes to `bindings`.
    #[inline]
    pub(super) fn enter<R>(
        &self,
        bindings: &mut Bindings<LocalHeap>,
        identity: &mut Version,
        f: impl FnOnce() -> R,
    ) -> R {
        let version = self.version.replace(bindings.version());
        let root = mem::take(bindings).into_root().map(NodeRef::into_raw);
        let before = (
            self.root.replace(root),
            version,
            self.context.replace(*identity),
            self.is_pinned.replace(false),
        );
        let _left = LeaveOnDrop { current: self, context: (bindings, identity), before };
        f()
    }

    /// The identity of the current context. O(1).
    #[inline]
    pub(super) fn identity(&self) -> Version {
        if self.context.get() == Version::EMPTY {
            self.context.set(Version::next());
        }
        self.context.get()
    }
}
