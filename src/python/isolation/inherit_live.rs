//! Bodies whose variables follow those of the caller until the body sets them: the rule of PEP 568,
//! for `inherit="live"`.

#![allow(unsafe_code)] // Links the steps of a thread by pointers.

use crate::context::{Bindings, Carrier as _, follow};
use crate::python::context::entered::is_current;
use crate::python::context::root_variable::{self, NativeRoot};
use crate::python::context::{native, native_contexts};
use crate::python::interpreter::free_threading::SharedRef;
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{ErrorSet, Owned, RawObject, TypedObject as _, checked, ffi};
use crate::python::map::py_heap::{MapObject, PyHeap};
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// The variables that a body has inherited from its caller.
pub(crate) struct Live {
    /// The bindings that were those of the caller, except for variables that the body has set.
    bindings: SharedRef,
    /// The values of the native variables except the root, a `dict`; `None` before the first step.
    natives: SharedRef,
    /// The tokens of native variables that only the caller had set, a `dict`. Only with a token can
    /// a value be taken away again.
    tokens: SharedRef,
    step: Step,
}

/// A step whose caller has changed variables that the body has set.
///
/// These variables follow the caller again when the body resets them, possibly in the middle of the
/// step.
struct Step {
    /// The caller's bindings.
    leader: SharedRef,
    /// The native context of the body.
    context: SharedRef,
    /// The next step of this thread.
    next: AtomicPtr<Live>,
}

/// The number of such steps in all threads.
static STEPS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The steps of this thread, linked by [`Step::next`]. They need not end in order: a greenlet
    /// may be switched in the middle of one. So they are not kept on the stack, which greenlets
    /// replace.
    static FIRST: AtomicPtr<Live> = const { AtomicPtr::new(ptr::null_mut()) };
}

/// The variables of the caller of a body.
pub(crate) struct Caller {
    bindings: Option<MapObject>,
    /// A copy of its native context.
    context: Owned,
}

impl Caller {
    /// The current context. O(1).
    pub(crate) fn current() -> Result<Self, ErrorSet> {
        let bindings = root_variable::current_map()?;
        Ok(Self { bindings, context: native::copy_of_current()? })
    }
}

/// Variables that follow their caller again as soon as the new bindings are current.
pub(crate) struct Followed {
    /// Kept alive by its step.
    live: NonNull<Live>,
    inherited: Bindings<PyHeap>,
}

impl Followed {
    /// Records the inherited bindings, and returns the previous ones, to be dropped later.
    pub(crate) fn keep(self) -> Option<Owned> {
        let inherited = root_variable::map_of(self.inherited).into_owned();
        // SAFETY: no Python code has run since `follow_again` found the step, so the step has not
        // ended, and its body is alive.
        let live = unsafe { self.live.as_ref() };
        let before = live.bindings.take();
        live.bindings.set(Some(inherited));
        before
    }
}

/// Whether there may be a body that has set variables which its caller has changed since.
#[inline]
pub(crate) fn is_following() -> bool {
    STEPS.load(Ordering::Relaxed) != 0
}

/// Makes variables that have just been reset to inherited values follow the caller again.
/// `bindings` are the new bindings of the current context. O(k log n) for k variables that body and
/// caller have set.
#[cold]
pub(crate) fn follow_again(bindings: &mut Bindings<PyHeap>) -> Result<Option<Followed>, ErrorSet> {
    let mut next = FIRST.with(|first| first.load(Ordering::Relaxed));
    while let Some(pointer) = NonNull::new(next) {
        // SAFETY: `Found` unlinks each step before the step ends, and until then the body is alive.
        let live = unsafe { pointer.as_ref() };
        let is_of_current = |context: Owned| is_current(&context);
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
    a.is(b)
}

/// The bindings that an object is, or empty bindings. Objects in a [`Live`] are those of bindings.
fn bindings_of(object: Option<&Owned>) -> Bindings<PyHeap> {
    let map = object.and_then(root_variable::as_bindings);
    map.map_or_else(Bindings::new, |map| Bindings::from_root(map.share().into_root()))
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

/// Lets [`follow_again`] find a step until this is dropped.
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
                // SAFETY: `Found` unlinks each step before the step ends, and until then its body
                // is alive.
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

    /// The references for the garbage collector.
    pub(crate) fn references(&self) -> [Option<RawObject>; 3] {
        [&self.bindings, &self.natives, &self.tokens].map(SharedRef::visited)
    }

    /// Releases the inherited values. This may run finalizers.
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
        let Caller { bindings: leader, context: copy } = caller;
        let leader = leader.map(MapObject::into_owned);
        let has_inherited_all = are_same(self.bindings.get().as_ref(), leader.as_ref());
        let _found = (!has_inherited_all).then(|| Found::new(self, leader, context));
        drop(copy);
        forward()
    }

    /// Updates the variables that the body has not set itself. The context of the body is entered;
    /// at the first call, it is a copy of the caller's. O(changes x log n), and O(1) for each
    /// native variable.
    fn follow(&self, caller: &Caller, context: &Owned) -> Result<(), ErrorSet> {
        let (Some(natives), Some(tokens)) = (self.natives.get(), self.tokens.get()) else {
            return self.begin(caller);
        };
        self.follow_bindings(caller.bindings.as_deref())?;
        let of_root = usize::from(caller.bindings.is_some());
        if natives.length()? != 0 || native_contexts::size(&caller.context)? != of_root {
            follow_natives(&caller.context, context, &natives, &tokens)
        } else {
            Ok(())
        }
    }

    /// Records the variables that the body has inherited at its first step.
    fn begin(&self, caller: &Caller) -> Result<(), ErrorSet> {
        let (natives, tokens) = (Owned::dict()?, Owned::dict()?);
        each_other(&caller.context, |variable, value| natives.set_item(variable, value))?;
        self.bindings.set(caller.bindings.as_deref().cloned());
        self.tokens.set(Some(tokens));
        self.natives.set(Some(natives));
        Ok(())
    }

    /// Updates our variables, by [`follow`].
    fn follow_bindings(&self, caller: Option<&Owned>) -> Result<(), ErrorSet> {
        let inherited = self.bindings.get();
        if are_same(inherited.as_ref(), caller) {
            return Ok(());
        }
        let mut inherited = bindings_of(inherited.as_ref());
        let leader = bindings_of(caller);
        // The old bindings are dropped after the update, because destructors may run user code.
        let (_replaced, _) = NativeRoot.update(|own| {
            let mut followed = own.clone();
            follow(&mut followed, &mut inherited, &leader, is_same)?;
            Ok(mem::replace(own, followed))
        })?;
        let inherited = root_variable::map_of(inherited);
        self.bindings.set(Some(inherited.into_owned()));
        Ok(())
    }
}

/// The value of a variable in a `dict`.
fn item(dict: &Owned, variable: &Owned) -> Result<Option<Owned>, ErrorSet> {
    let mut value = ptr::null_mut();
    // SAFETY: the object is a dict, the key is alive, and `value` receives a new reference or null.
    unsafe {
        checked(ffi::PyDict_GetItemRef(dict.as_ptr(), variable.as_ptr(), &raw mut value))?;
        Ok(Owned::new(value).ok())
    }
}

/// `del dict[variable]`
fn delete_item(dict: &Owned, variable: &Owned) -> Result<(), ErrorSet> {
    // SAFETY: both objects are alive; the call raises for objects that are not dicts.
    checked(unsafe { ffi::PyDict_DelItem(dict.as_ptr(), variable.as_ptr()) }).map(drop)
}

/// Calls `body` with the variables of a native context except the root, and with their values.
fn each_other(
    context: &Owned,
    mut body: impl FnMut(&Owned, &Owned) -> Result<(), ErrorSet>,
) -> Result<(), ErrorSet> {
    // The context is a copy, which no other code changes, so it has a value for each variable.
    native_contexts::variables(context)?.for_each(|variable| {
        if variable.is(root_variable::variable()) {
            return Ok(());
        }
        body(&variable, &context.item(&variable)?)
    })
}

/// Whether the value of a native variable in a native context is this one.
fn is_value_in(context: &Owned, variable: &Owned, value: Option<&Owned>) -> Result<bool, ErrorSet> {
    if !context.contains(variable)? {
        return Ok(value.is_none());
    }
    Ok(are_same(Some(&context.item(variable)?), value))
}

fn are_same(a: Option<&Owned>, b: Option<&Owned>) -> bool {
    a.map(Owned::as_ptr) == b.map(Owned::as_ptr)
}

/// As [`follow`], for native variables of other code, in the current context, which is `context`.
/// Only with the token with which a value was set here can it be taken away.
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
        let token = native::set(variable, value, &GcPause::new())?;
        if before.is_none() {
            tokens.set_item(variable, &token)?;
        }
        inherited.set_item(variable, value)
    })?;
    // The dict changes while the list of its keys is read.
    inherited.to_list()?.for_each(|variable| {
        if caller.contains(&variable)? {
            return Ok(());
        }
        let Some(token) = item(tokens, &variable)? else { return Ok(()) };
        let before = item(inherited, &variable)?;
        if is_value_in(context, &variable, before.as_ref())? {
            native::reset(&variable, &token, &GcPause::new())?;
            delete_item(inherited, &variable)?;
            delete_item(tokens, &variable)?;
        }
        Ok(())
    })
}
