//! Work whose memory, stack and processor time are bounded, whatever it does: a checkpoint's template and a
//! client's grammar are programs that strangers wrote.
//!
//! The work runs on a thread of its own. The crate's allocator counts what that thread holds and refuses
//! beyond the bound; a refused allocation unwinds the work instead of aborting the process, which is what
//! the hook below changes (the one unstable feature here, RUSTC_BOOTSTRAP in cmake/Rust.cmake). The thread
//! that waits reads the worker's processor time; work that has used up its time is refused its next
//! allocation. Work that loops without allocating cannot be stopped: its thread is left behind.

use std::alloc::{GlobalAlloc, Layout, System};
use std::any::Any;
use std::cell::Cell;
use std::os::unix::thread::JoinHandleExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Once};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

pub struct Bounds {
    /// Bytes that may be held at once.
    pub memory: usize,
    /// Bytes; only what is used becomes memory.
    pub stack: usize,
    /// Of the processor, not of the clock: a busy machine is no reason to fail.
    pub time: Duration,
}

#[derive(Debug, PartialEq)]
pub enum Stopped {
    Memory,
    Time,
    /// Out of time, and its thread is still running.
    Runaway,
    Panic,
    /// The system gave no thread, or no memory for its stack.
    NoThread,
}

const UNBOUNDED: isize = isize::MAX;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a thread that is out of time gets to reach its next allocation.
const GRACE: Duration = Duration::from_millis(500);

thread_local! {
    static BOUND: Cell<isize> = const { Cell::new(UNBOUNDED) };
    static LEFT: Cell<isize> = const { Cell::new(UNBOUNDED) };
    static IS_STOPPED: Cell<*const AtomicBool> = const { Cell::new(ptr::null()) };
}

struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Takes `size` bytes from this thread's bound; false if they are not there.
fn take(size: usize) -> bool {
    let left = LEFT.get();
    if left == UNBOUNDED {
        return true;
    }
    // SAFETY: the flag lives until the thread has ended.
    let is_stopped = unsafe { (*IS_STOPPED.get()).load(Ordering::Relaxed) };
    let Some(after) = isize::try_from(size).ok().and_then(|size| left.checked_sub(size)) else {
        return false;
    };
    if is_stopped || after < 0 {
        return false;
    }
    LEFT.set(after);
    true
}

fn give_back(size: usize) {
    let left = LEFT.get();
    if left != UNBOUNDED {
        LEFT.set(left.saturating_add(size as isize).min(UNBOUNDED - 1));
    }
}

// SAFETY: everything is left to the system's allocator, or refused with a null pointer.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return ptr::null_mut();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return ptr::null_mut();
        }
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        give_back(layout.size());
        unsafe { System.dealloc(data, layout) }
    }

    unsafe fn realloc(&self, data: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && !take(size - layout.size()) {
            return ptr::null_mut();
        }
        if size < layout.size() {
            give_back(layout.size() - size);
        }
        unsafe { System.realloc(data, layout, size) }
    }
}

/// The bytes that this thread's bounded work holds just now.
pub fn held() -> usize {
    usize::try_from(BOUND.get() - LEFT.get()).unwrap_or(0)
}

/// What a refused allocation unwinds with. It has no size, so that throwing it takes no memory.
struct Refused;

/// Makes a refused allocation unwind, also where the system itself has no more memory, and panics say
/// nothing: what they would print takes memory and time, and the caller reports them.
pub fn install_hooks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::alloc::set_alloc_error_hook(|_| {
            LEFT.set(UNBOUNDED); // what unwinding takes
            resume_unwind(Box::new(Refused));
        });
        // llguidance puts a hook of its own in front, once, which takes a backtrace: ours replaces it.
        let _ = llguidance::panic_utils::catch_unwind(|| Ok(()));
        std::panic::set_hook(Box::new(|_| LEFT.set(UNBOUNDED)));
    });
}

/// Whether a panic that was caught is a refused allocation.
pub fn is_out_of_memory(panic: &(dyn Any + Send)) -> bool {
    panic.is::<Refused>()
}

/// The result of `work`, or why it was stopped. What `work` owns is dropped on its thread.
pub fn run<T: Send + 'static>(
    bounds: Bounds,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stopped> {
    install_hooks();
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = channel();
    let worker_stop = stop.clone();
    let worker = Builder::new()
        .stack_size(bounds.stack)
        .spawn(move || {
            IS_STOPPED.set(Arc::as_ptr(&worker_stop));
            BOUND.set(isize::try_from(bounds.memory).unwrap_or(UNBOUNDED - 1));
            LEFT.set(BOUND.get());
            let result = catch_unwind(AssertUnwindSafe(work));
            LEFT.set(UNBOUNDED);
            let result = result.map_err(|panic| match is_out_of_memory(&*panic) {
                true if worker_stop.load(Ordering::Relaxed) => Stopped::Time,
                true => Stopped::Memory,
                false => Stopped::Panic,
            });
            let _ = sender.send(result);
        })
        .map_err(|_| Stopped::NoThread)?;
    wait_for(worker, &receiver, &stop, bounds.time)
}

fn wait_for<T>(
    worker: JoinHandle<()>,
    results: &Receiver<Result<T, Stopped>>,
    stop: &AtomicBool,
    time: Duration,
) -> Result<T, Stopped> {
    let mut patience = LOOK_EVERY;
    loop {
        match results.recv_timeout(patience) {
            Ok(result) => {
                let _ = worker.join();
                return result;
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Stopped::Panic),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Stopped::Runaway);
        }
        if processor_time(&worker) > time {
            stop.store(true, Ordering::Relaxed);
            patience = GRACE;
        }
    }
}

fn processor_time(worker: &JoinHandle<()>) -> Duration {
    // SAFETY: the thread has not been joined, so its handle is valid; an all-zero timespec is a valid one.
    let (error, now) = unsafe {
        let mut clock: libc::clockid_t = 0;
        let mut now: libc::timespec = std::mem::zeroed();
        let error = libc::pthread_getcpuclockid(worker.as_pthread_t(), &mut clock) != 0
            || libc::clock_gettime(clock, &mut now) != 0;
        (error, now)
    };
    if error {
        return Duration::ZERO; // it has ended, and its result is on the way
    }
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    fn bounds() -> Bounds {
        Bounds {
            memory: 1 << 20,
            stack: 1 << 20,
            time: Duration::from_millis(200),
        }
    }

    #[test]
    fn what_stays_within_its_bounds_gives_its_result() {
        assert_eq!(run(bounds(), || vec![1u8; 1000].len()), Ok(1000));
        // Given back, memory may be taken again.
        let work = || {
            (0..1000)
                .map(|_| black_box(vec![0u8; 1 << 19]).len())
                .sum::<usize>()
        };
        assert_eq!(run(bounds(), work), Ok(1000 << 19));
    }

    #[test]
    fn memory_is_bounded_however_it_is_taken() {
        assert_eq!(run(bounds(), || vec![0u8; 2 << 20].len()), Err(Stopped::Memory));
        assert_eq!(
            run(bounds(), || black_box("x".repeat(9 << 20)).len()),
            Err(Stopped::Memory)
        );
        let growing = || {
            let mut list = Vec::new();
            while list.len() < 1 << 30 {
                list.push(list.len());
            }
            list.len()
        };
        assert_eq!(run(bounds(), growing), Err(Stopped::Memory));
        let pieces = || (0..1 << 20).map(Box::new).collect::<Vec<_>>().len();
        assert_eq!(run(bounds(), pieces), Err(Stopped::Memory));
    }

    #[test]
    fn what_is_held_is_known() {
        let work = || {
            let kept = black_box(vec![0u8; 5000]);
            drop(black_box(vec![0u8; 9000]));
            (held(), kept.len())
        };
        let (held, kept) = run(bounds(), work).unwrap();
        assert!(held >= kept && held < kept + 1000, "{held}");
    }

    #[test]
    fn time_is_bounded() {
        let allocating = || {
            loop {
                black_box(Box::new(1));
            }
        };
        assert_eq!(run::<()>(bounds(), allocating), Err(Stopped::Time));
        let spinning = || {
            while black_box(true) {
                std::hint::spin_loop();
            }
        };
        assert_eq!(run(bounds(), spinning), Err(Stopped::Runaway));
    }

    #[test]
    fn a_panic_and_a_missing_stack_are_told_apart() {
        assert_eq!(
            run::<()>(bounds(), || resume_unwind(Box::new(1))),
            Err(Stopped::Panic)
        );
        let huge = Bounds {
            stack: 1 << 60,
            ..bounds()
        };
        assert_eq!(run(huge, || 1), Err(Stopped::NoThread));
    }
}
