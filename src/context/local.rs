//! The carrier of Rust programs: the current bindings of each thread in a thread-local.
//!
//! A thread owns its current bindings. As long as no copy of the context is alive, nobody else
//! shares them, and setting a variable edits them in place.
//!
//! Reading hands out a reference into the bindings without counting it. Such a reader may run user
//! code, which may set a variable; so while there are readers, an update copies instead of editing
//! in place, and the bindings that it replaces are kept until the last reader is done.

#![allow(unsafe_code)] // Readers borrow from bindings that they do not count: see above.

use super::bindings::{Bindings, BindingsHeap, Variable};
use super::state::Carrier;
use super::version::Version;
use crate::map::{ArcHeap, Hash, Node, NodeRef};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// The identity of a variable of a Rust program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VariableId {
    version: Version,
    hash: Hash,
}

impl VariableId {
    /// An identity that no other variable has.
    pub(super) fn new() -> Self {
        let version = Version::next();
        Self { version, hash: Hash::mix(version.number()) }
    }
}

impl Variable for VariableId {
    #[inline]
    fn hash(&self) -> Hash {
        self.hash
    }

    #[inline]
    fn is(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

/// A value of any type; the variable that it is bound to knows which.
pub type LocalValue = Arc<dyn Any + Send + Sync>;

/// Where the bindings of Rust programs live.
pub type LocalHeap = ArcHeap<VariableId, LocalValue, Version>;

impl BindingsHeap for LocalHeap {}

type Root = Option<NonNull<Node<LocalHeap>>>;

/// What a thread knows of the context that is current in it.
///
/// It needs no destructor, so that reading it needs no check whether that has run.
struct Current {
    /// The root of the bindings, one reference to which is owned here.
    root: Cell<Root>,
    /// The identity of the context, empty until it is asked for.
    context: Cell<Version>,
    /// How many readers may hold references into the bindings.
    readers: Cell<usize>,
    /// Whether `CLEANUP` will drop the bindings.
    has_cleanup: Cell<bool>,
    /// Whether bindings wait for the last reader to be done.
    has_retired: Cell<bool>,
    /// The values that were looked up last, by variable.
    lookups: [Cell<Lookup>; LOOKUPS],
}

/// The value that a variable has in the bindings of a version.
#[derive(Clone, Copy)]
struct Lookup {
    variable: Version,
    bindings: Version,
    /// Null if there is none. Valid while bindings of that version are current, which keep the
    /// value alive.
    value: *const (),
}

/// How many lookups a thread remembers; each variable has its place, shared with others.
const LOOKUPS: usize = 16;

const NO_LOOKUP: Lookup =
    Lookup { variable: Version::EMPTY, bindings: Version::EMPTY, value: ptr::null() };

/// What must be dropped when the thread ends.
struct Cleanup {
    /// Bindings replaced while there were readers.
    retired: RefCell<Vec<Bindings<LocalHeap>>>,
}

thread_local! {
    static CURRENT: Current = const {
        Current {
            root: Cell::new(None),
            context: Cell::new(Version::EMPTY),
            readers: Cell::new(0),
            has_cleanup: Cell::new(false),
            has_retired: Cell::new(false),
            lookups: [const { Cell::new(NO_LOOKUP) }; LOOKUPS],
        }
    };

    static CLEANUP: Cleanup = const { Cleanup { retired: RefCell::new(Vec::new()) } };
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // Values that set variables when they are dropped find empty bindings; what they set then
        // is leaked with the thread.
        CURRENT.with(|current| drop(current.replace(Bindings::new())));
    }
}

/// Ends a read, also when the reader panics.
struct Reader<'a>(&'a Current);

impl Drop for Reader<'_> {
    #[inline]
    fn drop(&mut self) {
        let left = self.0.readers.get() - 1;
        self.0.readers.set(left);
        if left == 0 && self.0.has_retired.get() {
            self.0.drop_retired();
        }
    }
}

impl Current {
    /// The current bindings, without taking the reference that `root` owns.
    #[inline]
    fn peek(&self) -> ManuallyDrop<Bindings<LocalHeap>> {
        // SAFETY: `root` owns a reference to a complete node, and the copy is not dropped. Every
        // use below either holds the node as a reader or is over before `root` changes.
        let root = self.root.get().map(|root| unsafe { NodeRef::from_raw(root) });
        ManuallyDrop::new(Bindings::from_root(root))
    }

    /// Makes `bindings` current and returns those that were.
    #[inline]
    fn replace(&self, bindings: Bindings<LocalHeap>) -> Bindings<LocalHeap> {
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
    unsafe fn read<T, R>(&self, variable: VariableId, reader: impl FnOnce(Option<&T>) -> R) -> R {
        self.readers.set(self.readers.get() + 1);
        let _ends = Reader(self);
        let bindings = self.peek().version();
        let place = &self.lookups[variable.version.number() as usize % LOOKUPS];
        let mut lookup = place.get();
        if lookup.variable != variable.version || lookup.bindings != bindings {
            lookup = self.look_up(variable, bindings);
            place.set(lookup);
        }
        // SAFETY: the value is in the current bindings, which stay alive while there is a reader,
        // and it is a `T`.
        reader(unsafe { lookup.value.cast::<T>().as_ref() })
    }

    #[cold]
    fn look_up(&self, variable: VariableId, bindings: Version) -> Lookup {
        let current = self.peek();
        let value = match current.get(&variable) {
            Ok(value) => value.map_or(ptr::null(), |value| Arc::as_ptr(value).cast()),
            Err(never) => match never {},
        };
        Lookup { variable: variable.version, bindings, value }
    }

    #[cold]
    fn drop_retired(&self) {
        self.has_retired.set(false);
        // Dropping values may run user code, so they are taken out first.
        drop(CLEANUP.try_with(|cleanup| cleanup.retired.take()));
    }

    /// Sees to it that the bindings are dropped when the thread ends.
    #[cold]
    fn register_cleanup(&self) {
        self.has_cleanup.set(true);
        // An error means that the thread is ending, and that the bindings are leaked.
        let _ = CLEANUP.try_with(|_| ());
    }

    #[inline]
    fn edit<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<LocalHeap>) -> Result<R, Infallible>,
    ) -> Result<R, Infallible> {
        if !self.has_cleanup.get() {
            self.register_cleanup();
        }
        if self.readers.get() == 0 {
            // Nothing in an edit runs user code, so nobody sees that the cell is empty meanwhile.
            let mut bindings = self.replace(Bindings::new());
            let result = edit(&mut bindings);
            drop(self.replace(bindings));
            return result;
        }
        let mut bindings = Bindings::clone(&self.peek());
        let result = edit(&mut bindings)?;
        let before = ManuallyDrop::new(self.replace(bindings));
        self.has_retired.set(true);
        // If the thread is ending, the bindings are leaked rather than pulled from under a reader.
        let _ = CLEANUP.try_with(|cleanup| {
            cleanup.retired.borrow_mut().push(ManuallyDrop::into_inner(before));
        });
        Ok(result)
    }

    #[inline]
    fn identity(&self) -> Version {
        if self.context.get() == Version::EMPTY {
            self.context.set(Version::next());
        }
        self.context.get()
    }
}

/// The [`Carrier`] that keeps the current bindings of each thread in a thread-local.
#[derive(Clone, Copy, Debug)]
pub struct ThreadLocal;

impl ThreadLocal {
    /// Runs `reader` with the value that `variable` has now.
    ///
    /// # Safety
    ///
    /// `variable` has values of the type `T` only.
    #[inline]
    pub(super) unsafe fn read<T, R>(
        self,
        variable: VariableId,
        reader: impl FnOnce(Option<&T>) -> R,
    ) -> R {
        // SAFETY: as the caller promises.
        CURRENT.with(|current| unsafe { current.read(variable, reader) })
    }

    /// The current bindings, shared. O(1).
    pub(super) fn snapshot(self) -> Bindings<LocalHeap> {
        CURRENT.with(|current| Bindings::clone(&current.peek()))
    }

    /// Runs `f` with `bindings` current in the context `identity`; what it sets goes to `bindings`.
    pub(super) fn enter<R>(
        self,
        bindings: &mut Bindings<LocalHeap>,
        identity: &mut Version,
        f: impl FnOnce() -> R,
    ) -> R {
        /// Leaves the context, also when `f` panics.
        struct Entered<'a>(&'a mut Bindings<LocalHeap>, &'a mut Version);

        impl Entered<'_> {
            fn swap(&mut self) {
                CURRENT.with(|current| {
                    if !current.has_cleanup.get() {
                        current.register_cleanup();
                    }
                    let bindings = mem::take(self.0);
                    *self.0 = current.replace(bindings);
                    *self.1 = current.context.replace(*self.1);
                });
            }
        }

        impl Drop for Entered<'_> {
            fn drop(&mut self) {
                self.swap();
            }
        }

        let mut entered = Entered(bindings, identity);
        entered.swap();
        f()
    }
}

impl Carrier for ThreadLocal {
    type Heap = LocalHeap;
    /// The identity of the context that was updated.
    type Mark = Version;

    #[inline]
    fn update<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<LocalHeap>) -> Result<R, Infallible>,
    ) -> Result<(R, Version), Infallible> {
        CURRENT.with(|current| Ok((current.edit(edit)?, current.identity())))
    }

    #[inline]
    fn revert(
        &self,
        mark: &Version,
        edit: impl FnOnce(&mut Bindings<LocalHeap>) -> Result<(), Infallible>,
    ) -> Result<bool, Infallible> {
        CURRENT.with(|current| {
            let same = current.identity() == *mark;
            if same {
                current.edit(edit)?;
            }
            Ok(same)
        })
    }
}
