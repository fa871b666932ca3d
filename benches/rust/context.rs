//! Context variables of Rust programs and their peers: `cargo bench --bench context`.
//!
//! The parameter is the number of variables that are set. `tokio::task_local` stores each variable
//! separately, so their number does not matter. It has no contexts to copy or enter.
#![allow(missing_docs)] // `criterion_group!` makes public items.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use ctxvars::{Context, ContextVar, FutureContextExt as _};
use opentelemetry::Context as OtelContext;
use opentelemetry::context::FutureExt as _;
use std::array;
use std::future::{Future, ready};
use std::hint::black_box;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::LazyLock;
use std::task;
use std::time::Duration;

const COUNTS: [usize; 3] = [1, 10, 1000];

static VARIABLES: LazyLock<[ContextVar<u64>; 1000]> =
    LazyLock::new(|| array::from_fn(|_| ContextVar::with_default("variable", 28)));

static UNSET: ContextVar<u64> = ContextVar::with_default("unset", 28);

tokio::task_local! {
    static TASK_LOCAL: u64;
}

/// A context with `count` variables that are set, and one of the variables.
fn ours(count: usize) -> (Context, &'static ContextVar<u64>) {
    let set = VARIABLES.iter().take(count).zip(0..);
    let context =
        set.fold(Context::new(), |context, (variable, n)| context.with_value(variable, n));
    (context, &VARIABLES[count / 2])
}

/// One of a thousand types, by three digits. OpenTelemetry looks up values by type.
struct Value<A, B, C>(u64, PhantomData<(A, B, C)>);

type Middle = Value<Digit<0>, Digit<0>, Digit<0>>;

const fn value<A, B, C>(n: u64) -> Value<A, B, C> {
    Value(n, PhantomData)
}

struct Digit<const N: u8>;

macro_rules! for_each_digit {
    ($call:ident, $context:ident $(, $digit:ident)*) => {{
        let context = $call::<$($digit,)* Digit<0>>($context);
        let context = $call::<$($digit,)* Digit<1>>(context);
        let context = $call::<$($digit,)* Digit<2>>(context);
        let context = $call::<$($digit,)* Digit<3>>(context);
        let context = $call::<$($digit,)* Digit<4>>(context);
        let context = $call::<$($digit,)* Digit<5>>(context);
        let context = $call::<$($digit,)* Digit<6>>(context);
        let context = $call::<$($digit,)* Digit<7>>(context);
        let context = $call::<$($digit,)* Digit<8>>(context);
        $call::<$($digit,)* Digit<9>>(context)
    }};
}

trait Static: Send + Sync + 'static {}
impl<T: Send + Sync + 'static> Static for T {}

fn hundreds(context: OtelContext) -> OtelContext {
    for_each_digit!(tens, context)
}

fn tens<A: Static>(context: OtelContext) -> OtelContext {
    for_each_digit!(ones, context, A)
}

fn ones<A: Static, B: Static>(context: OtelContext) -> OtelContext {
    for_each_digit!(one, context, A, B)
}

fn one<A: Static, B: Static, C: Static>(context: OtelContext) -> OtelContext {
    context.with_value(value::<A, B, C>(7))
}

/// An OpenTelemetry context with `count` values.
fn otel(count: usize) -> OtelContext {
    let context = OtelContext::new();
    match count {
        1 => one::<Digit<0>, Digit<0>, Digit<0>>(context),
        10 => ones::<Digit<0>, Digit<0>>(context),
        _ => hundreds(context),
    }
}

const OURS: &str = "ctxvars";
const TOKIO: &str = "tokio::task_local";
const OTEL: &str = "opentelemetry";

fn group<'a>(criterion: &'a mut Criterion, operation: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(format!("context {operation}"));
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_millis(400));
    group
}

/// Measures `routine` with `count` variables set, for each count.
fn measure_ours<R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    mut routine: impl FnMut(&ContextVar<u64>) -> R,
) {
    for count in COUNTS {
        let (mut context, variable) = ours(count);
        context.run(|| {
            group.bench_function(BenchmarkId::new(OURS, count), |bencher| {
                bencher.iter(|| routine(black_box(variable)));
            });
        });
    }
}

/// As `measure_ours`, for OpenTelemetry.
fn measure_otel<R>(group: &mut BenchmarkGroup<'_, WallTime>, mut routine: impl FnMut() -> R) {
    for count in COUNTS {
        let _entered = otel(count).attach();
        group.bench_function(BenchmarkId::new(OTEL, count), |bencher| bencher.iter(&mut routine));
    }
}

/// As `measure_ours`, for tokio, with one variable.
fn measure_tokio<R>(group: &mut BenchmarkGroup<'_, WallTime>, mut routine: impl FnMut() -> R) {
    TASK_LOCAL.sync_scope(7, || {
        group.bench_function(BenchmarkId::new(TOKIO, 1), |bencher| bencher.iter(&mut routine));
    });
}

fn get(criterion: &mut Criterion) {
    let mut group = group(criterion, "get");
    measure_ours(&mut group, ContextVar::get);
    measure_tokio(&mut group, || TASK_LOCAL.get());
    measure_otel(&mut group, || {
        OtelContext::map_current(|context| context.get::<Middle>().map(|value| value.0))
    });
}

fn get_default(criterion: &mut Criterion) {
    let mut group = group(criterion, "get default");
    measure_ours(&mut group, |_| black_box(&UNSET).get());
    group.bench_function(BenchmarkId::new(TOKIO, 1), |bencher| {
        bencher.iter(|| TASK_LOCAL.try_with(|value| *value).unwrap_or(28));
    });
    measure_otel(&mut group, || {
        OtelContext::map_current(|context| context.get::<u64>().copied().unwrap_or(28))
    });
}

fn set_and_drop(criterion: &mut Criterion) {
    let mut group = group(criterion, "set and drop the token");
    measure_ours(&mut group, |variable| drop(variable.set(black_box(7))));
}

fn set_and_reset(criterion: &mut Criterion) {
    let mut group = group(criterion, "set and reset");
    measure_ours(&mut group, |variable| {
        let token = variable.set(black_box(7));
        variable.reset(token)
    });
    measure_otel(&mut group, || {
        drop(OtelContext::current_with_value(value::<Digit<0>, Digit<0>, Digit<0>>(7)).attach());
    });
}

fn scope(criterion: &mut Criterion) {
    let mut group = group(criterion, "scope");
    measure_ours(&mut group, |variable| variable.scope(black_box(7), || black_box(())));
    measure_tokio(&mut group, || TASK_LOCAL.sync_scope(black_box(7), || black_box(())));
    measure_otel(&mut group, || {
        let context = OtelContext::current_with_value(value::<Digit<0>, Digit<0>, Digit<0>>(7));
        let _entered = context.attach();
        black_box(());
    });
}

fn current(criterion: &mut Criterion) {
    let mut group = group(criterion, "current");
    measure_ours(&mut group, |_| Context::current());
    measure_otel(&mut group, OtelContext::current);
}

fn run(criterion: &mut Criterion) {
    let mut group = group(criterion, "run");
    for count in COUNTS {
        let mut context = ours(count).0;
        group.bench_function(BenchmarkId::new(OURS, count), |bencher| {
            bencher.iter(|| black_box(&mut context).run(|| black_box(())));
        });
        let context = otel(count);
        group.bench_function(BenchmarkId::new(OTEL, count), |bencher| {
            bencher.iter(|| {
                let _entered = black_box(&context).clone().attach();
                black_box(());
            });
        });
    }
}

/// Creates a future that is ready at once, polls it and drops it.
fn poll<F: Future>(future: F) -> task::Poll<F::Output> {
    pin!(future).poll(&mut task::Context::from_waker(task::Waker::noop()))
}

fn poll_once(criterion: &mut Criterion) {
    let mut group = group(criterion, "poll");
    for count in COUNTS {
        let context = ours(count).0;
        group.bench_function(BenchmarkId::new(OURS, count), |bencher| {
            bencher.iter(|| poll(ready(7).in_context(black_box(&context).clone())));
        });
        let context = otel(count);
        group.bench_function(BenchmarkId::new(OTEL, count), |bencher| {
            bencher.iter(|| poll(ready(7).with_context(black_box(&context).clone())));
        });
    }
    group.bench_function(BenchmarkId::new(TOKIO, 1), |bencher| {
        bencher.iter(|| poll(TASK_LOCAL.scope(black_box(7), ready(7))));
    });
}

criterion_group!(
    benches,
    get,
    get_default,
    set_and_drop,
    set_and_reset,
    scope,
    current,
    run,
    poll_once
);
criterion_main!(benches);
