//! Isolated functions: each call, or the generator or coroutine that it returns, runs in an
//! isolated context.
//!
//! An isolated function is callable without a Python frame. An attribute that it does not have
//! itself (`functools.update_wrapper` sets some) is that of the original, including `__code__` and
//! `__defaults__`: from these, `inspect` derives the kind and the signature of a function.

#![allow(unsafe_code)] // A vectorcall function, which forwards its arguments as they are.

use super::body::{Body, ContextSource};
use super::proxy::isolate;
use crate::python::interpreter::{
    ErrorSet, Getter, HasFields, Instance, Method, Owned, RawObject, RecursionGuard, Slot,
    TypeSpec, TypedObject as _, attribute_of_proxy, catch_panic, create, exactly, ffi, lazy_import,
    module_function, name, type_object, typed_object, types,
};
use std::cell::Cell;
use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr;

typed_object! {
    /// An isolated function.
    FunctionObject: ISOLATED_FUNCTION
}

/// The fields of an isolated function.
pub(crate) struct Isolated {
    call: Option<ffi::vectorcallfunc>,
    function: Owned,
    /// The context of each call; if one is given, a copy of it.
    source: ContextSource,
    /// Whether a call makes a body, which runs later.
    makes_body: bool,
    /// Whether CPython counts calls of the function towards the limit of recursion.
    is_counted: bool,
    /// CPython makes the dict, and changes it.
    dict: Cell<RawObject>,
    weak_references: Cell<RawObject>,
}

impl Drop for Isolated {
    fn drop(&mut self) {
        // SAFETY: the field is null or owns a reference to a dict.
        unsafe { ffi::Py_XDECREF(self.dict.get()) };
    }
}

const fn offset(in_fields: usize) -> usize {
    offset_of!(Instance<Isolated>, fields) + in_fields
}

// SAFETY: `isolate_calls` makes all instances, by `create`. The list of weak references starts as
// null, and no code of this module touches it.
unsafe impl HasFields for FunctionObject {
    type Fields = Isolated;

    const WEAK_REFERENCES: Option<usize> = Some(offset(offset_of!(Isolated, weak_references)));

    fn references(fields: &Isolated) -> [Option<RawObject>; 4] {
        let dict = fields.dict.get();
        let dict = (!dict.is_null()).then_some(dict);
        [Some(fields.function.as_ptr()), fields.source.reference(), dict, None]
    }
}

unsafe extern "C" fn call(
    object: RawObject,
    arguments: *const RawObject,
    count: usize,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython finds this function in the fields of an isolated function, and passes that
    // function first. It passes the other arguments as `PyObject_Vectorcall` takes them, and keeps
    // all of them alive during the call.
    catch_panic(|| unsafe {
        let this = FunctionObject::unchecked(Owned::borrowed(&object)).fields();
        let _nested = match this.is_counted {
            true => None,
            false => Some(RecursionGuard::uncounted(c" in an isolated function")?),
        };
        let body = Body::new(this.source.for_call()?);
        // The call may drop the last reference to the isolated function.
        let function = this.function.clone();
        let forward =
            || Owned::new(ffi::PyObject_Vectorcall(function.as_ptr(), arguments, count, keywords));
        if !this.makes_body {
            return body.step(|| Ok(false), forward).map(Owned::into_ptr);
        }
        let refused = c"an isolated function was to return a generator, a coroutine or an async \
            generator, got %R";
        isolate(&forward()?, body, refused).map(Owned::into_ptr)
    })
}

/// Binds to an object if the original does, as functions do.
fn bind(function: &FunctionObject, object: Option<&Owned>) -> Result<Owned, ErrorSet> {
    match object {
        Some(object) if !object.is_none() && binds(function) => {
            lazy_import::METHOD_TYPE.get()?.call([function, object])
        }
        _ => Ok((**function).clone()),
    }
}

fn binds(function: &Owned) -> bool {
    let mut function = function.clone();
    while let Some(original) = original_of(&function) {
        function = original;
    }
    // SAFETY: the reference keeps the object, and with it its type, alive.
    unsafe {
        let class = ffi::Py_TYPE(function.as_ptr());
        ffi::PyType_HasFeature(class, ffi::Py_TPFLAGS_METHOD_DESCRIPTOR) != 0
    }
}

/// The function below an isolated one, `None` if `object` is not one.
fn original_of(object: &Owned) -> Option<Owned> {
    FunctionObject::of(object).map(|object| object.fields().function.clone())
}

fn repr(function: &FunctionObject) -> Result<Owned, ErrorSet> {
    let _nested = RecursionGuard::counted(c" while getting the repr of an isolated function")?;
    Owned::format(c"<isolated %R>", &function.fields().function)
}

/// Whether CPython counts calls of `function` towards the limit of recursion: calls that run a
/// frame. Other objects, such as a `partial`, may call another isolated function without a frame in
/// between.
fn is_counted(function: &Owned) -> Result<bool, ErrorSet> {
    if !function.type_object().is(lazy_import::METHOD_TYPE.get()?) {
        return Ok(function.is_function());
    }
    let called = function.optional_attribute(name!("__func__"))?;
    Ok(called.is_some_and(|called| called.is_function()))
}

/// Functions are pickled by name.
fn reduce(function: &FunctionObject) -> Result<Owned, ErrorSet> {
    let is_bound = Owned::from_bool(function.fields().source.reference().is_some());
    lazy_import::PICKLED_NAME.get()?.call([function, &is_bound])
}

/// `isolate_calls(function, makes_body, context, live, /)`
fn isolate_calls(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [function, makes_body, context, live] = exactly(c"isolate_calls", arguments)?;
    let is_counted = is_counted(function)?;
    let makes_body = makes_body.is_true()?;
    let fields = Isolated {
        call: Some(call),
        function: function.clone(),
        source: ContextSource::from_arguments(context, live)?,
        makes_body,
        is_counted,
        dict: Cell::new(ptr::null_mut()),
        weak_references: Cell::new(ptr::null_mut()),
    };
    create::<FunctionObject>(&types::ISOLATED_FUNCTION, fields, true)
        .map(FunctionObject::into_owned)
}

pub(crate) fn init() -> Result<(), ErrorSet> {
    // SAFETY: the offsets are those of a vectorcall function and of a dict in each instance.
    // `PyVectorcall_Call` calls the function at the first offset.
    let (members, vectorcall) = unsafe {
        let at = type_object::Member::offset;
        (
            vec![
                at(c"__vectorcalloffset__", offset(offset_of!(Isolated, call))),
                at(c"__dictoffset__", offset(offset_of!(Isolated, dict))),
            ],
            Slot::raw(ffi::Py_tp_call, ffi::slot::PyVectorcall_Call as *mut c_void),
        )
    };
    types::ISOLATED_FUNCTION.make_with_fields::<FunctionObject>(TypeSpec {
        name: c"ctxvars._core.isolated_function",
        flags: ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | ffi::Py_TPFLAGS_HAVE_VECTORCALL,
        slots: vec![
            vectorcall,
            Slot::descriptor(bind),
            Slot::get_attribute(|function: &FunctionObject, name: &Owned| {
                attribute_of_proxy(function, name, original_of)
            }),
            Slot::repr(repr),
        ],
        methods: vec![
            Method::without_arguments(
                c"__reduce__",
                reduce,
                c"__reduce__($self, /)\n--\n\nReturn the name under which it is pickled.",
            ),
            Method::without_arguments(
                c"__copy__",
                |function: &FunctionObject| Ok((**function).clone()),
                c"__copy__($self, /)\n--\n\nReturn the function itself.",
            ),
            Method::one(
                c"__deepcopy__",
                |function: &FunctionObject, _: &Owned| Ok((**function).clone()),
                c"__deepcopy__($self, memo, /)\n--\n\nReturn the function itself.",
            ),
        ],
        getters: vec![Getter::dict()],
        members,
        ..TypeSpec::default()
    })
}

/// The function `isolate_calls`, which `ctxvars.isolated` and `ctxvars.bind` wrap.
pub(crate) fn isolate_calls_function(module: &Owned) -> Result<Owned, ErrorSet> {
    let doc = c"isolate_calls($module, function, makes_body, context, live, /)\n--\n\n\
        Return a function each of whose calls runs in a new context: a copy of the given one, ours\n\
        or native, or of the current one. If the calls make bodies, the bodies run in these\n\
        contexts; see isolate.";
    type_object::function(module, module_function(c"isolate_calls", isolate_calls, doc))
}
