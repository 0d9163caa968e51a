//! Work that stands aside for everything else.
//!
//! Safety: `setpriority` takes three numbers and touches no memory of ours. On Linux the priority is that of the
//! calling thread (`who` 0), and threads that it starts inherit it; elsewhere it would be that of the process, so that
//! nothing is done there.
#![allow(unsafe_code)]

/// As low as a thread can stand: with two busy threads on one core it has about a hundredth of the time.
#[cfg(target_os = "linux")]
const NICE_MOST: i32 = 19;

/// Lowers the priority of this thread, and of those that it starts, for good. Best effort.
pub(crate) fn lower_this_thread() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: numbers only, see above.
        let failed = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE_MOST) } != 0;
        if failed {
            tracing::debug!("the priority of embedding was not lowered: {}", std::io::Error::last_os_error());
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "the helper stops the test as the test itself does")]

    use super::*;

    /// The priority as the system tells it, of the thread that asks.
    fn nice() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The name, the only field with blanks, stands in brackets; the priority is the 17th after it.
        let rest = stat.rsplit_once(')').unwrap().1;
        rest.split_whitespace().nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn only_the_thread_that_asked_and_those_it_starts_stand_back() {
        let before = nice();
        let (own, inherited) = std::thread::spawn(|| {
            lower_this_thread();
            (nice(), std::thread::spawn(nice).join().unwrap())
        })
        .join()
        .unwrap();
        assert_eq!((own, inherited), (NICE_MOST, NICE_MOST));
        assert_eq!(nice(), before);
    }
}
