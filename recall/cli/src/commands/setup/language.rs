//! Whether what a store holds is in English alone: then a smaller model does.

use std::collections::HashSet;

use harness_memory::store::{Filter, Order};
use harness_memory::{Kind, Store};

/// How many of the newest records are looked at.
const RECORDS: usize = 400;

/// Fewer say nothing yet about the languages somebody writes.
const RECORDS_MIN: usize = 30;

/// The share of letters beyond ASCII up to which a store is English: names and a quoted word.
const FOREIGN_MAX: f64 = 0.003;

/// The least share of these words among all: English prose has a quarter, another Latin language a few in a hundred.
const COMMON_MIN: f64 = 0.12;

const COMMON: &str = "the of and to in is it that for on with as was at be this have from or by not are but we you \
    they he she what when which can will would there an if then do has i my so";

/// Whether the newest notes and messages are English, as far as that can be told.
pub(super) fn is_english(store: &dyn Store) -> anyhow::Result<bool> {
    let kinds = vec![Kind::Message, Kind::Note];
    let filter = Filter { kinds, order: Order::Newest, limit: RECORDS, ..Filter::default() };
    let found = store.list(&filter)?.into_iter().filter_map(|lookup| lookup.found());
    let texts: Vec<String> = found.map(|stored| stored.record.text().to_owned()).collect();
    Ok(are_english(&texts))
}

fn are_english(texts: &[String]) -> bool {
    if texts.len() < RECORDS_MIN {
        return false;
    }
    let common: HashSet<&str> = COMMON.split_whitespace().collect();
    let (mut letters, mut foreign, mut words, mut usual) = (0.0, 0.0, 0.0, 0.0);
    for text in texts {
        for c in text.chars().filter(|c| c.is_alphabetic()) {
            letters += 1.0;
            foreign += f64::from(u8::from(!c.is_ascii()));
        }
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            words += 1.0;
            usual += f64::from(u8::from(common.contains(word.to_lowercase().as_str())));
        }
    }
    words > 0.0 && foreign <= FOREIGN_MAX * letters && usual >= COMMON_MIN * words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(text: &str) -> Vec<String> {
        vec![text.to_owned(); RECORDS_MIN]
    }

    #[test]
    fn english_is_told_from_other_languages_and_from_too_little() {
        let english = many("We moved the job to the other host, and it is faster there: see deploy.sh.");
        assert!(are_english(&english));
        assert!(!are_english(&english[1..]), "too few to tell");
        assert!(!are_english(&many("Wir haben den Job auf den anderen Rechner verschoben, dort geht er schneller.")));
        assert!(!are_english(&many("Nous avons deplace le travail sur une autre machine et cela va plus vite.")));
        assert!(!are_english(&many("the job is on the other host 部署失败")));
        assert!(!are_english(&many("")));
    }
}
