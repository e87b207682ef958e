//! Threads for short parallel loops.
//!
//! Decoding one token is some two hundred loops of a few dozen microseconds each. A general pool puts its threads to sleep between them and waking
//! one costs as much as the loop; these threads wait awake for a moment before they sleep.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// How long a thread waits awake for the next loop.
const AWAKE: Duration = Duration::from_micros(300);
/// Looks at the clock once in so many turns of waiting.
const TURNS: usize = 64;

/// Where a loop's results go, every task writing places of its own.
#[derive(Clone, Copy)]
pub struct Places(pub *mut f32);
// SAFETY: a pointer that is only used in unsafe code, whose authors see to it that no two tasks write the same place.
#[allow(unsafe_code)]
unsafe impl Sync for Places {}

impl Places {
    /// # Safety
    /// Place `i` lies in the room that the pointer points to.
    #[allow(unsafe_code)]
    pub unsafe fn at(&self, i: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(i) }
    }
}

/// A loop's body, its lifetime forgotten: `Pool::run` outlives every use of it.
#[derive(Clone, Copy)]
struct Job {
    body: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}
// SAFETY: the body is `Sync`, and a raw pointer to it is as good as a reference while `Pool::run` waits.
#[allow(unsafe_code)]
unsafe impl Send for Job {}

struct Pool {
    /// Threads besides the caller's.
    workers: usize,
    /// One caller at a time; others do their loops alone.
    caller: Mutex<()>,
    job: Mutex<Option<Job>>,
    /// Whether the loop may be joined (1), how many workers are in it (in steps of [`ONE`]), its number (in steps of [`NEXT`]). A worker that
    /// the system keeps from running never joins, and nobody waits for it.
    gate: AtomicU64,
    next: AtomicUsize,
    asleep: AtomicUsize,
    wake: Condvar,
    panicked: AtomicBool,
}

const OPEN: u64 = 1;
const ONE: u64 = 2;
const NEXT: u64 = 1 << 16;

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    let mut fresh = false;
    let pool = POOL.get_or_init(|| {
        fresh = true;
        Pool {
            workers: threads() - 1,
            caller: Mutex::new(()),
            job: Mutex::new(None),
            gate: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            asleep: AtomicUsize::new(0),
            wake: Condvar::new(),
            panicked: AtomicBool::new(false),
        }
    });
    if fresh {
        for i in 0..pool.workers {
            let builder = std::thread::Builder::new().name(format!("kernels-{i}"));
            // A thread that could not be had would be waited for: better to say so at once.
            if let Err(e) = builder.spawn(move || pool.work()) {
                panic!("cannot start a thread: {e}");
            }
        }
    }
    pool
}

/// Threads that loops run on: `RAYON_NUM_THREADS`, or as many as the machine has.
pub fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|v| v.parse().ok()).filter(|n| *n > 0);
        asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
    })
}

/// Waits awake, then yields, until `ready`; false when it gave up after [`AWAKE`].
fn wait(ready: impl Fn() -> bool, patient: bool) -> bool {
    let mut began = None;
    loop {
        for _ in 0..TURNS {
            if ready() {
                return true;
            }
            std::hint::spin_loop();
        }
        let waited = began.get_or_insert_with(Instant::now).elapsed();
        if waited > AWAKE {
            if !patient {
                return false;
            }
            // More threads than cores: let the others go on.
            std::thread::yield_now();
        }
    }
}

impl Pool {
    fn work(&self) {
        let mut seen = 0;
        loop {
            let gate = || self.gate.load(Ordering::SeqCst);
            let news = || gate() & OPEN != 0 && gate() / NEXT != seen;
            if !wait(news, false) {
                let lock = self.job.lock().unwrap_or_else(PoisonError::into_inner);
                self.asleep.fetch_add(1, Ordering::SeqCst);
                drop(self.wake.wait_while(lock, |_| !news()).unwrap_or_else(PoisonError::into_inner));
                self.asleep.fetch_sub(1, Ordering::SeqCst);
            }
            let now = gate();
            if now & OPEN == 0 || now / NEXT == seen {
                continue;
            }
            if self.gate.compare_exchange(now, now + ONE, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                continue;
            }
            seen = now / NEXT;
            let job = *self.job.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(job) = job {
                self.share(job);
            }
            self.gate.fetch_sub(ONE, Ordering::SeqCst);
        }
    }

    /// Takes tasks until there are none left.
    fn share(&self, job: Job) {
        // SAFETY: `run` does not return before every worker that joined has left, so the body is alive.
        #[allow(unsafe_code)]
        let body = unsafe { &*job.body };
        let tasks = || {
            loop {
                let task = self.next.fetch_add(1, Ordering::Relaxed);
                if task >= job.tasks {
                    return;
                }
                body(task);
            }
        };
        if catch_unwind(AssertUnwindSafe(tasks)).is_err() {
            self.panicked.store(true, Ordering::SeqCst);
            self.next.store(job.tasks, Ordering::SeqCst);
        }
    }

    fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime is changed; this function waits until no worker uses the body any more.
        #[allow(unsafe_code)]
        let body: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(body) };
        let job = Job { body, tasks };
        self.next.store(0, Ordering::SeqCst);
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        let number = self.gate.load(Ordering::SeqCst) / NEXT + 1;
        self.gate.store(number * NEXT + OPEN, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            // Taking the lock makes sure that a worker about to sleep has either seen the gate or hears the call.
            drop(self.job.lock().unwrap_or_else(PoisonError::into_inner));
            self.wake.notify_all();
        }
        self.share(job);
        self.gate.fetch_and(!OPEN, Ordering::SeqCst);
        wait(|| self.gate.load(Ordering::SeqCst) & (NEXT - ONE) == 0, true);
        if self.panicked.swap(false, Ordering::SeqCst) {
            panic!("a task of a parallel loop panicked");
        }
    }
}

/// `body(0)`, …, `body(tasks − 1)` in any order, on all threads. Inside another loop, or while another caller's runs, on this thread alone.
pub fn each(tasks: usize, body: impl Fn(usize) + Sync) {
    if tasks > 1 && threads() > 1 {
        let pool = pool();
        let caller = match pool.caller.try_lock() {
            Ok(guard) => Some(guard),
            // Another loop's panic: its caller has heard of it.
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if caller.is_some() {
            pool.run(tasks, &body);
            return;
        }
    }
    (0..tasks).for_each(body);
}

/// [`each`] over disjoint pieces of a slice, `size` elements each but the last.
pub fn chunks<T: Send>(data: &mut [T], size: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    struct Base<T>(*mut T);
    // SAFETY: every task makes a slice of another piece.
    #[allow(unsafe_code)]
    unsafe impl<T: Send> Sync for Base<T> {}
    let (len, base) = (data.len(), Base(data.as_mut_ptr()));
    let base = &base;
    each(len.div_ceil(size.max(1)), |i| {
        let (start, end) = (i * size, (i * size + size).min(len));
        // SAFETY: start..end lies within the slice, which is borrowed exclusively, and no other task has this piece.
        #[allow(unsafe_code)]
        let piece = unsafe { std::slice::from_raw_parts_mut(base.0.add(start), end - start) };
        body(i, piece);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(count: &AtomicUsize) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn every_task_is_done_once() {
        for round in 0..200 {
            let mut seen = vec![0u32; round];
            chunks(&mut seen, 3, |i, piece| piece.iter_mut().for_each(|v| *v += i as u32 + 1));
            assert!(seen.iter().enumerate().all(|(at, v)| *v == at as u32 / 3 + 1), "{round}");
        }
    }

    #[test]
    fn loops_in_loops_and_callers_beside_each_other() {
        let count = AtomicUsize::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..100 {
                        each(5, |_| each(7, |_| add(&count)));
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 4 * 100 * 5 * 7);
    }

    #[test]
    fn a_panic_is_the_callers_and_the_pool_lives_on() {
        let hurt = catch_unwind(|| each(50, |i| assert!(i != 17, "on purpose")));
        assert!(hurt.is_err());
        let count = AtomicUsize::new(0);
        each(50, |_| add(&count));
        assert_eq!(count.into_inner(), 50);
    }

    #[test]
    fn sleepers_are_woken() {
        let count = AtomicUsize::new(0);
        for _ in 0..5 {
            std::thread::sleep(AWAKE * 4);
            each(2, |_| add(&count));
        }
        assert_eq!(count.into_inner(), 10);
    }
}
