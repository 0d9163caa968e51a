//! Lists of records, and one record with what stands beside it.

use axum::http::StatusCode;
use harness_memory::id::IdPrefix;
use harness_memory::store::{Filter, Order as StoreOrder, Row};
use harness_memory::{Body, Kind, Lookup, ReadSet, Record, RecordId, Scope, Store, Stored};

use super::Service;
use crate::serve::cursor::Cursor;
use crate::serve::grant::Grant;
use crate::serve::problem::Problem;
use crate::serve::types::input::Limit;
use crate::serve::types::{EpisodesQuery, Order, RecordQuery, RecordView, RecordsPage, RecordsQuery, Versions};

/// The most versions of one note that are followed, in each direction.
const VERSIONS_MAX: usize = 200;

/// How many episodes are looked at for a page of those that ended in one way.
const EPISODES_SCANNED_MAX: usize = 5_000;

/// The shortest beginning of an id that names a record: shorter ones name hours.
const ID_DIGITS_MIN: usize = 8;

/// Ids are looked through so many at a time, so often: an import makes thousands within the time that a beginning names.
const ID_PAGE: usize = 1_000;
const ID_PAGES_MAX: usize = 50;

/// A condition that the store cannot check, with its name.
type Only<'a> = (&'a str, &'a dyn Fn(&Record) -> bool);

impl Service {
    /// A page of records.
    pub(crate) async fn records(&self, grant: &Grant, request: RecordsQuery) -> Result<RecordsPage, Problem> {
        let scopes: Vec<_> = request.scope.iter().map(|scope| scope.0.clone()).collect();
        let reads = grant.narrowed(&scopes);
        let filter = Filter {
            scopes: reads,
            kinds: request.kind,
            session: request.session,
            source: request.source,
            since: request.since.map(|time| time.0),
            until: request.until.map(|time| time.0),
            order: match request.order {
                Order::Newest => StoreOrder::Newest,
                Order::Oldest => StoreOrder::Oldest,
            },
            limit: request.limit.get(),
            ..Filter::default()
        };
        let cursor = request.cursor;
        self.blocking(move |service| service.page(filter, cursor, None)).await
    }

    /// A page of episodes, the last added first.
    pub(crate) async fn episodes(&self, grant: &Grant, request: EpisodesQuery) -> Result<RecordsPage, Problem> {
        let scopes: Vec<_> = request.scope.iter().map(|scope| scope.0.clone()).collect();
        let filter = Filter {
            scopes: grant.narrowed(&scopes),
            kinds: vec![Kind::Episode],
            session: request.session,
            order: StoreOrder::Newest,
            limit: request.limit.get(),
            ..Filter::default()
        };
        let (cursor, outcome) = (request.cursor, request.outcome);
        self.blocking(move |service| match outcome {
            None => service.page(filter, cursor, None),
            Some(outcome) => {
                let wanted = move |record: &Record| matches!(&record.body, Body::Episode(e) if e.outcome == outcome);
                service.page(filter, cursor, Some((outcome.word(), &wanted)))
            }
        })
        .await
    }

    /// The page of a listing behind a cursor. `only` is a further condition.
    pub(super) fn page(
        &self,
        mut filter: Filter,
        cursor: Option<Cursor>,
        only: Option<Only<'_>>,
    ) -> Result<RecordsPage, Problem> {
        let wanted = filter.limit;
        let listing = name_of(&filter, only.map(|(name, _)| name));
        filter.after = cursor.map(|cursor| cursor.place(&listing)).transpose()?.map(Row);
        // One more than wanted says whether there is a next page.
        filter.limit = if only.is_some() { wanted.max(200) } else { wanted + 1 };
        let mut page = RecordsPage::default();
        let mut last = None;
        let mut scanned = 0;
        loop {
            let found = self.engine().store().list(&filter)?;
            let full = found.len() == filter.limit;
            for lookup in found {
                scanned += 1;
                let row = match lookup {
                    Lookup::Found(stored) => {
                        if only.is_none_or(|(_, only)| only(&stored.record)) {
                            if page.records.len() == wanted {
                                page.next = last.map(|Row(row)| Cursor::new(row, &listing));
                                return Ok(page);
                            }
                            page.records.push(stored.record);
                        }
                        stored.row
                    }
                    Lookup::Damaged { row, reason, .. } => {
                        page.damaged.push(format!("row {}: {reason}", row.0));
                        row
                    }
                    Lookup::Forgotten(_) | Lookup::Missing => continue,
                };
                last = Some(row);
            }
            if !full {
                return Ok(page);
            }
            if scanned >= EPISODES_SCANNED_MAX {
                page.next = last.map(|Row(row)| Cursor::new(row, &listing));
                return Ok(page);
            }
            filter.after = last;
        }
    }

    /// One record.
    pub(crate) async fn record(&self, grant: &Grant, id: &str, request: RecordQuery) -> Result<RecordView, Problem> {
        let scopes: Vec<_> = request.scope.iter().map(|scope| scope.0.clone()).collect();
        let (reads, context) = (grant.narrowed(&scopes), request.context.map_or(0, Limit::get));
        let id = self.named(&reads, id).await?;
        self.blocking(move |service| {
            let _entered = memory_span!("get_memory").entered();
            service.view(id, &reads, context)
        })
        .await
    }

    /// The versions of a record, the first one first.
    pub(crate) async fn versions(&self, grant: &Grant, id: RecordId) -> Result<Versions, Problem> {
        let reads = grant.reads.clone();
        self.blocking(move |service| {
            let own = service.visible(id, &reads)?.record;
            let store = service.engine().store();
            let mut older = Vec::new();
            let mut at = own.replaces;
            while let Some(id) = at
                && older.len() < VERSIONS_MAX
            {
                let Some(stored) = store.get(&[id])?.pop().and_then(Lookup::found) else { break };
                if !reads.allows(&stored.record.scope) || older.iter().any(|seen: &Record| seen.id == id) {
                    break;
                }
                at = stored.record.replaces;
                older.push(stored.record);
            }
            older.reverse();
            let mut versions = older;
            let mut at = own.id;
            versions.push(own);
            while let Some(id) = store.replaced_by(&[at])?.pop().flatten()
                && versions.len() < 2 * VERSIONS_MAX
            {
                let Some(stored) = store.get(&[id])?.pop().and_then(Lookup::found) else { break };
                if !reads.allows(&stored.record.scope) || versions.iter().any(|seen| seen.id == id) {
                    break;
                }
                at = id;
                versions.push(stored.record);
            }
            Ok(Versions { versions })
        })
        .await
    }

    /// A record that may be read; what cannot be is a problem that says so.
    pub(super) fn visible(&self, id: RecordId, reads: &ReadSet) -> Result<Stored, Problem> {
        let lookup = self.engine().store().get(&[id])?.pop().unwrap_or(Lookup::Missing);
        match lookup {
            Lookup::Found(stored) if reads.allows(&stored.record.scope) => Ok(*stored),
            // Whether a record of somebody else was forgotten is theirs to know.
            Lookup::Forgotten(facts) => match self.scope_of(id)? {
                Some(scope) if reads.allows(&scope) => Err(Problem::forgotten(id, &facts, Some(scope))),
                None if reads.is_everything() => Err(Problem::forgotten(id, &facts, None)),
                _ => Err(Problem::no_record(id)),
            },
            Lookup::Damaged { row, reason, .. } if reads.is_everything() => {
                Err(harness_memory::Error::Damaged { row: row.0, id: Some(id), reason }.into())
            }
            _ => Err(Problem::no_record(id)),
        }
    }

    fn scope_of(&self, id: RecordId) -> Result<Option<Scope>, Problem> {
        Ok(self.engine().store().names_of(&[id])?.pop().flatten().map(|name| name.scope))
    }

    /// The record of this id, or the one whose id begins so; what may not be read is not looked at.
    pub(crate) async fn named(&self, reads: &ReadSet, text: &str) -> Result<RecordId, Problem> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
        let prefix = text.parse::<IdPrefix>().ok().filter(|_| digits >= ID_DIGITS_MIN).ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            let detail = format!("{shown:?} is no id, nor the beginning of one: at least {ID_DIGITS_MIN} hex digits");
            Problem::bad_request(detail)
        })?;
        let (reads, text) = (reads.clone(), text.to_owned());
        self.blocking(move |service| service.one_that_begins(prefix, &text, &reads)).await
    }

    fn one_that_begins(&self, prefix: IdPrefix, text: &str, reads: &ReadSet) -> Result<RecordId, Problem> {
        let store = self.engine().store();
        let mut found: Vec<RecordId> = Vec::new();
        let mut rest = prefix;
        for _ in 0..ID_PAGES_MAX {
            let page = store.find(rest, ID_PAGE)?;
            let names = store.names_of(&page)?.into_iter().flatten();
            found.extend(names.filter(|name| reads.allows(&name.scope)).map(|name| name.id));
            if found.len() > 1 {
                let detail = format!("{text} is the beginning of several ids: give more of it");
                return Err(Problem::conflict("ambiguous-id", detail));
            }
            match page.last() {
                Some(last) if page.len() == ID_PAGE && *last < prefix.last => {
                    let next = u128::from_be_bytes(*last.as_bytes()).saturating_add(1);
                    rest.first = RecordId::from_bytes(next.to_be_bytes());
                }
                _ => break,
            }
        }
        let missing = || Problem::new(StatusCode::NOT_FOUND, "no-record", format!("no record's id begins with {text}"));
        found.pop().ok_or_else(missing)
    }

    /// The live record that replaces this one, where it may be read: what is in another's scope is not told of.
    pub(super) fn successor(&self, id: RecordId, reads: &ReadSet) -> Result<Option<RecordId>, Problem> {
        let store = self.engine().store();
        let Some(newer) = store.replaced_by(&[id])?.pop().flatten() else { return Ok(None) };
        if reads.is_everything() {
            return Ok(Some(newer));
        }
        let name = store.names_of(&[newer])?.pop().flatten();
        Ok(name.filter(|name| reads.allows(&name.scope)).map(|name| name.id))
    }

    /// A record with what replaces it, and for a message with this many to each side.
    pub(super) fn view(&self, id: RecordId, reads: &ReadSet, context: usize) -> Result<RecordView, Problem> {
        let Stored { row, record, .. } = self.visible(id, reads)?;
        let store = self.engine().store();
        let replaced_by = self.successor(id, reads)?;
        let (mut before, mut after) = (None, None);
        if context > 0
            && let Body::Message(message) = &record.body
        {
            let place = (message.position, row);
            let found = store.neighbours(row, context, context)?.into_iter().filter_map(Lookup::found);
            let (earlier, later): (Vec<_>, Vec<_>) = found.partition(|stored| match &stored.record.body {
                Body::Message(other) => (other.position, stored.row) < place,
                _ => false,
            });
            let records = |stored: Vec<Stored>| stored.into_iter().map(|stored| stored.record).collect();
            (before, after) = (Some(records(earlier)), Some(records(later)));
        }
        Ok(RecordView { record, replaced_by, before, after })
    }
}

/// What a listing is called in its cursors: all its filters.
fn name_of(filter: &Filter, only: Option<&str>) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {only:?}",
        filter.scopes, filter.kinds, filter.session, filter.source, filter.since, filter.until, filter.order
    )
}
