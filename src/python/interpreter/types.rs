//! The handles of all type objects of the module.
//!
//! A file that checks whether an object is an instance of a type needs the handle only. So no file but
//! `src/python/mod.rs` depends on the file with the slots and methods of the type.

use super::TypeHandle;

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $($(#[$doc])* pub(crate) static $name: TypeHandle = TypeHandle::unset();)*
    };
}

handles! {
    /// `ctxvars.ContextVar`.
    CONTEXT_VAR,
    /// `ctxvars.Token`.
    TOKEN,
    /// `ctxvars.Context`.
    CONTEXT,
    /// The cells in which bindings are edited in place, which Python code does not name.
    BINDINGS_CELL,
    /// `ctxvars.Scope`.
    SCOPE,
    /// The base of `ctxvars.Group`.
    GROUP_BASE,
    /// The base of the metaclass of groups.
    GROUP_META_BASE,
    /// The descriptor by which a class attribute reads as a variable.
    VARIABLE_DESCRIPTOR,
    /// `ctxvars.Map`.
    MAP,
    /// `ctxvars.MapMutation`.
    MAP_MUTATION,
    /// `ctxvars.MapKeys`.
    MAP_KEYS,
    /// `ctxvars.MapValues`.
    MAP_VALUES,
    /// `ctxvars.MapItems`.
    MAP_ITEMS,
    /// `ctxvars.Set`.
    SET,
    /// `ctxvars.SetMutation`.
    SET_MUTATION,
    /// Iterators over keys.
    KEY_ITERATOR,
    /// Iterators over values.
    VALUE_ITERATOR,
    /// Iterators over pairs of key and value.
    ITEM_ITERATOR,
    /// The nodes below the root of a map, which Python code does not name.
    NODE,
    /// Functions whose calls run in isolated contexts.
    ISOLATED_FUNCTION,
    /// Proxies of generators.
    ISOLATED_GENERATOR,
    /// Proxies of coroutines.
    ISOLATED_COROUTINE,
    /// Proxies of the operations of async generators.
    ISOLATED_AWAITABLE,
    /// Proxies of async generators.
    ISOLATED_ASYNC_GENERATOR,
    /// The values that default factories made for one context.
    CACHED_DEFAULT,
    /// The base of the runtime context for OpenTelemetry.
    FRAMES,
    /// The values of its variable.
    FRAME,
    /// The results of its `attach`.
    FRAME_TOKEN,
}
