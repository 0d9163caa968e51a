//! The sentences in which the fold says why it takes a run to have ended as it did.
//!
//! They are the program's words and not the person's: who searches for a build or a test does not look for every
//! episode of which nobody knows whether it was built or tested. [`told`] tells the two apart, in stores of any age.

use super::evidence::Check;

/// Nothing says how it ended.
pub const UNKNOWN: &str = "no test, build or word of the user says how it ended";

pub(super) const INTERRUPTED: &str = "the user interrupted it, and it was not taken up again";

/// Stands before what the user said.
pub(super) const SAID: &str = "the user said: ";

/// Stands after it where more was done, and nothing says how that ended.
pub(super) const MORE_DONE: &str = "; more was done, without a sign how it ended";

/// Stands between what the user said and how a check ended after it.
pub(super) const AFTERWARDS: &str = "; afterwards ";

pub(super) const FAILED: &str = " failed";
pub(super) const FAILED_AND_CHANGED: &str = " failed, and was not run again after the last change";
pub(super) const FAILED_AT_THE_END: &str = " failed at the end";
pub(super) const FAILED_AFTERWARDS: &str = " failed afterwards";
pub(super) const FAILED_AT_FIRST: &str = " failed at first and passed at the end";
pub(super) const PASSED: &str = " passed";
pub(super) const PASSED_AND_CHANGED: &str = " passed, but more was changed afterwards";
pub(super) const PASSED_AT_THE_END: &str = " passed at the end";
pub(super) const PASSED_AND_SAYS_LITTLE: &str = " passed at the end, which says little about the request";
/// Stands between a check that passed and one that failed later.
pub(super) const PASSED_BUT: &str = " passed, ";

/// What stands after the name of a check where the check alone says how it ended.
const OF_A_CHECK: [&str; 6] = [
    FAILED_AND_CHANGED,
    FAILED_AT_THE_END,
    FAILED_AT_FIRST,
    PASSED_AND_CHANGED,
    PASSED_AT_THE_END,
    PASSED_AND_SAYS_LITTLE,
];

/// What a reason says beyond the fold's own words: all of a reason that somebody gave, of a quotation what the user
/// said, and nothing where the fold speaks alone.
pub fn told(reason: &str) -> Option<&str> {
    if reason == UNKNOWN || reason == INTERRUPTED || is_of_checks(reason) {
        return None;
    }
    let Some(said) = reason.strip_prefix(SAID) else { return Some(reason) };
    let said = said.strip_suffix(MORE_DONE).unwrap_or(said);
    Some(match said.rsplit_once(AFTERWARDS) {
        Some((said, check)) if after_name(check).is_some_and(|end| end == FAILED || end == PASSED) => said,
        _ => said,
    })
}

fn is_of_checks(reason: &str) -> bool {
    let Some(end) = after_name(reason) else { return false };
    let of_another = || end.strip_prefix(PASSED_BUT).and_then(after_name) == Some(FAILED_AFTERWARDS);
    OF_A_CHECK.contains(&end) || of_another()
}

/// What stands after the name of a check.
fn after_name(text: &str) -> Option<&str> {
    Check::ALL.iter().find_map(|check| text.strip_prefix(check.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folds_own_sentences_say_nothing() {
        for reason in [
            UNKNOWN,
            INTERRUPTED,
            "the tests passed at the end",
            "the build passed at the end, which says little about the request",
            "the linter failed, and was not run again after the last change",
            "the build passed, the tests failed afterwards",
        ] {
            assert_eq!(told(reason), None, "{reason}");
        }
    }

    #[test]
    fn what_somebody_said_stays() {
        for reason in
            ["the id was mistyped", "the build server was down", "the tests passed at the end, but slowly", ""]
        {
            assert_eq!(told(reason), Some(reason));
        }
        assert_eq!(told("the user said: thanks; bye"), Some("thanks; bye"));
        assert_eq!(told("the user said: 还是报错; afterwards the tests passed"), Some("还是报错"));
        assert_eq!(told("the user said: no; more was done, without a sign how it ended"), Some("no"));
        assert_eq!(told("the user said: wrong; afterwards it rained"), Some("wrong; afterwards it rained"));
    }
}
