//! `build_class`: what a `class` statement calls, step by step.
//!
//! ```text
//!   class C(base, metaclass=M, option=1):      the body is compiled to a function, and the
//!       x = 1                                  statement to C = build_class(body, "C", base, ...)
//!
//!   1. bases       what is not a class may name others in its place (__mro_entries__)
//!   2. metaclass   the one that is given, or the most derived one of the bases
//!   3. namespace   M.__prepare__("C", bases, option=1), or a dict
//!   4. body        the code of the function is run once, over the namespace as its locals
//!   5. class       M("C", bases, namespace, option=1), which calls __set_name__ and
//!                  __init_subclass__; then the cell of `__class__` must hold the result
//! ```
//!
//! The rules are those of the language reference, "Customizing class creation", and the messages
//! those of CPython's `__build_class__`. An observer is told of each step, so that what is shown
//! of the creation of a class is what happens, and not a second implementation of it.

#![allow(unsafe_code)] // Functions of the module, which get their arguments as pointers; and a
// function's code is run over a namespace by a C function that PyO3 does not wrap.

use crate::python::interpreter::{
    ErrorSet, Owned, RawObject, attribute, catch_panic, ffi, name, raise, raise_arguments,
    raise_message, type_object,
};
use std::ffi::CStr;
use std::ptr;

/// What a `class` statement says.
struct Statement {
    body: Owned,
    name: Owned,
    /// The bases as they are written.
    written: Owned,
    metaclass: Option<Owned>,
    /// The keyword arguments but `metaclass`, `None` if there are none at all.
    keywords: Option<Owned>,
}

/// A metaclass, which need not be a class.
struct Metaclass {
    object: Owned,
    is_class: bool,
}

/// Who is told of the steps.
struct Observer(Option<Owned>);

impl Observer {
    /// Tells the observer of a step, and returns what it returns, unless that is `None`.
    fn tell(&self, step: &'static CStr, value: &Owned) -> Result<Option<Owned>, ErrorSet> {
        let Some(observer) = &self.0 else { return Ok(None) };
        // SAFETY: all objects are alive, and the list of arguments ends with a null pointer.
        unsafe {
            let step = Owned::new(ffi::PyUnicode_InternFromString(step.as_ptr()))?;
            let none = ptr::null_mut::<ffi::PyObject>();
            let answer = Owned::new(ffi::calling!(PyObject_CallFunctionObjArgs(
                observer.as_ptr(),
                step.as_ptr(),
                value.as_ptr(),
                none,
            )))?;
            Ok((!ptr::eq(answer.as_ptr(), ffi::Py_None())).then_some(answer))
        }
    }

    /// Tells the observer what the statement says: the body, the name, the bases as they are
    /// written, and all keyword arguments.
    fn tell_statement(&self, statement: &Statement) -> Result<(), ErrorSet> {
        if self.0.is_none() {
            return Ok(());
        }
        // SAFETY: all objects are alive.
        unsafe {
            let keywords = Owned::new(match &statement.keywords {
                Some(keywords) => ffi::PyDict_Copy(keywords.as_ptr()),
                None => ffi::PyDict_New(),
            })?;
            if let Some(given) = &statement.metaclass {
                let (name, given) = (name!("metaclass"), given.as_ptr());
                if ffi::PyDict_SetItem(keywords.as_ptr(), name, given) < 0 {
                    return Err(ErrorSet);
                }
            }
            let said = Owned::new(ffi::calling!(PyTuple_Pack(
                4,
                statement.body.as_ptr(),
                statement.name.as_ptr(),
                statement.written.as_ptr(),
                keywords.as_ptr(),
            )))?;
            self.tell(c"statement", &said)?;
            Ok(())
        }
    }

    /// Tells the observer of the exception that has been raised, and raises it again, unless the
    /// observer raises another one.
    fn tell_error(&self, raised: ErrorSet) -> ErrorSet {
        if self.0.is_none() {
            return raised;
        }
        let Some(exception) = raised.take() else { return ErrorSet };
        match self.tell(c"error", &exception) {
            Ok(_) => ErrorSet::restore(exception),
            Err(raised) => raised,
        }
    }
}

fn raise_type_error(message: &'static CStr) -> ErrorSet {
    // SAFETY: exceptions live as long as the interpreter.
    raise_message(unsafe { ffi::PyExc_TypeError }, message)
}

impl Statement {
    /// # Safety
    ///
    /// There are `count` arguments, and behind them the values of the keywords, all alive.
    unsafe fn of_arguments(
        arguments: *const RawObject,
        count: ffi::Py_ssize_t,
        names: RawObject,
    ) -> Result<Self, ErrorSet> {
        if count < 2 {
            return Err(raise_type_error(c"__build_class__: not enough arguments"));
        }
        // SAFETY: as the caller promises.
        unsafe {
            let (body, name) = (*arguments, *arguments.add(1));
            if ffi::PyFunction_Check(body) == 0 {
                return Err(raise_type_error(c"__build_class__: func must be a function"));
            }
            if ffi::PyUnicode_Check(name) == 0 {
                return Err(raise_type_error(c"__build_class__: name is not a string"));
            }
            let written = Owned::new(ffi::PyTuple_New(count - 2))?;
            for index in 2..count {
                let base = Owned::from_borrowed(*arguments.offset(index)).into_ptr();
                if ffi::PyTuple_SetItem(written.as_ptr(), index - 2, base) < 0 {
                    return Err(ErrorSet);
                }
            }
            let mut statement = Self {
                body: Owned::from_borrowed(body),
                name: Owned::from_borrowed(name),
                written,
                metaclass: None,
                keywords: None,
            };
            if !names.is_null() {
                statement.take_keywords(arguments.offset(count), names)?;
            }
            Ok(statement)
        }
    }

    /// # Safety
    ///
    /// `names` is a tuple of as many names as there are `values`.
    unsafe fn take_keywords(
        &mut self,
        values: *const RawObject,
        names: RawObject,
    ) -> Result<(), ErrorSet> {
        // SAFETY: as the caller promises.
        unsafe {
            let keywords = Owned::new(ffi::PyDict_New())?;
            for index in 0..ffi::PyTuple_Size(names) {
                let (name, value) = (ffi::PyTuple_GetItem(names, index), *values.offset(index));
                if ffi::PyDict_SetItem(keywords.as_ptr(), name, value) < 0 {
                    return Err(ErrorSet);
                }
            }
            let given = ffi::PyDict_GetItemWithError(keywords.as_ptr(), name!("metaclass"));
            if !given.is_null() {
                self.metaclass = Some(Owned::from_borrowed(given));
                if ffi::PyDict_DelItem(keywords.as_ptr(), name!("metaclass")) < 0 {
                    return Err(ErrorSet);
                }
            } else if !ffi::PyErr_Occurred().is_null() {
                return Err(ErrorSet);
            }
            self.keywords = Some(keywords);
            Ok(())
        }
    }

    /// Step 1. The bases; the very tuple that is written unless one names others.
    fn bases(&self) -> Result<Owned, ErrorSet> {
        // SAFETY: `written` is a tuple, which keeps its items alive; `replaced` is a list.
        unsafe {
            let mut replaced: Option<Owned> = None;
            for index in 0..ffi::PyTuple_Size(self.written.as_ptr()) {
                let base = ffi::PyTuple_GetItem(self.written.as_ptr(), index);
                let entries = match Self::entries(base, &self.written)? {
                    None if replaced.is_none() => continue,
                    None => Owned::new(ffi::calling!(PyTuple_Pack(1, base)))?,
                    Some(entries) => entries,
                };
                let list = match &replaced {
                    Some(list) => list,
                    None => {
                        let before =
                            Owned::new(ffi::PyTuple_GetSlice(self.written.as_ptr(), 0, index))?;
                        replaced.insert(Owned::new(ffi::PySequence_List(before.as_ptr()))?)
                    }
                };
                let end = ffi::PyList_Size(list.as_ptr());
                if ffi::PyList_SetSlice(list.as_ptr(), end, end, entries.as_ptr()) < 0 {
                    return Err(ErrorSet);
                }
            }
            match replaced {
                Some(list) => Owned::new(ffi::PyList_AsTuple(list.as_ptr())),
                None => Ok(self.written.clone()),
            }
        }
    }

    /// What a base names in its place, if it does.
    ///
    /// # Safety
    ///
    /// `base` is alive.
    unsafe fn entries(base: RawObject, bases: &Owned) -> Result<Option<Owned>, ErrorSet> {
        // SAFETY: as the caller promises.
        unsafe {
            if ffi::PyType_Check(base) != 0 {
                return Ok(None);
            }
            let Some(method) = attribute(base, name!("__mro_entries__"))? else {
                return Ok(None);
            };
            let entries = Owned::new(ffi::PyObject_CallOneArg(method.as_ptr(), bases.as_ptr()))?;
            if ffi::PyTuple_Check(entries.as_ptr()) == 0 {
                return Err(raise_type_error(c"__mro_entries__ must return a tuple"));
            }
            Ok(Some(entries))
        }
    }

    /// Step 2. The metaclass: if it is a class, the most derived one of it and those of the bases.
    fn metaclass(&self, bases: &Owned) -> Result<Metaclass, ErrorSet> {
        // SAFETY: `bases` is a tuple, which keeps its items alive, as they do their classes.
        unsafe {
            let mut winner = match &self.metaclass {
                Some(given) if ffi::PyType_Check(given.as_ptr()) == 0 => {
                    return Ok(Metaclass { object: given.clone(), is_class: false });
                }
                Some(given) => given.as_ptr().cast(),
                None if ffi::PyTuple_Size(bases.as_ptr()) == 0 => &raw mut ffi::PyType_Type,
                None => ffi::Py_TYPE(ffi::PyTuple_GetItem(bases.as_ptr(), 0)),
            };
            for index in 0..ffi::PyTuple_Size(bases.as_ptr()) {
                let candidate = ffi::Py_TYPE(ffi::PyTuple_GetItem(bases.as_ptr(), index));
                if ffi::PyType_IsSubtype(winner, candidate) != 0 {
                    continue;
                }
                if ffi::PyType_IsSubtype(candidate, winner) == 0 {
                    return Err(raise_type_error(
                        c"metaclass conflict: the metaclass of a derived class must be a \
                        (non-strict) subclass of the metaclasses of all its bases",
                    ));
                }
                winner = candidate;
            }
            Ok(Metaclass { object: Owned::from_borrowed(winner.cast()), is_class: true })
        }
    }

    /// Calls `function` with these arguments and the keywords.
    ///
    /// # Safety
    ///
    /// `function` is alive.
    unsafe fn call<const N: usize>(
        &self,
        function: RawObject,
        arguments: [RawObject; N],
    ) -> Result<Owned, ErrorSet> {
        let keywords = self.keywords.as_ref().map_or(ptr::null_mut(), Owned::as_ptr);
        // SAFETY: as the caller promises; the arguments are those of the statement.
        unsafe {
            Owned::new(ffi::PyObject_VectorcallDict(function, arguments.as_ptr(), N, keywords))
        }
    }

    /// Step 3. The namespace in which the body is to be run.
    fn namespace(&self, metaclass: &Metaclass, bases: &Owned) -> Result<Owned, ErrorSet> {
        // SAFETY: all objects are alive; the formats match the arguments.
        unsafe {
            let Some(prepare) = attribute(metaclass.object.as_ptr(), name!("__prepare__"))? else {
                return Owned::new(ffi::PyDict_New());
            };
            let arguments = [self.name.as_ptr(), bases.as_ptr()];
            let namespace = self.call(prepare.as_ptr(), arguments)?;
            if ffi::PyMapping_Check(namespace.as_ptr()) == 0 {
                let name = if metaclass.is_class {
                    (*metaclass.object.as_ptr().cast::<ffi::PyTypeObject>()).tp_name
                } else {
                    c"<metaclass>".as_ptr()
                };
                ffi::calling!(PyErr_Format(
                    ffi::PyExc_TypeError,
                    c"%.200s.__prepare__() must return a mapping, not %.200s".as_ptr(),
                    name,
                    (*ffi::Py_TYPE(namespace.as_ptr())).tp_name,
                ));
                return Err(ErrorSet);
            }
            Ok(namespace)
        }
    }

    /// The last thing that is stored in the namespace: the bases as they are written, if others
    /// have taken their place.
    fn keep_written(&self, bases: &Owned, namespace: &Owned) -> Result<(), ErrorSet> {
        if ptr::eq(bases.as_ptr(), self.written.as_ptr()) {
            return Ok(());
        }
        let (namespace, written) = (namespace.as_ptr(), self.written.as_ptr());
        // SAFETY: all objects are alive.
        match unsafe { ffi::PyObject_SetItem(namespace, name!("__orig_bases__"), written) } {
            0 => Ok(()),
            _ => Err(ErrorSet),
        }
    }

    /// Step 5. The class, of which the body has left `cell` behind.
    fn class(
        &self,
        metaclass: &Metaclass,
        bases: &Owned,
        namespace: &Owned,
        cell: &Owned,
    ) -> Result<Owned, ErrorSet> {
        // SAFETY: all objects are alive; the formats match the arguments.
        unsafe {
            let arguments = [self.name.as_ptr(), bases.as_ptr(), namespace.as_ptr()];
            let class = self.call(metaclass.object.as_ptr(), arguments)?;
            if ffi::PyType_Check(class.as_ptr()) == 0 || ffi::PyCell_Check(cell.as_ptr()) == 0 {
                return Ok(class);
            }
            let held = ffi::PyCell_Get(cell.as_ptr());
            if held.is_null() {
                ffi::calling!(PyErr_Format(
                    ffi::PyExc_RuntimeError,
                    c"__class__ not set defining %.200R as %.200R. \
                    Was __classcell__ propagated to type.__new__?"
                        .as_ptr(),
                    self.name.as_ptr(),
                    class.as_ptr(),
                ));
                return Err(ErrorSet);
            }
            let held = Owned::new(held)?;
            if !ptr::eq(held.as_ptr(), class.as_ptr()) {
                ffi::calling!(PyErr_Format(
                    ffi::PyExc_TypeError,
                    c"__class__ set to %.200R defining %.200R as %.200R".as_ptr(),
                    held.as_ptr(),
                    self.name.as_ptr(),
                    class.as_ptr(),
                ));
                return Err(ErrorSet);
            }
            Ok(class)
        }
    }

    /// All steps.
    fn build(&self, observer: &Observer) -> Result<Owned, ErrorSet> {
        self.steps(observer).map_err(|raised| observer.tell_error(raised))
    }

    fn steps(&self, observer: &Observer) -> Result<Owned, ErrorSet> {
        observer.tell_statement(self)?;
        let bases = self.bases()?;
        observer.tell(c"bases", &bases)?;
        let metaclass = self.metaclass(&bases)?;
        observer.tell(c"metaclass", &metaclass.object)?;
        let namespace = self.namespace(&metaclass, &bases)?;
        // An observer may watch what is stored, through a mapping of its own.
        let watched = observer.tell(c"namespace", &namespace)?;
        let watched = watched.as_ref().unwrap_or(&namespace);
        // SAFETY: the body is a function.
        let cell = unsafe { run(&self.body, watched)? };
        observer.tell(c"body", &cell)?;
        self.keep_written(&bases, watched)?;
        observer.tell(c"call", &namespace)?;
        let class = self.class(&metaclass, &bases, &namespace, &cell)?;
        observer.tell(c"class", &class)?;
        Ok(class)
    }
}

/// Step 4. Runs the code of a function over `namespace`, its locals, and returns the result: that
/// of the body of a class is the cell of `__class__`, if a method refers to it, else `None`.
///
/// # Safety
///
/// `function` is a function.
unsafe fn run(function: &Owned, namespace: &Owned) -> Result<Owned, ErrorSet> {
    // SAFETY: as the caller promises; the function keeps alive all that is taken from it, or a
    // reference of its own is held to what the code may replace.
    unsafe {
        let function = function.as_ptr();
        let own = |object: RawObject| (!object.is_null()).then(|| Owned::from_borrowed(object));
        let defaults = own(ffi::PyFunction_GetDefaults(function));
        let keyword_defaults = own(ffi::PyFunction_GetKwDefaults(function));
        let closure = own(ffi::PyFunction_GetClosure(function));
        let pointer =
            |object: &Option<Owned>| object.as_ref().map_or(ptr::null_mut(), Owned::as_ptr);
        let (first_default, default_count) = match &defaults {
            Some(tuple) => {
                let items = (*tuple.as_ptr().cast::<ffi::PyTupleObject>()).ob_item.as_ptr();
                (items, ffi::PyTuple_Size(tuple.as_ptr()) as i32)
            }
            None => (ptr::null(), 0),
        };
        let result = Owned::new(ffi::PyEval_EvalCodeEx(
            ffi::PyFunction_GetCode(function),
            ffi::PyFunction_GetGlobals(function),
            namespace.as_ptr(),
            ptr::null(),
            0,
            ptr::null(),
            0,
            first_default,
            default_count,
            pointer(&keyword_defaults),
            pointer(&closure),
        ));
        result.map_err(|raised| name_missing_arguments(function, raised))
    }
}

/// If the exception says that `function` is called without arguments that it needs, has it name
/// the function by its qualified name, as a call does, and not by that of its code.
///
/// # Safety
///
/// `function` is a function, and running its code has raised.
#[cold]
unsafe fn name_missing_arguments(function: RawObject, raised: ErrorSet) -> ErrorSet {
    // SAFETY: as the caller promises; the exception is alive.
    unsafe {
        if ffi::PyErr_ExceptionMatches(ffi::PyExc_TypeError) == 0 {
            return raised;
        }
        let Some(exception) = raised.take() else { return ErrorSet };
        // What the code itself raises, or lets pass, has a traceback.
        let traceback = ffi::PyException_GetTraceback(exception.as_ptr());
        if let Ok(traceback) = Owned::new(traceback) {
            drop(traceback);
            return ErrorSet::restore(exception);
        }
        // The call fails in the same way, before the code begins.
        match Owned::new(ffi::PyObject_CallNoArgs(function)) {
            Ok(_) => ErrorSet::restore(exception),
            Err(raised) => raised,
        }
    }
}

unsafe extern "C" fn build_class(
    _: RawObject,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments, and behind them the values of the keywords.
    catch_panic(|| unsafe {
        let statement = Statement::of_arguments(arguments, count, keywords)?;
        Ok(statement.build(&Observer(None))?.into_ptr())
    })
}

unsafe extern "C" fn build_class_observed(
    _: RawObject,
    arguments: *const RawObject,
    count: ffi::Py_ssize_t,
    keywords: RawObject,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments, and behind them the values of the keywords.
    catch_panic(|| unsafe {
        if count < 1 {
            return Err(raise_type_error(c"build_class_observed: not enough arguments"));
        }
        let observer = Observer(Some(Owned::from_borrowed(*arguments)));
        let statement = Statement::of_arguments(arguments.add(1), count - 1, keywords)?;
        Ok(statement.build(&observer)?.into_ptr())
    })
}

unsafe extern "C" fn run_body(
    _: RawObject,
    arguments: *mut RawObject,
    count: ffi::Py_ssize_t,
) -> RawObject {
    // SAFETY: CPython passes `count` arguments, which are alive.
    catch_panic(|| unsafe {
        if count != 2 {
            return Err(raise_arguments(c"run_body", 2, 2, count));
        }
        let (function, namespace) = (*arguments, *arguments.add(1));
        if ffi::PyFunction_Check(function) == 0 {
            let message = c"run_body() argument 'function' must be a function, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, function));
        }
        if ffi::PyMapping_Check(namespace) == 0 {
            let message = c"run_body() argument 'namespace' must be a mapping, got %R";
            return Err(raise(ffi::PyExc_TypeError, message, namespace));
        }
        let (function, namespace) =
            (Owned::from_borrowed(function), Owned::from_borrowed(namespace));
        Ok(run(&function, &namespace)?.into_ptr())
    })
}

/// The functions of `ctxvars.classes` and what it is built on, with their names.
pub(crate) fn functions(module: RawObject) -> Result<[(&'static CStr, Owned); 3], ErrorSet> {
    let with_keywords = |name, call, doc| {
        let call = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: call };
        type_object::function(
            module,
            type_object::method(name, call, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, doc),
        )
    };
    let build_class_doc =
        c"Create a class as a class statement does: build_class(func, name, /, *bases, \n\
        metaclass=..., **kwds).\n\n\
        `func` is the body, a function whose code is run once over the namespace that the\n\
        metaclass prepares; `name` is the name of the class. Bases that are not classes may name\n\
        others by `__mro_entries__`; the metaclass is the most derived one of `metaclass` and the\n\
        metaclasses of the bases; keyword arguments go to `__prepare__`, the metaclass, and\n\
        `__init_subclass__`. Return what the metaclass returns. Raise what\n\
        builtins.__build_class__ raises, with its messages. O(1) besides what the body and the\n\
        metaclass do. (The language reference, 3.3.3, Customizing class creation)";
    let observed_doc =
        c"As build_class, but the first argument is told of each step: observer(step, value).\n\n\
        The steps are 'statement' (func, name, bases, keywords), 'bases', 'metaclass', 'namespace',\n\
        'body' (what it returned), 'call' (the metaclass is about to be, with this namespace),\n\
        'class', or at any point 'error', with the exception, which goes on. What the observer\n\
        returns for 'namespace', if it is not None, the body is run over instead. An exception of\n\
        the observer ends it all.";
    let run_body = type_object::method(
        c"run_body",
        ffi::PyMethodDefPointer { PyCFunctionFast: run_body },
        ffi::METH_FASTCALL,
        c"run_body($module, function, namespace, /)\n--\n\n\
        Run the code of a function, the body of a class say, over a namespace as its locals.\n\n\
        What the body stores is stored in `namespace`, any mapping. Return what the function\n\
        returns: the body of a class returns the cell of `__class__` if a method refers to it,\n\
        else None. Raise TypeError if the function is not a Python function, or the namespace not a\n\
        mapping. O(1) besides what the body does. (The language reference, 3.3.3.5)",
    );
    Ok([
        (c"build_class", with_keywords(c"build_class", build_class, build_class_doc)?),
        (
            c"build_class_observed",
            with_keywords(c"build_class_observed", build_class_observed, observed_doc)?,
        ),
        (c"run_body", type_object::function(module, run_body)?),
    ])
}
