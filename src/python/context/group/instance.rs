//! `GroupBase`, the base of `ctxvars.Group`: instances, which set several fields for a `with` block.
//!
//! Making an instance is the hot path of `with Settings(precision=6)`. If all fields are plain ones,
//! without validation, the scope is made of the dict of the keyword arguments here. Otherwise, and
//! for errors, the Python function `init_slowly` makes the instance.

#![allow(unsafe_code)] // Instances are those of Python classes, which CPython allocates.

use crate::context::ScopeError;
use crate::map::reserve;
use crate::python::context::scope::{self, ScopeObject};
use crate::python::context::variable::VariableObject;
use crate::python::interpreter::error::raise_from_none;
use crate::python::interpreter::free_threading::{SharedRef, is_only_reference};
use crate::python::interpreter::memory::gc;
use crate::python::interpreter::{
    ErrorSet, Exception, Getter, Method, Owned, RawObject, Slot, TypeSpec, TypedObject as _,
    check_count, exactly, ffi, lazy_import, module_function, name, raise, raise_message,
    type_object, typed_object, types,
};
use crate::python::map::entries;
use crate::python::map::py_heap::PyHeap;
use std::ffi::{CStr, c_int, c_void};

typed_object! {
    /// An instance of a group.
    GroupObject: GROUP_BASE and_subclasses
}

/// The part of an instance that belongs to `GroupBase`.
///
/// CPython allocates instances, and fills them with zeroes. `__init__` may run again at any time,
/// or not at all.
#[repr(C)]
struct Group {
    object: ffi::PyObject,
    /// The dict of the values, by the names of their fields.
    values: SharedRef,
    /// The `Scope` of the values, `None` if there are no values.
    scope: SharedRef,
}

impl GroupObject {
    #[inline]
    fn instance(&self) -> &Group {
        // SAFETY: an instance of a subclass begins with the memory of an instance of the base. An
        // empty `SharedRef` is zeroes: the null of an `Option<Owned>` and, on a free-threaded
        // build, an unlocked mutex. So CPython has initialised the fields.
        unsafe { &*self.as_ptr().cast() }
    }

    fn values(&self) -> Result<Owned, ErrorSet> {
        let unset = || raise_message(Exception::AttributeError, c"__group_values__");
        self.instance().values.get().ok_or_else(unset)
    }

    #[inline]
    fn scope(&self) -> Result<Owned, ErrorSet> {
        let unset = || raise_message(Exception::AttributeError, c"__group_scope__");
        self.instance().scope.get().ok_or_else(unset)
    }

    fn fill(&self, values: Owned, scope: Owned) {
        let this = self.instance();
        this.values.set(Some(values));
        this.scope.set(Some(scope));
    }
}

/// The variable of a plain field, `None` if `name` is not that of a plain field, or if Python code
/// has to look at the value.
#[inline]
fn plain_variable(
    (plain, internal): (&Owned, &[Owned]),
    name: &Owned,
    value: &Owned,
) -> Result<Option<Owned>, ErrorSet> {
    // Another string might run Python code when it is hashed or compared.
    let is_usual = name.is_exact_text() && !internal.iter().any(|it| it.is(value.type_object()));
    if is_usual { plain.dict_item(name) } else { Ok(None) }
}

/// The scope of these values of fields, `None` if Python code has to make it.
#[inline]
fn scope_of_plain(group: &GroupObject, values: &Owned) -> Result<Option<Owned>, ErrorSet> {
    let fields = group.type_object().attribute(name!("__group_fields__"))?;
    let plain = fields.attribute(name!("plain"))?;
    let Some(internal) = lazy_import::GROUP_INTERNAL.get()?.tuple_items() else { return Ok(None) };
    let size = values.length()?;
    if size == 0 {
        return Ok(Some(Owned::none()));
    }
    let mut pairs = reserve::with_capacity::<PyHeap, scope::Pair>(size)?;
    let mut is_plain = true;
    entries::each_pair(values, c"group", |name, value| {
        if is_plain {
            let variable = plain_variable((&plain, internal), &name, &value)?;
            match variable.as_ref().and_then(VariableObject::of) {
                Some(variable) => {
                    reserve::push::<PyHeap, _>(&mut pairs, scope::given(variable, value)?)?;
                }
                None => is_plain = false,
            }
        }
        Ok(())
    })?;
    if !is_plain {
        return Ok(None);
    }
    let last = pairs.pop();
    scope::make(pairs, last, false).map(Some)
}

/// `__init__(self, /, **values)`
#[inline]
fn init_instance(
    group: &GroupObject,
    arguments: &Owned,
    keywords: Option<&Owned>,
) -> Result<(), ErrorSet> {
    let values = match keywords {
        // The caller made the dict for this call, and does not use it again.
        Some(values) if values.is_dict() && is_only_reference(values) => values.clone(),
        Some(values) => values.dict_copy()?,
        None => Owned::dict()?,
    };
    if arguments.length()? == 0 {
        if let Some(scope) = scope_of_plain(group, &values)? {
            group.fill(values, scope);
            return Ok(());
        }
    }
    lazy_import::GROUP_INIT.get()?.call([&**group, arguments, &values]).map(drop)
}

/// `fill_group(instance, values, scope)`
fn fill(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [group, values, scope] = exactly(c"fill_group", arguments)?;
    let Some(group) = GroupObject::of(group) else {
        let message = c"fill_group() argument must be an instance of a group, got %R";
        return Err(raise(Exception::TypeError, message, group));
    };
    if !values.is_dict_like() {
        let message = c"fill_group() argument must be a dict, got %R";
        return Err(raise(Exception::TypeError, message, values));
    }
    if !scope.is_none() && ScopeObject::of(scope).is_none() {
        let message = c"fill_group() argument must be a Scope or None, got %R";
        return Err(raise(Exception::TypeError, message, scope));
    }
    group.fill(values.clone(), scope.clone());
    Ok(Owned::none())
}

/// Raises the exception of an error, with a message that names the instance.
#[cold]
fn raised(group: &GroupObject, scope: &ScopeObject, error: ScopeError<ErrorSet>) -> ErrorSet {
    let message = match error {
        ScopeError::Entered => c"%R is entered already: enter a copy, which copy.copy() makes",
        ScopeError::NotEntered => c"%R is not entered: use it in a with statement",
        other => return scope::raised(scope, other),
    };
    raise_from_none(Exception::RuntimeError, message, group)
}

/// Returns the instance itself.
#[inline]
fn enter(group: &GroupObject) -> Result<Owned, ErrorSet> {
    if let Some(scope) = ScopeObject::of(&group.scope()?) {
        scope.enter().map_err(|error| raised(group, scope, error))?;
    }
    Ok((**group).clone())
}

#[inline]
fn exit(group: &GroupObject, arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    check_count(c"__exit__", arguments, 3, 3)?;
    if let Some(scope) = ScopeObject::of(&group.scope()?) {
        scope.leave().map_err(|error| raised(group, scope, error))?;
    }
    Ok(Owned::none())
}

unsafe extern "C" fn traverse(object: RawObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: CPython visits instances, whose fields are initialised from the start. It does not
    // visit the type of an instance of a Python class: that is the task of the base.
    unsafe {
        let this = GroupObject::unchecked(Owned::borrowed(&object)).instance();
        gc::traverse(object, &[this.values.visited(), this.scope.visited()], visit, arg)
    }
}

/// Breaks the cycles through the values.
fn clear(group: &GroupObject) {
    let this = group.instance();
    drop((this.values.take(), this.scope.take()));
}

/// Frees an instance. Nests of instances are bounded where CPython frees instances of Python
/// classes, since `Group` and all groups are Python classes.
unsafe extern "C" fn dealloc(object: RawObject) {
    // SAFETY: CPython calls this once, when the last reference to an instance is gone. It has
    // dropped what the Python class has added to the instance. The fields are empty before the
    // memory is freed, so nothing is leaked.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        let this = &*object.cast::<Group>();
        drop((this.values.take(), this.scope.take()));
        gc::free(object);
    }
}

/// The function `fill_group`, which is not public.
pub(crate) fn fill_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"fill_group($module, instance, values, scope, /)\n--\n\n\
        Give an instance of a group the values of its fields, and the Scope that sets them.\n\n\
        The scope is None if there are no values.";
    type_object::function(module, module_function(c"fill_group", fill, doc))
}

const DOC: &CStr = c"GroupBase(*positional, **values)\n--\n\n\
    The base of Group: a context manager that sets fields.";

pub(crate) fn init() -> Result<(), ErrorSet> {
    let spec = TypeSpec {
        name: c"ctxvars._core.GroupBase",
        doc: Some(DOC),
        flags: ffi::Py_TPFLAGS_BASETYPE,
        // SAFETY: both functions work on instances of the type and of its subclasses.
        slots: unsafe {
            vec![
                Slot::raw(ffi::Py_tp_dealloc, dealloc as *mut c_void),
                Slot::raw(ffi::Py_tp_traverse, traverse as *mut c_void),
                Slot::clear(clear),
                Slot::init(init_instance),
            ]
        },
        methods: vec![
            Method::without_arguments(
                c"__enter__",
                enter,
                c"__enter__($self, /)\n--\n\n\
                Set the fields in the current context, and return the instance itself.\n\n\
                Raise RuntimeError if it is entered already.",
            ),
            Method::fast(
                c"__exit__",
                exit,
                c"__exit__($self, type, value, traceback, /)\n--\n\n\
                Give the fields their previous values back.\n\n\
                Raise RuntimeError if the instance is not entered.",
            ),
        ],
        getters: vec![
            Getter::new(
                c"__group_values__",
                GroupObject::values,
                c"The values, by the names of their fields.",
            ),
            Getter::new(
                c"__group_scope__",
                GroupObject::scope,
                c"The scope that sets the values, None without values.",
            ),
        ],
        ..TypeSpec::default()
    };
    // SAFETY: instances begin with a `Group`, and the slots above drop and visit one.
    unsafe { types::GROUP_BASE.make(size_of::<Group>(), 0, spec) }
}
