//! The context variables of Rust programs: `cargo bench`.
#![allow(missing_docs)] // `criterion_group!` makes public items.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ctxvars::{Context, ContextVar};
use std::hint::black_box;

fn variables(count: usize) -> Vec<ContextVar<usize>> {
    let variables: Vec<_> = (0..count).map(|_| ContextVar::new("variable")).collect();
    for (value, variable) in variables.iter().enumerate() {
        variable.set(value);
    }
    variables
}

fn context(criterion: &mut Criterion) {
    for count in [1, 10, 1000] {
        let mut here = Context::new();
        here.run(|| {
            let variables = variables(count);
            let variable = &variables[count / 2];
            criterion.bench_function(&format!("get/{count}"), |bencher| {
                bencher.iter(|| black_box(variable).get());
            });
            criterion.bench_function(&format!("set and drop the token/{count}"), |bencher| {
                bencher.iter(|| drop(black_box(variable).set(black_box(7))));
            });
            criterion.bench_function(&format!("set and reset/{count}"), |bencher| {
                bencher.iter(|| {
                    let token = black_box(variable).set(black_box(7));
                    black_box(variable).reset(token)
                });
            });
            criterion.bench_function(&format!("copy_current/{count}"), |bencher| {
                bencher.iter(Context::copy_current);
            });
            criterion.bench_function(&format!("set in a fresh copy/{count}"), |bencher| {
                bencher.iter_batched_ref(
                    Context::copy_current,
                    |copy| copy.run(|| drop(variable.set(black_box(7)))),
                    BatchSize::SmallInput,
                );
            });
        });
    }
}

criterion_group!(benches, context);
criterion_main!(benches);
