//! Defaults that a factory makes once for each context.
//!
//! Copies of a context must not inherit the default that was made for it, although they inherit
//! everything in it. So the default is stored together with the native context for which it was
//! made, in a native context variable of the factory, and is ignored in any other context:
//!
//! ```text
//! native variable -> CachedDefault { value, weak reference to the native context }
//! ```
//!
//! No public function of CPython returns the current native context. If [`native_layout`] does not
//! know it either, a native token tells: it refers to the context in which it was made, see
//! [`native::context_of`]. Setting the variable to the value that it has changes nothing, and
//! returns such a token.

use crate::python::context::{native, native_layout};
use crate::python::interpreter::memory::gc_pause::GcPause;
use crate::python::interpreter::{
    ErrorSet, HasFields, Owned, RawObject, TypeSpec, TypedObject as _, create, ffi, typed_object,
    types,
};

typed_object! {
    /// A [`CachedDefault`].
    CachedDefaultObject: CACHED_DEFAULT
}

/// A value, and the context for which it was made.
pub(crate) struct CachedDefault {
    value: Owned,
    /// A weak reference: with a strong one, each context would be part of a cycle.
    context: Owned,
}

#[allow(unsafe_code)] // Implements the trait, whose contract is about how instances are made.
// SAFETY: `keep` makes all instances, by `create`. They have no list of weak references.
unsafe impl HasFields for CachedDefaultObject {
    type Fields = CachedDefault;

    fn references(fields: &CachedDefault) -> [Option<RawObject>; 4] {
        [Some(fields.value.as_ptr()), Some(fields.context.as_ptr()), None, None]
    }
}

/// A factory of defaults, and its native variable.
pub(crate) struct Factory {
    pub(crate) function: Owned,
    cache: Owned,
}

/// Whether the value of a native variable is the cached default of a factory.
pub(crate) fn is_cached_default(value: &Owned) -> bool {
    types::CACHED_DEFAULT.is_type_of(value)
}

impl Factory {
    /// A factory that calls `function`, and has made no defaults yet.
    pub(crate) fn new(function: Owned) -> Result<Self, ErrorSet> {
        Ok(Self { function, cache: native::new_variable(c"ctxvars default")? })
    }

    /// The references for the garbage collector.
    pub(crate) fn references(&self) -> [RawObject; 2] {
        [self.function.as_ptr(), self.cache.as_ptr()]
    }

    /// The default for the current context, made now if necessary. O(log n) in the number of native
    /// variables.
    // Not inlined into `ContextVar.get`, which is faster without this code.
    #[inline(never)]
    pub(crate) fn get(&self) -> Result<Owned, ErrorSet> {
        if let Some(value) = self.cached()? {
            return Ok(value);
        }
        let value = self.function.call_without_arguments()?;
        // The function may have read the variable, and so made a default. That one stays.
        if let Some(first) = self.cached()? {
            return Ok(first);
        }
        self.keep(value.clone())?;
        Ok(value)
    }

    /// The default that was made for the current context.
    fn cached(&self) -> Result<Option<Owned>, ErrorSet> {
        let Some(found) = native::get(&self.cache)? else { return Ok(None) };
        // Other code can set the native variable to any object.
        let Some(cached) = CachedDefaultObject::of(&found) else { return Ok(None) };
        let here = self.current_context(cached)?;
        let context = native::referenced(&cached.fields().context)?;
        let is_here = context.is_some_and(|context| context.is(&here));
        Ok(is_here.then(|| cached.fields().value.clone()))
    }

    /// Caches a value for the current context.
    fn keep(&self, value: Owned) -> Result<(), ErrorSet> {
        let context = native::weak_reference(&self.current_context(&Owned::none())?)?;
        let fields = CachedDefault { value, context };
        let cached = create::<CachedDefaultObject>(&types::CACHED_DEFAULT, fields, true)?;
        // The token keeps the replaced value alive to the end, since dropping it may run user code.
        let _last = self.set(&cached)?;
        Ok(())
    }

    /// The current native context. Sets the native variable to `value`, if only the token can tell.
    #[inline]
    fn current_context(&self, value: &Owned) -> Result<Owned, ErrorSet> {
        match native_layout::current_context() {
            Some(context) => Ok(context),
            None => native::context_of(&self.set(value)?),
        }
    }

    /// Sets the native variable in the current context, and returns the token.
    fn set(&self, value: &Owned) -> Result<Owned, ErrorSet> {
        native::set(&self.cache, value, &GcPause::new())
    }
}

/// Makes the type of cached defaults, which Python code does not name.
pub(crate) fn init() -> Result<(), ErrorSet> {
    types::CACHED_DEFAULT.make_with_fields::<CachedDefaultObject>(TypeSpec {
        name: c"ctxvars._core.CachedDefault",
        flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
        ..TypeSpec::default()
    })
}
