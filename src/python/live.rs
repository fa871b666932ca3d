//! Bodies whose variables follow the caller's where the body has not set them itself: the rule of
//! PEP 568, for `inherit="live"`.

#![allow(unsafe_code)] // Hands objects over to PyO3, takes them back, and links steps.

use super::context;
use super::entered::is_current;
use super::heap::{self, PyHeap};
use super::object::{Object, Owned, Raised, lock};
use super::root::{self, NativeRoot};
use super::sharing::Slot;
use crate::context::{Bindings, Carrier as _, follow};
use crate::map::Trie;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// What a body has inherited from its caller.
pub(super) struct Live {
    /// The bindings, which were those of the caller but where the body has set a variable.
    bindings: Slot,
    /// The values of other native variables than the root, a `dict`; `None` before the first step.
    natives: Slot,
    /// The tokens of those that only the caller had, a `dict`: they alone can be taken away again.
    tokens: Slot,
    step: Step,
}

/// A step whose caller has changed variables that the body has set.
///
/// They follow the caller again when the body resets them, which may be in the middle of the step.
struct Step {
    /// The caller's bindings.
    leader: Slot,
    /// The native context of the body.
    context: Slot,
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
pub(super) struct Caller {
    bindings: Option<Owned>,
    /// A copy of its native context.
    context: Owned,
}

impl Caller {
    /// The current context. O(1).
    pub(super) fn current() -> Result<Self, Raised> {
        let bindings = root::current_object()?;
        Ok(Self { bindings, context: context::copy_of_current()? })
    }
}

/// Variables that follow their caller again, once the bindings in which they do are current.
pub(super) struct Followed {
    /// Kept alive by the step that it makes.
    live: NonNull<Live>,
    inherited: Bindings<PyHeap>,
}

impl Followed {
    /// Notes what the body has inherited now, and returns what it had inherited before.
    pub(super) fn keep(self) -> Option<Owned> {
        let inherited = heap::into_object(Trie::from_root(self.inherited.into_root()));
        // SAFETY: no Python code has run since the step was found, so it has not ended.
        let live = unsafe { self.live.as_ref() };
        let before = live.bindings.take();
        live.bindings.set(Some(inherited));
        before
    }
}

/// Whether a body may have set variables that its caller has changed since.
#[inline]
pub(super) fn is_following() -> bool {
    STEPS.load(Ordering::Relaxed) != 0
}

/// Makes the variables of the current context, whose new bindings these are, follow the caller where
/// they have just been reset to what was inherited. O(variables that both have set x log n).
#[cold]
pub(super) fn follow_again(bindings: &mut Bindings<PyHeap>) -> Result<Option<Followed>, Raised> {
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
        Some(object) => unsafe { heap::share_bindings(object) },
        None => Bindings::new(),
    }
}

impl Step {
    const fn new() -> Self {
        Self {
            leader: Slot::new(None),
            context: Slot::new(None),
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
    pub(super) const fn new() -> Self {
        Self {
            bindings: Slot::new(None),
            natives: Slot::new(None),
            tokens: Slot::new(None),
            step: Step::new(),
        }
    }

    /// What the collector is to visit.
    pub(super) fn references(&self) -> [Option<Object>; 3] {
        [&self.bindings, &self.natives, &self.tokens].map(Slot::visited)
    }

    /// Releases what was inherited. Runs user code, as each release does.
    pub(super) fn clear(&self) {
        for slot in [&self.bindings, &self.natives, &self.tokens] {
            slot.set(None);
        }
    }

    /// Runs a step in the context of the body, which is entered, after its variables have followed
    /// those of the caller.
    pub(super) fn step<R>(
        &self,
        caller: Caller,
        context: &Owned,
        forward: impl FnOnce() -> Result<R, Raised>,
    ) -> Result<R, Raised> {
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
    fn follow(&self, caller: &Caller, context: &Owned) -> Result<(), Raised> {
        match (self.natives.get(), self.tokens.get()) {
            (Some(natives), Some(tokens)) => {
                self.follow_bindings(caller.bindings.as_ref())?;
                let py = lock();
                let [natives, tokens, now, context] =
                    [&natives, &tokens, &caller.context, context].map(|object| bound(py, object));
                // SAFETY: these two have been made as such.
                let [natives, tokens] =
                    [natives, tokens].map(|dict| unsafe { dict.cast_into_unchecked::<PyDict>() });
                let of_root = usize::from(caller.bindings.is_some());
                if natives.is_empty() && now.len()? == of_root {
                    return Ok(());
                }
                Ok(follow_natives(&now, &context, &natives, &tokens)?)
            }
            _ => self.begin(caller),
        }
    }

    /// Notes what the body has inherited at its first step.
    fn begin(&self, caller: &Caller) -> Result<(), Raised> {
        let py = lock();
        let natives = PyDict::new(py);
        for (variable, value) in others(&bound(py, &caller.context))? {
            natives.set_item(variable, value)?;
        }
        self.bindings.set(caller.bindings.clone());
        self.tokens.set(Some(owned(PyDict::new(py))));
        self.natives.set(Some(owned(natives)));
        Ok(())
    }

    /// The core does this.
    fn follow_bindings(&self, caller: Option<&Owned>) -> Result<(), Raised> {
        let inherited = self.bindings.get();
        let [before, now] = [inherited.as_ref(), caller]
            .map(|object| object.map_or(ptr::null_mut(), Owned::as_ptr));
        if ptr::eq(before, now) {
            return Ok(());
        }
        let mut inherited = bindings_of(inherited.as_ref());
        let leader = bindings_of(caller);
        NativeRoot.update(|own| follow(own, &mut inherited, &leader, is_same))?;
        self.bindings.set(Some(heap::into_object(Trie::from_root(inherited.into_root()))));
        Ok(())
    }
}

fn owned(dict: Bound<'_, PyDict>) -> Owned {
    // SAFETY: the reference is given away.
    unsafe { Owned::new(dict.into_ptr()).unwrap_unchecked() }
}

fn bound<'py>(py: Python<'py>, object: &Owned) -> Bound<'py, PyAny> {
    // SAFETY: the object is alive.
    unsafe { Bound::from_borrowed_ptr(py, object.as_ptr()) }
}

/// The variables of a native context but for the root, and their values.
fn others<'py>(
    context: &Bound<'py, PyAny>,
) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    let mut found = Vec::new();
    for item in context.call_method0(intern!(context.py(), "items"))?.try_iter()? {
        let (variable, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        if !ptr::eq(variable.as_ptr(), root::variable()) {
            found.push((variable, value));
        }
    }
    Ok(found)
}

/// The value of a native variable in a native context.
fn value_in<'py>(
    context: &Bound<'py, PyAny>,
    variable: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if context.contains(variable)? { context.get_item(variable).map(Some) } else { Ok(None) }
}

fn are_same(a: Option<&Bound<'_, PyAny>>, b: Option<&Bound<'_, PyAny>>) -> bool {
    a.map(Bound::as_ptr) == b.map(Bound::as_ptr)
}

/// As the core's `follow`, for the variables of other code, in the current context, which is
/// `context`. One can be taken away only by the token with which it was set here.
fn follow_natives(
    caller: &Bound<'_, PyAny>,
    context: &Bound<'_, PyAny>,
    inherited: &Bound<'_, PyDict>,
    tokens: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let py = caller.py();
    for (variable, value) in others(caller)? {
        let before = inherited.get_item(&variable)?;
        if are_same(before.as_ref(), Some(&value)) {
            continue;
        }
        if !are_same(value_in(context, &variable)?.as_ref(), before.as_ref()) {
            continue; // the body has set it
        }
        let token = variable.call_method1(intern!(py, "set"), (&value,))?;
        if before.is_none() {
            tokens.set_item(&variable, token)?;
        }
        inherited.set_item(variable, value)?;
    }
    for variable in inherited.keys() {
        if caller.contains(&variable)? {
            continue;
        }
        let Some(token) = tokens.get_item(&variable)? else { continue };
        let before = inherited.get_item(&variable)?;
        if are_same(value_in(context, &variable)?.as_ref(), before.as_ref()) {
            variable.call_method1(intern!(py, "reset"), (token,))?;
            inherited.del_item(&variable)?;
            tokens.del_item(variable)?;
        }
    }
    Ok(())
}
