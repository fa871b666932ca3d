//! The current context of a thread.
//!
//! A thread owns its current bindings. They are unshared as long as there is no copy of the context,
//! and setting a variable then edits them in place.
//!
//! # Readers
//!
//! A read passes a reference to the value in the current bindings, without incrementing a reference
//! count. The reader may run user code, which may set the same variable, enter other contexts, panic,
//! or read again. The value must stay alive and unchanged until the reader returns:
//!
//! 1. A reader *pins* the current bindings, by setting a flag, unless an outer reader has pinned them.
//!    Pinned bindings are neither edited nor dropped. An update *retires* them: it moves them to a
//!    stack and edits a copy, which becomes current and is not pinned.
//! 2. Readers are nested calls. A reader that found the bindings pinned returns before the reader that
//!    pinned them, and only the latter has to clean up: if the flag is still set, it clears the flag;
//!    otherwise the bindings have been retired, and it drops them. They are on top of the stack then,
//!    because bindings that were pinned later have been dropped by their own readers.
//! 3. Entering a context saves the current bindings and the flag in a stack frame. Leaving the
//!    context, which happens after all inner readers have returned, restores both.
//!
//! So an update never waits for an outer reader. A reader that never returns keeps one retired copy of
//! the bindings alive, not one for each update.

#![allow(unsafe_code)] // Readers borrow values without a reference count: see above.

mod lookup_cache;

use super::carrier::LocalHeap;
use super::id::VariableId;
use super::prune;
use super::value::{LocalValue, ValueAddress};
use crate::context::bindings::Bindings;
use crate::context::version::Version;
use crate::map::{Node, NodeRef};
use lookup_cache::LookupCache;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::mem::{self, ManuallyDrop, forget};
use std::ptr::NonNull;

type Root = Option<NonNull<Node<LocalHeap>>>;

/// The current context of a thread.
///
/// It has no destructor, so that an access need not check whether the destructor has run.
pub(super) struct Current {
    /// The root of the bindings. The field owns a reference to it.
    root: Cell<Root>,
    /// The version of the bindings, copied so that a reader need not load it from the root.
    version: Cell<Version>,
    /// The identity of the context; `Version::EMPTY` until it is needed.
    context: Cell<Version>,
    /// Whether a reader may hold references to values in the bindings.
    is_pinned: Cell<bool>,
    /// Whether `CLEANUP` is registered to drop the bindings when the thread ends.
    has_cleanup: Cell<bool>,
    /// A cache of lookups.
    lookups: LookupCache,
}

/// Drops the bindings when the thread ends.
struct Cleanup {
    /// The stack of retired bindings.
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

/// The number of times that the bindings of an ending thread are dropped, if destructors of values set
/// variables again. Later values are leaked.
const MAX_DROP_ROUNDS: usize = 4;

impl Drop for Cleanup {
    fn drop(&mut self) {
        CURRENT.with(|current| {
            // `process::exit` may run this inside of readers, which never return. Such a reader may
            // have passed its reference to another thread, so pinned bindings are leaked.
            self.retired.take().into_iter().for_each(forget);
            for _ in 0..MAX_DROP_ROUNDS {
                if !current.is_pinned.get() {
                    drop(current.replace(Bindings::new()));
                }
            }
        });
    }
}

/// Ends a read, also if the reader panics.
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

/// Leaves a context, also if the function that ran in it panics.
struct LeaveOnDrop<'a> {
    current: &'a Current,
    /// The places for the bindings and the identity of the context that is left.
    context: (&'a mut Bindings<LocalHeap>, &'a mut Version),
    /// The previous state of `Current`. The field owns a reference to the root.
    before: (Root, Version, Version, bool),
}

impl Drop for LeaveOnDrop<'_> {
    #[inline]
    fn drop(&mut self) {
        let (root, version, context, is_pinned) = self.before;
        *self.context.1 = self.current.context.replace(context);
        let root = self.current.root.replace(root);
        // SAFETY: `self.current.root` owned this reference, and `replace` has moved it here.
        let root = root.map(|root| unsafe { NodeRef::from_raw(root) });
        forget(mem::replace(self.context.0, Bindings::from_root(root)));
        self.current.version.set(version);
        self.current.is_pinned.set(is_pinned);
    }
}

impl Current {
    /// The current bindings, borrowed: the reference stays owned by `root`.
    #[inline]
    fn borrow_bindings(&self) -> ManuallyDrop<Bindings<LocalHeap>> {
        // SAFETY: `root` owns a reference to an initialised node, and `ManuallyDrop` does not drop this
        // copy of it. Each caller finishes with the result before `root` changes.
        let root = self.root.get().map(|root| unsafe { NodeRef::from_raw(root) });
        ManuallyDrop::new(Bindings::from_root(root))
    }

    /// Makes `bindings` current and returns the old ones.
    #[inline]
    fn replace(&self, bindings: Bindings<LocalHeap>) -> Bindings<LocalHeap> {
        self.version.set(bindings.version());
        let root = self.root.replace(bindings.into_root().map(NodeRef::into_raw));
        // SAFETY: `self.root` owned this reference, and `replace` has moved it here.
        Bindings::from_root(root.map(|root| unsafe { NodeRef::from_raw(root) }))
    }

    /// Runs `reader` with the value of `variable`, or with the result of `default` if it is not set. O(1)
    /// if the lookup is cached, else O(log n).
    ///
    /// # Safety
    ///
    /// All values of `variable` have the type `T`.
    #[inline]
    pub(super) unsafe fn read<'a, T: 'a, R>(
        &self,
        variable: VariableId,
        default: impl FnOnce() -> Option<&'a T>,
        reader: impl FnOnce(Option<&T>) -> R,
    ) -> R {
        let value = match self.lookups.get(variable, self.version.get()) {
            Some(value) => value,
            None => self.look_up(variable),
        };
        if value.is_none() {
            return reader(default());
        }
        // The flag is written as a constant, twice, and read for a branch only. With a counter, each
        // read would depend on the previous write to memory.
        let _ends = UnpinOnDrop { current: self, was_pinned: self.is_pinned.replace(true) };
        // SAFETY: the value is in the current bindings. They are pinned by this reader or by an outer
        // one, so they stay alive and unchanged until `_ends` is dropped. The caller guarantees that
        // the value has the type `T`.
        reader(unsafe { value.get::<T>() })
    }

    /// Looks up the value of `variable`, and caches it.
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

    /// Drops the bindings on top of the stack of retired ones.
    #[cold]
    #[inline(never)]
    fn drop_retired(&self) {
        // Destructors may run user code, so the bindings are popped before they are dropped. An error
        // means that the thread is ending, and that they have been leaked.
        let done = CLEANUP.try_with(|cleanup| cleanup.retired.borrow_mut().pop());
        drop(done);
    }

    /// Registers `CLEANUP` to drop the bindings when the thread ends.
    #[cold]
    fn register_cleanup(&self) {
        self.has_cleanup.set(true);
        // An error means that the thread is ending: the bindings are leaked.
        let _ = CLEANUP.try_with(|_| ());
    }

    /// Edits the current bindings, or a copy of them if they are pinned. O(1) plus `edit`.
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
        // An edit runs no user code, so the empty bindings are not visible meanwhile.
        let mut bindings = self.replace(Bindings::new());
        let result = edit(&mut bindings);
        forget(self.replace(bindings));
        result
    }

    /// Called before `variable` is set, if a variable has been dropped. May drop values of dropped
    /// variables, which may run user code. O(1), amortized.
    pub(super) fn prune_before_setting(&self, variable: VariableId) {
        if prune::is_due(&self.borrow_bindings(), variable) {
            match self.edit(|bindings| Ok(prune::prune(bindings))) {
                Ok(removed) => drop(removed),
                Err(never) => match never {},
            }
        }
    }

    /// Moves the pinned bindings to the stack of retired ones, and makes a copy current.
    #[cold]
    fn retire(&self) {
        let copy = Bindings::clone(&self.borrow_bindings());
        let before = ManuallyDrop::new(self.replace(copy));
        self.is_pinned.set(false);
        // If the thread is ending, the bindings are leaked, because a reader may still use them.
        let _ = CLEANUP.try_with(|cleanup| {
            cleanup.retired.borrow_mut().push(ManuallyDrop::into_inner(before));
        });
    }

    /// A clone of the current bindings. O(1).
    #[inline]
    pub(super) fn snapshot(&self) -> Bindings<LocalHeap> {
        Bindings::clone(&self.borrow_bindings())
    }

    /// Runs `function` in the context with this identity and these bindings; changes are stored in
    /// `bindings` when it returns.
    #[inline]
    pub(super) fn enter<R>(
        &self,
        bindings: &mut Bindings<LocalHeap>,
        identity: &mut Version,
        function: impl FnOnce() -> R,
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
        function()
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
