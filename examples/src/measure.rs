//! Measuring: processor time, and what is typical of it.

use std::error::Error;

use nix::time::{ClockId, clock_gettime};

/// The processor time of `work`, in milliseconds, at its best of three.
pub fn best_of_three<T, E: Error + 'static>(mut work: impl FnMut() -> Result<T, E>) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let before = thread_ms()?;
        std::hint::black_box(work()?);
        best = best.min(thread_ms()? - before);
    }
    Ok(best)
}

/// Processor time of this thread, in milliseconds.
pub fn thread_ms() -> Result<f64, Box<dyn Error>> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 * 1e3 + time.tv_nsec() as f64 / 1e6)
}

/// The median and the 95th percentile; sorts the times.
pub fn percentiles(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    (at(0.5), at(0.95))
}
