//! The number of instructions of each operation: `cargo bench --bench instructions`.
//!
//! Counts of instructions are reproducible, unlike times on a busy machine. This program runs itself
//! under valgrind, with an operation repeated N times and 2N times. The difference of the two counts,
//! divided by N, is the cost of the operation, without set-up and tear-down.

mod amounts;
#[allow(dead_code, reason = "operations on whole maps are not counted here")]
mod peers;
#[allow(dead_code, reason = "operations on whole maps are not counted here")]
mod workload;

use amounts::Amount;
use std::process::Command;
use std::{env, io};
use workload::{KEY_SETS, Operation, contenders};

const OPERATIONS: [Operation; 5] =
    [Operation::Get, Operation::Miss, Operation::SetExisting, Operation::SetNew, Operation::Remove];
const SIZES: [usize; 3] = [8, 100, 10_000];

/// The contender that copies the whole map to derive one. At the largest size, that takes minutes under
/// valgrind.
const COPIED: &str = "std";

/// Each key set of a small map gets 1024 repetitions, so each of its keys is used equally often.
const TIMES: u64 = 1024 * KEY_SETS;

/// The environment variable with which this program runs itself for one operation: the index in
/// `OPERATIONS`, the size, the index of the contender, and the number of repetitions.
const REQUEST: &str = "CTXVARS_BENCH_REQUEST";

fn requested(request: &str) -> Option<()> {
    let mut numbers = request.split(' ').map(str::parse::<usize>);
    let mut next = || numbers.next()?.ok();
    let operation = OPERATIONS.get(next()?)?;
    let contenders = contenders::<u64>(next()?);
    let contender = contenders.get(next()?)?;
    contender.repeat(*operation, next()? as u64);
    Some(())
}

/// The number of instructions that valgrind counts for a request.
fn counted(request: &str) -> io::Result<f64> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .env(REQUEST, request)
        .output()?;
    let report = String::from_utf8_lossy(&run.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    collected
        .and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| io::Error::other(format!("valgrind failed:\n{report}")))
}

fn amount(operation: usize, size: usize, contender: usize) -> io::Result<f64> {
    let counts = |times: u64| counted(&format!("{operation} {size} {contender} {times}"));
    Ok((counts(2 * TIMES)? - counts(TIMES)?) / TIMES as f64)
}

fn main() -> io::Result<()> {
    if let Ok(request) = env::var(REQUEST) {
        return requested(&request).ok_or_else(|| io::Error::other("no such request"));
    }
    if !amounts::wanted() {
        return Ok(());
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: instructions are not counted");
        return Ok(());
    }
    let names: Vec<_> = contenders::<u64>(1).iter().map(|each| each.name()).collect();
    let mut found = Vec::new();
    for (operation, what) in OPERATIONS.iter().enumerate() {
        for size in SIZES {
            for (contender, name) in names.iter().enumerate() {
                let copies = *name == COPIED && !matches!(what, Operation::Get | Operation::Miss);
                if copies && size > 100 {
                    continue;
                }
                let amount = Amount {
                    operation: what.name(),
                    contender: name,
                    size,
                    amount: amount(operation, size, contender)?,
                    unit: "instr.",
                };
                found.push(amount.shown());
            }
        }
    }
    amounts::publish("instructions", &found)
}
