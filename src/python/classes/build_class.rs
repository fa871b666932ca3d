//! `build_class`, the function that a `class` statement calls, step by step.
//!
//! ```text
//!   class C(base, metaclass=M, option=1):      the body is compiled to a function, and the
//!       x = 1                                  statement to C = build_class(body, "C", base, ...)
//!
//!   1. bases       objects other than classes may name others in their place (__mro_entries__)
//!   2. metaclass   the given one, or the most derived one of the bases
//!   3. namespace   M.__prepare__("C", bases, option=1), or a dict
//!   4. body        the code of the function is run once, over the namespace as its locals
//!   5. class       M("C", bases, namespace, option=1), which calls __set_name__ and
//!                  __init_subclass__; then the cell of `__class__` must hold the result
//! ```
//!
//! The rules are those of the language reference, "Customizing class creation", and the messages
//! those of CPython's `__build_class__`. An observer is called at each step. So tools that explain
//! the creation of a class show the actual steps, and need no second implementation.

#![allow(unsafe_code)] // Calls the C API of types, cells and code, which PyO3 does not wrap.

use crate::python::interpreter::{
    Arguments, ErrorSet, Exception, Owned, RawObject, exactly, ffi, module_function,
    module_function_with_keywords, name, raise, raise_message, type_object,
};
use std::ffi::CStr;
use std::ptr;

/// The parts of a `class` statement.
struct Statement {
    body: Owned,
    name: Owned,
    /// The bases as they are written in the statement.
    written: Owned,
    metaclass: Option<Owned>,
    /// The keyword arguments except `metaclass`, `None` if the statement has no keyword arguments.
    keywords: Option<Owned>,
}

/// A metaclass, which need not be a class.
struct Metaclass {
    object: Owned,
    is_class: bool,
}

/// A function that is called at each step, if there is one.
struct Observer(Option<Owned>);

impl Observer {
    /// Reports a step to the observer, and returns its result unless that is `None`.
    fn report(&self, step: &'static CStr, value: &Owned) -> Result<Option<Owned>, ErrorSet> {
        let Some(observer) = &self.0 else { return Ok(None) };
        // SAFETY: references keep all objects alive, and the list of arguments ends with a null
        // pointer.
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

    /// Reports the statement: the body, the name, the bases as they are written, and all keyword
    /// arguments.
    fn report_statement(&self, statement: &Statement) -> Result<(), ErrorSet> {
        if self.0.is_none() {
            return Ok(());
        }
        let keywords = match &statement.keywords {
            // SAFETY: the object is a dict. The call returns a new reference, or null.
            Some(keywords) => unsafe { Owned::new(ffi::PyDict_Copy(keywords.as_ptr()))? },
            None => Owned::dict()?,
        };
        if let Some(given) = &statement.metaclass {
            keywords.set_item(name!("metaclass"), given)?;
        }
        let Statement { body, name, written, .. } = statement;
        self.report(c"statement", &Owned::tuple([body, name, written, &keywords])?)?;
        Ok(())
    }

    /// Reports the exception that has been raised, and raises it again, unless the observer raises
    /// another one.
    fn report_error(&self, raised: ErrorSet) -> ErrorSet {
        if self.0.is_none() {
            return raised;
        }
        let Some(exception) = raised.take() else { return ErrorSet };
        match self.report(c"error", &exception) {
            Ok(_) => ErrorSet::restore(exception),
            Err(raised) => raised,
        }
    }
}

fn raise_type_error(message: &'static CStr) -> ErrorSet {
    raise_message(Exception::TypeError, message)
}

impl Statement {
    fn of_arguments(arguments: &[Owned], keywords: Arguments<'_>) -> Result<Self, ErrorSet> {
        let [body, name, bases @ ..] = arguments else {
            return Err(raise_type_error(c"__build_class__: not enough arguments"));
        };
        if !body.is_function() {
            return Err(raise_type_error(c"__build_class__: func must be a function"));
        }
        if !name.is_text() {
            return Err(raise_type_error(c"__build_class__: name is not a string"));
        }
        let mut statement = Self {
            body: body.clone(),
            name: name.clone(),
            written: Owned::tuple_of(bases)?,
            metaclass: None,
            keywords: None,
        };
        if keywords.has_keywords() {
            statement.take_keywords(keywords)?;
        }
        Ok(statement)
    }

    fn take_keywords(&mut self, arguments: Arguments<'_>) -> Result<(), ErrorSet> {
        let keywords = Owned::dict()?;
        for (name, value) in arguments.keywords() {
            if name.is_ascii(c"metaclass") {
                self.metaclass = Some(value.clone());
            } else {
                keywords.set_item(name, value)?;
            }
        }
        self.keywords = Some(keywords);
        Ok(())
    }

    /// Step 1. The bases: the tuple of the written ones itself, unless one of them names others.
    fn bases(&self) -> Result<Owned, ErrorSet> {
        // SAFETY: `written` is a tuple, which keeps its items alive, and `replaced` is a list. The
        // indices are within them.
        unsafe {
            let mut replaced: Option<Owned> = None;
            for index in 0..ffi::PyTuple_Size(self.written.as_ptr()) {
                let base = ffi::PyTuple_GetItem(self.written.as_ptr(), index);
                let base = Owned::borrowed(&base);
                let entries = match Self::entries(base, &self.written)? {
                    None if replaced.is_none() => continue,
                    None => Owned::tuple([base])?,
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

    /// The classes that a base names in its place, if it does.
    fn entries(base: &Owned, bases: &Owned) -> Result<Option<Owned>, ErrorSet> {
        if base.is_type() {
            return Ok(None);
        }
        let Some(method) = base.optional_attribute(name!("__mro_entries__"))? else {
            return Ok(None);
        };
        let entries = method.call_one(bases)?;
        if entries.items_of_tuple_like().is_none() {
            return Err(raise_type_error(c"__mro_entries__ must return a tuple"));
        }
        Ok(Some(entries))
    }

    /// Step 2. The metaclass. A given metaclass that is not a class is taken as it is. Otherwise it
    /// is the most derived one of the given metaclass and those of the bases.
    fn metaclass(&self, bases: &Owned) -> Result<Metaclass, ErrorSet> {
        // SAFETY: `bases` is a tuple, which keeps its items alive; objects keep their types alive.
        // A given metaclass is used as a type after it has been checked to be one.
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
    fn call<const N: usize>(
        &self,
        function: &Owned,
        arguments: [&Owned; N],
    ) -> Result<Owned, ErrorSet> {
        let keywords = self.keywords.as_ref().map_or(ptr::null_mut(), Owned::as_ptr);
        let (function, array) = (function.as_ptr(), arguments.map(Owned::as_ptr));
        // SAFETY: references keep the function and the `N` arguments alive; the keywords are a dict
        // or null. The call returns a new reference, or null.
        unsafe { Owned::new(ffi::PyObject_VectorcallDict(function, array.as_ptr(), N, keywords)) }
    }

    /// Step 3. The namespace for the body.
    fn namespace(&self, metaclass: &Metaclass, bases: &Owned) -> Result<Owned, ErrorSet> {
        // SAFETY: references keep the objects alive. `object` is a type if `is_class` says so. The
        // format takes two C strings, the names of live types.
        unsafe {
            let Some(prepare) = metaclass.object.optional_attribute(name!("__prepare__"))? else {
                return Owned::dict();
            };
            let namespace = self.call(&prepare, [&self.name, bases])?;
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

    /// Stores the bases as they are written in the namespace, if others have taken their place.
    fn keep_written(&self, bases: &Owned, namespace: &Owned) -> Result<(), ErrorSet> {
        if bases.is(&self.written) {
            return Ok(());
        }
        namespace.set_item(name!("__orig_bases__"), &self.written)
    }

    /// Step 5. The class. `cell` is the result of the body.
    fn class(
        &self,
        metaclass: &Metaclass,
        bases: &Owned,
        namespace: &Owned,
        cell: &Owned,
    ) -> Result<Owned, ErrorSet> {
        // SAFETY: references keep the objects alive. The content of a cell is read after `cell` has
        // been checked to be one. Each `%R` of the formats takes a live object.
        unsafe {
            let class = self.call(&metaclass.object, [&self.name, bases, namespace])?;
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
        self.steps(observer).map_err(|raised| observer.report_error(raised))
    }

    fn steps(&self, observer: &Observer) -> Result<Owned, ErrorSet> {
        observer.report_statement(self)?;
        let bases = self.bases()?;
        observer.report(c"bases", &bases)?;
        let metaclass = self.metaclass(&bases)?;
        observer.report(c"metaclass", &metaclass.object)?;
        let namespace = self.namespace(&metaclass, &bases)?;
        // An observer may replace the namespace by a mapping that records the assignments.
        let watched = observer.report(c"namespace", &namespace)?;
        let watched = watched.as_ref().unwrap_or(&namespace);
        // SAFETY: the body is a function, as `of_arguments` has checked.
        let cell = unsafe { run(&self.body, watched)? };
        observer.report(c"body", &cell)?;
        self.keep_written(&bases, watched)?;
        observer.report(c"call", &namespace)?;
        let class = self.class(&metaclass, &bases, &namespace, &cell)?;
        observer.report(c"class", &class)?;
        Ok(class)
    }
}

/// Step 4. Runs the code of a function with `namespace` as its locals, and returns the result. The
/// body of a class returns the cell of `__class__`, if a method refers to it, else `None`.
///
/// # Safety
///
/// `function` is a function.
unsafe fn run(function: &Owned, namespace: &Owned) -> Result<Owned, ErrorSet> {
    // SAFETY: the object is a function, whose parts have the types that the calls ask for. The
    // function keeps its code and globals alive. The other parts can be replaced while the code
    // runs, so references to them are held.
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

/// If the exception reports missing arguments of `function`, replaces it by one that has the
/// qualified name of the function, as after a call, and not the name of its code.
///
/// # Safety
///
/// `function` is a function, and running its code has raised.
#[cold]
unsafe fn name_missing_arguments(function: RawObject, raised: ErrorSet) -> ErrorSet {
    // SAFETY: the function and the exception are alive. The calls return new references, or null.
    unsafe {
        if !Exception::TypeError.is_set() {
            return raised;
        }
        let Some(exception) = raised.take() else { return ErrorSet };
        // An exception that the code itself raises has a traceback.
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

fn build_class(arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    Statement::of_arguments(arguments.positional, arguments)?.build(&Observer(None))
}

fn build_class_observed(arguments: Arguments<'_>) -> Result<Owned, ErrorSet> {
    let [observer, others @ ..] = arguments.positional else {
        return Err(raise_type_error(c"build_class_observed: not enough arguments"));
    };
    let observer = Observer(Some(observer.clone()));
    Statement::of_arguments(others, arguments)?.build(&observer)
}

fn run_body(arguments: &[Owned]) -> Result<Owned, ErrorSet> {
    let [function, namespace] = exactly(c"run_body", arguments)?;
    if !function.is_function() {
        let message = c"run_body() argument 'function' must be a function, got %R";
        return Err(raise(Exception::TypeError, message, function));
    }
    if !namespace.is_mapping_like() {
        let message = c"run_body() argument 'namespace' must be a mapping, got %R";
        return Err(raise(Exception::TypeError, message, namespace));
    }
    // SAFETY: the object is a function, as checked above.
    unsafe { run(&function.clone(), &namespace.clone()) }
}

/// The functions of `ctxvars.classes`, and those on which it is built, with their names.
pub(crate) fn functions(module: &Owned) -> Result<[(&'static CStr, Owned); 3], ErrorSet> {
    let build_class_doc =
        c"Create a class as a class statement does: build_class(func, name, /, *bases, \n\
        metaclass=..., **kwds).\n\n\
        `func` is the body, a function whose code is run once with the namespace that the metaclass\n\
        prepares. `name` is the name of the class. Bases that are not classes may name others by\n\
        `__mro_entries__`. The metaclass is the most derived one of `metaclass` and the metaclasses\n\
        of the bases. Keyword arguments are passed to `__prepare__`, the metaclass, and\n\
        `__init_subclass__`. Return the result of the metaclass. Raise the exceptions of\n\
        builtins.__build_class__, with its messages. O(1) besides the body and the metaclass.\n\
        (The language reference, 3.3.3, Customizing class creation)\n\n\
        >>> from ctxvars.classes import build_class\n\
        >>> def body():\n\
        ...     pass\n\
        >>> build_class(body, 'C', int).__mro__[1:]\n\
        (<class 'int'>, <class 'object'>)";
    let observed_doc =
        c"As build_class, but call the first argument at each step: observer(step, value).\n\n\
        The steps are 'statement' (func, name, bases, keywords), 'bases', 'metaclass', 'namespace',\n\
        'body' (its result), 'call' (the namespace with which the metaclass is called next),\n\
        'class', and at any point 'error', with the exception, which then propagates. If the\n\
        observer returns an object other than None for 'namespace', the body is run with it\n\
        instead. An exception of the observer ends the creation.";
    let run_body_doc = c"run_body($module, function, namespace, /)\n--\n\n\
        Run the code of a function, such as the body of a class, with a namespace as its locals.\n\n\
        Names that the body assigns are stored in `namespace`, any mapping. Return the result of\n\
        the function: the body of a class returns the cell of `__class__` if a method refers to\n\
        it, else None. Raise TypeError if `function` is not a function or `namespace` is not a\n\
        mapping. O(1) besides the body. (The language reference, 3.3.3.5)";
    let add = |row| type_object::function(module, row);
    Ok([
        (
            c"build_class",
            add(module_function_with_keywords(c"build_class", build_class, build_class_doc))?,
        ),
        (
            c"build_class_observed",
            add(module_function_with_keywords(
                c"build_class_observed",
                build_class_observed,
                observed_doc,
            ))?,
        ),
        (c"run_body", add(module_function(c"run_body", run_body, run_body_doc))?),
    ])
}
