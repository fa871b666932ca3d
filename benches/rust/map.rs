//! The time of each operation on maps, for several libraries: `cargo bench --bench map`.

mod peers;
mod workload;

use criterion::{BenchmarkId, Criterion};
use std::time::Duration;
use workload::{Key, Operation, contenders};

const LARGEST: usize = 1_000_000;
const SIZES: [usize; 6] = [8, 100, 1000, 10_000, 100_000, LARGEST];

/// The contender that is left out at large sizes, where an operation takes seconds. It is slow at
/// smaller sizes already.
fn takes_seconds(contender: &str, operation: Operation, size: usize) -> bool {
    let slow = match operation {
        Operation::BuildInPlace
        | Operation::RemoveInPlace
        | Operation::CountInPlace
        | Operation::Extend
        | Operation::Collect => "rpds",
        Operation::EqualApart | Operation::EqualAfterEdit => "im",
        _ => return false,
    };
    size == LARGEST && contender == slow
}

fn map<K: Key>(criterion: &mut Criterion) {
    for size in SIZES {
        let contenders = contenders::<K>(size);
        for operation in Operation::ALL {
            let name = format!("map {}, {} keys", operation.name(), K::KIND);
            let mut group = criterion.benchmark_group(name);
            // The contenders run one after the other, so that the speed of the machine differs little.
            for contender in &contenders {
                let slow = takes_seconds(contender.name(), operation, size);
                if slow || !contender.can(operation) {
                    continue;
                }
                group.bench_function(BenchmarkId::new(contender.name(), size), |bencher| {
                    contender.prepare(operation);
                    bencher.iter_custom(|times| contender.repeat(operation, times));
                });
            }
        }
    }
}

fn main() {
    // Many short measurements. `make bench-rust` repeats all of them to measure the noise.
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(80))
        .measurement_time(Duration::from_millis(250))
        .nresamples(1000)
        .configure_from_args();
    map::<u64>(&mut criterion);
    map::<String>(&mut criterion);
    criterion.final_summary();
}
