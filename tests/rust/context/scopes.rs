//! Scopes over a carrier that can fail and switch contexts: no operation is half done.

#![allow(clippy::unwrap_used)] // What fails here fails the test.

use crate::support::variables::Number;
use ctxvars::context::{Bindings, Carrier, Scope, ScopeError, Version};
use ctxvars::map::ArcHeap;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq)]
struct Failed;

type Value = Arc<u32>;
type Numbers = ArcHeap<Number, Value, Version, Failed>;

#[derive(Default)]
struct Switched {
    /// The contexts, by number.
    contexts: RefCell<[Bindings<Numbers>; 2]>,
    current: Cell<usize>,
    fails: Cell<bool>,
}

impl Switched {
    fn edit<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<Numbers>) -> Result<R, Failed>,
    ) -> Result<R, Failed> {
        let mut bindings = self.current()?;
        let result = edit(&mut bindings)?;
        if self.fails.get() {
            return Err(Failed);
        }
        self.contexts.borrow_mut()[self.current.get()] = bindings;
        Ok(result)
    }

    fn values(&self) -> Vec<(u32, u32)> {
        let bindings = self.current().unwrap();
        let mut values: Vec<_> =
            bindings.iter().map(|(_, entry)| (entry.key.0, *entry.value)).collect();
        values.sort_unstable();
        values
    }
}

impl Carrier for Switched {
    type Heap = Numbers;
    type UpdateMark = usize;

    fn current(&self) -> Result<Bindings<Numbers>, Failed> {
        Ok(self.contexts.borrow()[self.current.get()].clone())
    }

    fn update<R>(
        &self,
        edit: impl FnOnce(&mut Bindings<Numbers>) -> Result<R, Failed>,
    ) -> Result<(R, usize), Failed> {
        Ok((self.edit(edit)?, self.current.get()))
    }

    fn revert(
        &self,
        mark: &usize,
        edit: impl FnOnce(&mut Bindings<Numbers>) -> Result<(), Failed>,
        done: impl FnOnce(),
    ) -> Result<bool, Failed> {
        if *mark == self.current.get() {
            self.edit(edit)?;
            done();
        }
        Ok(*mark == self.current.get())
    }
}

fn scope(values: &[(u32, u32)]) -> Scope<Switched> {
    scope_with(&values.iter().map(|&(number, value)| (number, Some(value))).collect::<Vec<_>>())
}

fn scope_with(values: &[(u32, Option<u32>)]) -> Scope<Switched> {
    let mut pairs: Vec<_> =
        values.iter().map(|&(number, value)| (Number(number), value.map(Arc::new))).collect();
    let last = pairs.pop();
    Scope::new(pairs, last)
}

#[test]
fn a_failure_changes_neither_the_scope_nor_the_context() {
    let carrier = Switched::default();
    let scope = scope(&[(1, 1), (2, 2)]);
    carrier.fails.set(true);
    assert_eq!(scope.enter(&carrier), Err(ScopeError::Carrier(Failed)));
    assert_eq!(scope.leave(&carrier, true), Err(ScopeError::NotEntered));
    assert_eq!(carrier.values(), []);

    carrier.fails.set(false);
    assert_eq!(scope.enter(&carrier), Ok(()));
    assert_eq!(scope.enter(&carrier), Err(ScopeError::Entered));
    assert_eq!(carrier.values(), [(1, 1), (2, 2)]);

    carrier.fails.set(true);
    assert_eq!(scope.leave(&carrier, true), Err(ScopeError::Carrier(Failed)));
    assert_eq!(carrier.values(), [(1, 1), (2, 2)]);
    carrier.fails.set(false);
    assert_eq!(scope.leave(&carrier, true), Ok(()));
    assert_eq!(carrier.values(), []);
}

#[test]
fn the_last_value_for_a_variable_counts() {
    let carrier = Switched::default();
    let outer = scope(&[(1, 0)]);
    let inner = scope(&[(1, 1), (2, 2), (1, 3)]);
    assert_eq!(outer.enter(&carrier), Ok(()));
    assert_eq!(inner.enter(&carrier), Ok(()));
    assert_eq!(carrier.values(), [(1, 3), (2, 2)]);
    assert_eq!(inner.leave(&carrier, false), Ok(()));
    assert_eq!(carrier.values(), [(1, 0)]);
}

#[test]
fn a_value_is_removed_and_restored() {
    let carrier = Switched::default();
    assert_eq!(scope(&[(1, 1), (2, 2)]).enter(&carrier), Ok(()));
    let inner = scope_with(&[(1, Some(3)), (1, None), (3, None), (2, None), (2, Some(4))]);
    assert_eq!(inner.enter(&carrier), Ok(()));
    assert_eq!(carrier.values(), [(2, 4)]);
    assert_eq!(inner.leave(&carrier, true), Ok(()));
    assert_eq!(carrier.values(), [(1, 1), (2, 2)]);
}

#[test]
fn an_empty_scope_changes_nothing_and_is_entered_once() {
    let carrier = Switched::default();
    let empty = scope(&[]);
    assert_eq!(empty.enter(&carrier), Ok(()));
    assert_eq!(empty.enter(&carrier), Err(ScopeError::Entered));
    assert_eq!(scope(&[(1, 1)]).enter(&carrier), Ok(()));
    assert_eq!(empty.leave(&carrier, true), Ok(()));
    assert_eq!(carrier.values(), [(1, 1)]);
}

#[test]
fn leaving_in_another_context_fails_or_changes_nothing() {
    let carrier = Switched::default();
    let scope = scope(&[(1, 1)]);
    assert_eq!(scope.enter(&carrier), Ok(()));
    carrier.current.set(1);
    assert_eq!(scope.leave(&carrier, true), Err(ScopeError::OtherContext));
    assert!(scope.with_entered(|_, mark| *mark == 0).unwrap());
    // This heap does not implement `is_identical`, so the value is not restored.
    carrier.contexts.borrow_mut().rotate_left(1);
    assert_eq!(scope.leave(&carrier, false), Ok(()));
    assert_eq!(carrier.values(), [(1, 1)]);
    assert_eq!(scope.leave(&carrier, false), Err(ScopeError::NotEntered));
}

#[test]
fn a_scope_keeps_the_old_bindings_only_while_entered() {
    let (carrier, before) = (Switched::default(), Arc::new(0));
    carrier.update(|bindings| bindings.set(Number(1), Arc::clone(&before))).unwrap();
    let scope = scope(&[(1, 1)]);
    assert_eq!(scope.enter(&carrier), Ok(()));
    assert_eq!(Arc::strong_count(&before), 2);
    scope.abandon();
    assert_eq!(Arc::strong_count(&before), 1);
    assert_eq!(carrier.values(), [(1, 1)]);
}
