//! What a caller may see and change.

use harness_memory::scope::Readable;
use harness_memory::session::run_name;
use harness_memory::{ReadSet, Scope};

use super::problem::Problem;

/// What a token, or this process itself, allows.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// Which token it is, for the keys of its writes; no secret.
    pub(crate) name: String,
    pub(crate) reads: ReadSet,
    /// Where it may write; empty for one that only reads.
    pub(crate) writes: ReadSet,
    /// Where it writes when it does not say.
    pub(crate) home_scope: Scope,
    /// The SHA-256 of the token that it came with, where it came with one: what was opened with a token ends with it.
    pub(crate) token: Option<[u8; 32]>,
}

impl Grant {
    /// Everything, writing to this scope where none is named.
    pub(crate) fn everything(name: &str, home_scope: Scope) -> Grant {
        let everything = ReadSet::everything;
        Grant { name: name.to_owned(), reads: everything(), writes: everything(), home_scope, token: None }
    }

    /// Only these entries, or without any everything; a home scope outside them becomes the first of them.
    pub(crate) fn within(name: &str, entries: &[Readable], read_only: bool, home_scope: Scope) -> Grant {
        let reads = if entries.is_empty() { ReadSet::everything() } else { ReadSet::new(entries.iter().cloned()) };
        let writes = if read_only { ReadSet::new([]) } else { reads.clone() };
        let home_scope = match entries.first() {
            Some(_) if reads.allows(&home_scope) => home_scope,
            Some(Readable::Within(scope) | Readable::Exactly(scope)) => scope.clone(),
            None => home_scope,
        };
        Grant { name: name.to_owned(), reads, writes, home_scope, token: None }
    }

    /// Nothing at all.
    pub(crate) fn nobody(home_scope: Scope) -> Grant {
        let nothing = || ReadSet::new([]);
        Grant { name: "nobody".to_owned(), reads: nothing(), writes: nothing(), home_scope, token: None }
    }

    pub(crate) fn may_write(&self) -> bool {
        !self.writes.entries().is_empty()
    }

    /// Whether all is open to it, the facts about the whole memory too.
    pub(crate) fn is_everything(&self) -> bool {
        self.reads.is_everything()
    }

    /// The scope to write to: the one that was asked for, where it may.
    pub(crate) fn write_scope(&self, asked: Option<&Scope>) -> Result<Scope, Problem> {
        self.check_write()?;
        let scope = asked.unwrap_or(&self.home_scope);
        if self.writes.allows(scope) {
            return Ok(scope.clone());
        }
        let allowed: Vec<String> = self.writes.entries().iter().map(ToString::to_string).collect();
        let detail = format!("this token writes to {}, and {scope} is not inside it", allowed.join(", "));
        Err(Problem::forbidden("scope-not-allowed", detail))
    }

    /// Refuses a caller that only reads.
    pub(crate) fn check_write(&self) -> Result<(), Problem> {
        if self.may_write() {
            return Ok(());
        }
        Err(Problem::forbidden("read-only-token", "this token only reads; `harness token new` makes one that writes"))
    }

    /// The scope that this caller is bound to, by which its runs are told from those of others.
    pub(crate) fn bound(&self) -> Option<Scope> {
        if self.is_everything() { None } else { Some(self.home_scope.clone()) }
    }

    /// The name under which a run of this caller is kept.
    pub(crate) fn run(&self, name: &str) -> String {
        run_name(name, self.bound().as_ref())
    }

    /// The name that this caller gave a run; `None` when it is not its own.
    pub(crate) fn own_run(&self, kept: &str) -> Option<String> {
        kept.strip_suffix(&self.run("")).map(str::to_owned)
    }

    /// What may be read of what was asked for.
    pub(crate) fn narrowed(&self, asked: &[Readable]) -> ReadSet {
        if asked.is_empty() { self.reads.clone() } else { self.reads.intersect(&ReadSet::new(asked.iter().cloned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(path: &str) -> Scope {
        Scope::parse(path).unwrap()
    }

    #[test]
    fn a_token_bound_to_a_scope_writes_there_and_nowhere_else() {
        let grant = Grant::within("t", &["ana/shop".parse().unwrap()], false, scope("ana"));
        assert_eq!(grant.write_scope(None).unwrap(), scope("ana/shop"));
        assert_eq!(grant.write_scope(Some(&scope("ana/shop/run"))).unwrap(), scope("ana/shop/run"));
        assert_eq!(&*grant.write_scope(Some(&scope("ana"))).unwrap_err().code, "scope-not-allowed");
        assert!(!grant.reads.allows(&scope("ana/other")));
        assert!(!grant.narrowed(&["/".parse().unwrap()]).allows(&scope("eve")));
    }

    #[test]
    fn runs_of_one_name_are_told_apart_by_the_scope_of_who_named_them() {
        let bound = |path: &str| Grant::within("t", &[path.parse().unwrap()], false, scope("ana"));
        let (acme, globex) = (bound("acme"), bound("globex"));
        assert_ne!(acme.run("r"), globex.run("r"));
        assert_eq!(acme.own_run(&acme.run("r")).as_deref(), Some("r"));
        assert_eq!(globex.own_run(&acme.run("r")), None);
        assert_eq!(Grant::everything("t", scope("ana")).run("r"), "r");
    }

    #[test]
    fn a_token_that_only_reads_writes_nothing() {
        let grant = Grant::within("t", &[], true, scope("ana"));
        assert_eq!(&*grant.write_scope(None).unwrap_err().code, "read-only-token");
        assert!(grant.is_everything());
    }
}
