//! Bodies whose variables follow the caller's where the body has not set them itself: the rule of
//! PEP 568, for `inherit="live"`.

#![allow(unsafe_code)] // Calls the C API of dicts, and links steps.

use crate::context::{Bindings, Carrier as _, follow};
use crate::map::Trie;
use crate::python::context::entered::is_current;
use crate::python::context::root_variable::NativeRoot;
use crate::python::context::{context, native_contexts, root_variable};
use crate::python::interpreter::free_threading::SharedRef;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, ffi};
use crate::python::map::py_heap::PyHeap;
use crate::python::map::{entries, py_heap};
use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// What a body has inherited from its caller.
pub(crate) struct Live {
    /// The bindings, which were those of the caller but where the body has set a variable.
    bindings: SharedRef,
    /// The values of other native variables than the root, a `dict`; `None` before the first step.
    natives: SharedRef,
    /// The tokens of those that only the caller had, a `dict`: they alone can be taken away again.
    tokens: SharedRef,
    step: Step,
}

/// A step whose caller has changed variables that the body has set.
///
/// They follow the caller again when the body resets them, which may be in the middle of the step.
struct Step {
    /// The caller's bindings.
    leader: SharedRef,
    /// The native context of the body.
    context: SharedRef,
    /// The next one of this thread.
    next: AtomicPtr<Live>,
}

/// The number of such steps, in all threads.
static STEPS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Those of this thread, linked by [`Step::next`]. They need not end in order: a greenlet may
    /// leave one in the middle. So they are not kept on the stack, which a greenlet replaces.
    static FIRST: AtomicPtr<Live> = const { AtomicPtr::new(ptr::null_mut()) };
}

/// What the caller of a body has.
pub(crate) struct Caller {
    bindings: Option<Owned>,
    /// A copy of its native context.
    context: Owned,
}

impl Caller {
    /// The current context. O(1).
    pub(crate) fn current() -> Result<Self, ErrorSet> {
        let bindings = root_variable::current_object()?;
        Ok(Self { bindings, context: context::copy_of_current()? })
    }
}

/// Variables that follow their caller again, once the bindings in which they do are current.
pub(crate) struct Followed {
    /// Kept alive by the step that it makes.
    live: NonNull<Live>,
    inherited: Bindings<PyHeap>,
}

impl Followed {
    /// Notes what the body has inherited now, and returns what it had inherited before.
    pub(crate) fn keep(self) -> Option<Owned> {
        let inherited = py_heap::into_object(Trie::from_root(self.inherited.into_root()));
        // SAFETY: no Python code has run since the step was found, so it has not ended.
        let live = unsafe { self.live.as_ref() };
        let before = live.bindings.take();
        live.bindings.set(Some(inherited));
        before
    }
}

/// Whether a body may have set variables that its caller has changed since.
#[inline]
pub(crate) fn is_following() -> bool {
    STEPS.load(Ordering::Relaxed) != 0
}

/// Makes the variables of the current context, whose new bindings these are, follow the caller where
/// they have just been reset to what was inherited. O(variables that both have set x log n).
#[cold]
pub(crate) fn follow_again(bindings: &mut Bindings<PyHeap>) -> Result<Option<Followed>, ErrorSet> {
    let mut next = FIRST.with(|first| first.load(Ordering::Relaxed));
    while let Some(pointer) = NonNull::new(next) {
        // SAFETY: a step that has not ended keeps its body alive.
        let live = unsafe { pointer.as_ref() };
        // SAFETY: the context of a body is a native one.
        let is_of_current = |context: Owned| unsafe { is_current(&context) };
        if live.step.context.get().map(is_of_current).transpose()? == Some(true) {
            let mut inherited = bindings_of(live.bindings.get().as_ref());
            let leader = bindings_of(live.step.leader.get().as_ref());
            follow(bindings, &mut inherited, &leader, is_same)?;
            return Ok(Some(Followed { live: pointer, inherited }));
        }
        next = live.step.next.load(Ordering::Relaxed);
    }
    Ok(None)
}

fn is_same(a: &Owned, b: &Owned) -> bool {
    ptr::eq(a.as_ptr(), b.as_ptr())
}

/// The bindings that an object is, empty ones without an object.
fn bindings_of(object: Option<&Owned>) -> Bindings<PyHeap> {
    match object {
        // SAFETY: the objects in a `Live` and a `Caller` are those of bindings.
        Some(object) => unsafe { py_heap::share_bindings(object) },
        None => Bindings::new(),
    }
}

impl Step {
    const fn new() -> Self {
        Self {
            leader: SharedRef::new(None),
            context: SharedRef::new(None),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

/// A step that [`follow_again`] finds until this is dropped.
struct Found<'a>(&'a Live);

impl<'a> Found<'a> {
    fn new(live: &'a Live, leader: Option<Owned>, context: &Owned) -> Self {
        live.step.leader.set(leader);
        live.step.context.set(Some(context.clone()));
        FIRST.with(|first| {
            let next = first.swap(ptr::from_ref(live).cast_mut(), Ordering::Relaxed);
            live.step.next.store(next, Ordering::Relaxed);
        });
        STEPS.fetch_add(1, Ordering::Relaxed);
        Self(live)
    }
}

impl Drop for Found<'_> {
    fn drop(&mut self) {
        let own = &self.0.step;
        let after = own.next.swap(ptr::null_mut(), Ordering::Relaxed);
        FIRST.with(|first| {
            let mut link = first;
            loop {
                let next = link.load(Ordering::Relaxed);
                if ptr::eq(next, self.0) {
                    link.store(after, Ordering::Relaxed);
                    break;
                }
                // SAFETY: a step that has not ended keeps its body alive.
                match unsafe { next.as_ref() } {
                    Some(other) => link = &other.step.next,
                    None => break,
                }
            }
        });
        STEPS.fetch_sub(1, Ordering::Relaxed);
        own.context.set(None);
        own.leader.set(None);
    }
}

impl Live {
    pub(crate) const fn new() -> Self {
        Self {
            bindings: SharedRef::new(None),
            natives: SharedRef::new(None),
            tokens: SharedRef::new(None),
            step: Step::new(),
        }
    }

    /// What the collector is to visit.
    pub(crate) fn references(&self) -> [Option<RawObject>; 3] {
        [&self.bindings, &self.natives, &self.tokens].map(SharedRef::visited)
    }

    /// Releases what was inherited. Runs user code, as each release does.
    pub(crate) fn clear(&self) {
        for slot in [&self.bindings, &self.natives, &self.tokens] {
            slot.set(None);
        }
    }

    /// Runs a step in the context of the body, which is entered, after its variables have followed
    /// those of the caller.
    pub(crate) fn step<R>(
        &self,
        caller: Caller,
        context: &Owned,
        forward: impl FnOnce() -> Result<R, ErrorSet>,
    ) -> Result<R, ErrorSet> {
        self.follow(&caller, context)?;
        let [inherited, leader] = [self.bindings.get().as_ref(), caller.bindings.as_ref()]
            .map(|object| object.map_or(ptr::null_mut(), Owned::as_ptr));
        let _found = (!ptr::eq(inherited, leader))
            .then(|| Found::new(self, caller.bindings.clone(), context));
        drop(caller);
        forward()
    }

    /// Brings what the body has not set itself up to date; its context is entered, and a copy of
    /// the caller's when this is called first. O(changes x log n), and O(1) for each native variable.
    fn follow(&self, caller: &Caller, context: &Owned) -> Result<(), ErrorSet> {
        let (Some(natives), Some(tokens)) = (self.natives.get(), self.tokens.get()) else {
            return self.begin(caller);
        };
        self.follow_bindings(caller.bindings.as_ref())?;
        let of_root = isize::from(caller.bindings.is_some());
        // SAFETY: the first is a dict.
        let has_known = unsafe { ffi::PyDict_Size(natives.as_ptr()) } != 0;
        if has_known || native_contexts::size(&caller.context)? != of_root {
            follow_natives(&caller.context, context, &natives, &tokens)
        } else {
            Ok(())
        }
    }

    /// Notes what the body has inherited at its first step.
    fn begin(&self, caller: &Caller) -> Result<(), ErrorSet> {
        let (natives, tokens) = (new_dict()?, new_dict()?);
        each_other(&caller.context, |variable, value| set_item(&natives, variable, value))?;
        self.bindings.set(caller.bindings.clone());
        self.tokens.set(Some(tokens));
        self.natives.set(Some(natives));
        Ok(())
    }

    /// The core does this.
    fn follow_bindings(&self, caller: Option<&Owned>) -> Result<(), ErrorSet> {
        let inherited = self.bindings.get();
        let [before, now] = [inherited.as_ref(), caller]
            .map(|object| object.map_or(ptr::null_mut(), Owned::as_ptr));
        if ptr::eq(before, now) {
            return Ok(());
        }
        let mut inherited = bindings_of(inherited.as_ref());
        let leader = bindings_of(caller);
        NativeRoot.update(|own| follow(own, &mut inherited, &leader, is_same))?;
        self.bindings.set(Some(py_heap::into_object(Trie::from_root(inherited.into_root()))));
        Ok(())
    }
}

fn new_dict() -> Result<Owned, ErrorSet> {
    // SAFETY: a new reference comes back, or null with an exception.
    unsafe { Owned::new(ffi::PyDict_New()) }
}

/// `dict[variable] = value`.
fn set_item(dict: &Owned, variable: &Owned, value: &Owned) -> Result<(), ErrorSet> {
    // SAFETY: all are alive, and the first is a dict.
    done(unsafe { ffi::PyDict_SetItem(dict.as_ptr(), variable.as_ptr(), value.as_ptr()) })
}

/// What `dict` has for a variable.
fn item(dict: &Owned, variable: &Owned) -> Result<Option<Owned>, ErrorSet> {
    let mut value = ptr::null_mut();
    // SAFETY: both are alive, the first is a dict, and `value` receives a reference or null.
    unsafe {
        done(ffi::PyDict_GetItemRef(dict.as_ptr(), variable.as_ptr(), &raw mut value))?;
        Ok(Owned::new(value).ok())
    }
}

/// `del dict[variable]`.
fn delete_item(dict: &Owned, variable: &Owned) -> Result<(), ErrorSet> {
    // SAFETY: both are alive, and the first is a dict.
    done(unsafe { ffi::PyDict_DelItem(dict.as_ptr(), variable.as_ptr()) })
}

/// Whether a function that returns a negative number if it raised has raised.
fn done(result: c_int) -> Result<(), ErrorSet> {
    if result < 0 { Err(ErrorSet) } else { Ok(()) }
}

/// Calls `body` with the variables of a native context but for the root, and their values.
fn each_other(
    context: &Owned,
    mut body: impl FnMut(&Owned, &Owned) -> Result<(), ErrorSet>,
) -> Result<(), ErrorSet> {
    let variables = native_contexts::variables(context)?;
    // SAFETY: a context yields variables, and has a value for each: it is a copy, which no other
    // code changes meanwhile.
    unsafe {
        entries::each(variables.as_ptr(), |variable| {
            if ptr::eq(variable.as_ptr(), root_variable::variable()) {
                return Ok(());
            }
            let value = Owned::new(ffi::PyObject_GetItem(context.as_ptr(), variable.as_ptr()))?;
            body(&variable, &value)
        })
    }
}

/// Whether a native context has a value for a native variable.
fn has(context: &Owned, variable: &Owned) -> Result<bool, ErrorSet> {
    // SAFETY: both are alive.
    match unsafe { ffi::PySequence_Contains(context.as_ptr(), variable.as_ptr()) } {
        ..0 => Err(ErrorSet),
        found => Ok(found != 0),
    }
}

/// Whether the value of a native variable in a native context is this one.
fn is_value_in(context: &Owned, variable: &Owned, value: Option<&Owned>) -> Result<bool, ErrorSet> {
    if !has(context, variable)? {
        return Ok(value.is_none());
    }
    // SAFETY: both are alive.
    let found = unsafe { Owned::new(ffi::PyObject_GetItem(context.as_ptr(), variable.as_ptr()))? };
    Ok(are_same(Some(&found), value))
}

fn are_same(a: Option<&Owned>, b: Option<&Owned>) -> bool {
    a.map(Owned::as_ptr) == b.map(Owned::as_ptr)
}

/// As the core's `follow`, for the variables of other code, in the current context, which is
/// `context`. One can be taken away only by the token with which it was set here.
fn follow_natives(
    caller: &Owned,
    context: &Owned,
    inherited: &Owned,
    tokens: &Owned,
) -> Result<(), ErrorSet> {
    each_other(caller, |variable, value| {
        let before = item(inherited, variable)?;
        if are_same(before.as_ref(), Some(value)) {
            return Ok(());
        }
        if !is_value_in(context, variable, before.as_ref())? {
            return Ok(()); // the body has set it
        }
        // SAFETY: what a native context has values for is a native variable.
        let token = unsafe { context::set_native(variable.as_ptr(), value, &GcPause::new())? };
        if before.is_none() {
            set_item(tokens, variable, &token)?;
        }
        set_item(inherited, variable, value)
    })?;
    // SAFETY: the object is alive; the dict may change while the list is read.
    let known = unsafe { Owned::new(ffi::PySequence_List(inherited.as_ptr()))? };
    // SAFETY: the keys of the dict are native variables, and the token is one of this variable.
    unsafe {
        entries::each(known.as_ptr(), |variable| {
            if has(caller, &variable)? {
                return Ok(());
            }
            let Some(token) = item(tokens, &variable)? else { return Ok(()) };
            let before = item(inherited, &variable)?;
            if is_value_in(context, &variable, before.as_ref())? {
                context::reset_native(variable.as_ptr(), &token, &GcPause::new())?;
                delete_item(inherited, &variable)?;
                delete_item(tokens, &variable)?;
            }
            Ok(())
        })
    }
}
