//! The memory of maps: `cargo bench --bench memory`.

#![allow(unsafe_code)] // Counts allocations by wrapping the global allocator.

mod amounts;
#[allow(dead_code, reason = "maps are only built here")]
mod peers;
#[allow(dead_code, reason = "maps are only built here")]
mod workload;

use amounts::Amount;
#[cfg(target_os = "linux")]
use libc::malloc_usable_size;
use peers::{Copied, Im, Imbl, Ours, Rpds, Subject};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use workload::Key;

const SIZES: [usize; 4] = [8, 100, 10_000, 1_000_000];

/// The number of entries in all maps of one size together, so that the averages are stable.
const ENTRIES: usize = 100_000;

/// The allocated memory at one time.
#[derive(Clone, Copy)]
struct Allocated {
    /// Requested bytes.
    requested: usize,
    /// Bytes that the C library used for them, with the header of each block.
    taken: usize,
    blocks: usize,
}

struct Watched;

static REQUESTED: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// The size of the header of a block of `malloc`.
const BLOCK_HEADER: usize = size_of::<usize>();

/// # Safety
///
/// `block` was allocated by [`System`] and is alive.
unsafe fn taken(block: *mut u8) -> usize {
    // SAFETY: `System` calls `malloc` for blocks of ordinary alignment, and the caller guarantees that
    // the block is alive.
    BLOCK_HEADER + unsafe { malloc_usable_size(block.cast()) }
}

/// Other C libraries do not report the size of a block.
#[cfg(not(target_os = "linux"))]
unsafe fn malloc_usable_size(_: *mut std::ffi::c_void) -> usize {
    0
}

// SAFETY: all calls are passed on to `System` unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller meets the conditions of `GlobalAlloc`, which are those of `System`.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            REQUESTED.fetch_add(layout.size(), Ordering::Relaxed);
            // SAFETY: the block has just been allocated by `System`.
            TAKEN.fetch_add(unsafe { taken(block) }, Ordering::Relaxed);
            BLOCKS.fetch_add(1, Ordering::Relaxed);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        REQUESTED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller passes a live block of this allocator.
        TAKEN.fetch_sub(unsafe { taken(block) }, Ordering::Relaxed);
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the caller meets the conditions of `GlobalAlloc`, which are those of `System`.
        unsafe { System.dealloc(block, layout) };
    }
}

impl Allocated {
    fn now() -> Self {
        Self {
            requested: REQUESTED.load(Ordering::Relaxed),
            taken: TAKEN.load(Ordering::Relaxed),
            blocks: BLOCKS.load(Ordering::Relaxed),
        }
    }
}

/// The memory of maps of `size` entries with numbers as keys, for each entry. The map itself, a few
/// words, does not count.
fn amounts_of<M: Subject<u64>>(size: usize) -> [Amount; 3] {
    let count = ENTRIES.div_ceil(size);
    let mut maps: Vec<M> = Vec::with_capacity(count);
    let before = Allocated::now();
    for map in 0..count {
        let numbers = (map * size) as u64..;
        maps.push(numbers.take(size).map(|number| (u64::of(number), number)).collect());
    }
    let after = Allocated::now();
    let entries = (count * size) as f64;
    let amount = |operation, unit, before: usize, after: usize| {
        let amount = (after - before) as f64 / entries;
        Amount { operation, contender: M::NAME, size, amount, unit }.shown()
    };
    [
        amount("requested bytes per entry", "B", before.requested, after.requested),
        amount("bytes per entry as malloc rounds them", "B", before.taken, after.taken),
        amount("allocations per entry", "", before.blocks, after.blocks),
    ]
}

fn main() -> io::Result<()> {
    if !amounts::wanted() {
        return Ok(());
    }
    let mut found = Vec::new();
    for size in SIZES {
        found.extend(amounts_of::<Ours<u64>>(size));
        found.extend(amounts_of::<Imbl<u64>>(size));
        found.extend(amounts_of::<Rpds<u64>>(size));
        found.extend(amounts_of::<Im<u64>>(size));
        found.extend(amounts_of::<Copied<u64>>(size));
    }
    amounts::publish("memory", &found)
}
