//! Days as English names them.

use std::ops::Range;

use jiff::civil::Date;

use super::{Days, Named, Unit};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

const NUMBERS: [&str; 13] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// Words before a month or a year that make one of `May`, `March` and `2023`.
const BEFORE_MONTHS: [&str; 13] =
    ["in", "during", "of", "last", "this", "since", "by", "early", "late", "mid", "until", "from", "through"];

/// A word or number of the text, folded.
struct Token {
    word: String,
    place: Range<usize>,
    /// Whether it was written with a capital.
    capital: bool,
}

struct Tokens<'t> {
    text: &'t str,
    all: Vec<Token>,
    today: Date,
}

pub(super) fn find(text: &str, today: Date) -> Vec<Named> {
    let tokens = Tokens { text, all: tokens(text), today };
    let mut named = Vec::new();
    let mut at = 0;
    while at < tokens.all.len() {
        match tokens.days(at) {
            Some((days, used)) => {
                let place = tokens.all[at].place.start..tokens.all[at + used - 1].place.end;
                named.push(Named { place, days });
                at += used;
            }
            None => at += 1,
        }
    }
    named
}

fn tokens(text: &str) -> Vec<Token> {
    let mut all: Vec<Token> = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_ascii_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(first)) => {
                let word = &text[first..at];
                let capital = word.starts_with(|c: char| c.is_ascii_uppercase());
                all.push(Token { word: word.to_ascii_lowercase(), place: first..at, capital });
                start = None;
            }
            _ => {}
        }
    }
    all
}

impl Tokens<'_> {
    fn word(&self, at: usize) -> &str {
        self.all.get(at).map_or("", |token| &token.word)
    }

    /// The sign between a token and the next, where nothing else stands there.
    fn sign(&self, at: usize) -> Option<&str> {
        let (one, next) = (self.all.get(at)?, self.all.get(at + 1)?);
        Some(&self.text[one.place.end..next.place.start])
    }

    /// The days that start at this token, and how many tokens name them.
    fn days(&self, at: usize) -> Option<(Days, usize)> {
        let numeric = || self.numeric(at);
        numeric().or_else(|| self.date(at)).or_else(|| self.month(at)).or_else(|| self.relative(at)).or_else(|| {
            let year = self.year(at).filter(|_| at > 0 && BEFORE_MONTHS.contains(&self.word(at - 1)))?;
            Some((Days::year(year)?, 1))
        })
    }

    /// `2023-05-02`, `2023/5/2`, `2023-05`.
    fn numeric(&self, at: usize) -> Option<(Days, usize)> {
        let year = self.year(at)?;
        let sign = self.sign(at).filter(|sign| matches!(*sign, "-" | "/" | "."))?;
        let month = self.number(at + 1).filter(|month| (1..=12).contains(month))?;
        if self.sign(at + 1) == Some(sign)
            && let Some(day) = self.number(at + 2).filter(|day| (1..=31).contains(day))
        {
            return Some((Days::date(self.today, Some(year), month as i8, day as i8)?, 3));
        }
        (sign != ".").then_some(())?;
        Some((Days::month(year, month as i8)?, 2))
    }

    /// `2 May 2023`, `the 2nd of May`, `May 2nd, 2023`.
    fn date(&self, at: usize) -> Option<(Days, usize)> {
        let (month, day, mut used) = if let Some(day) = self.day(at) {
            let of = usize::from(self.word(at + 1) == "of");
            (self.month_name(at + 1 + of)?, day, 2 + of)
        } else {
            let month = self.month_name(at)?;
            let the = usize::from(self.word(at + 1) == "the");
            (month, self.day(at + 1 + the)?, 2 + the)
        };
        let year = self.year(at + used);
        used += usize::from(year.is_some());
        Some((Days::date(self.today, year, month, day)?, used))
    }

    /// `March 2023`, `in March`, `last March`.
    fn month(&self, at: usize) -> Option<(Days, usize)> {
        if let Some(month) = self.month_name(at)
            && let Some(year) = self.year(at + 1)
        {
            return Some((Days::month(year, month)?, 2));
        }
        let month = self.month_name(at).filter(|_| self.is_meant(at))?;
        Some((Days::month_of(self.today, None, month)?, 1))
    }

    fn relative(&self, at: usize) -> Option<(Days, usize)> {
        let today = self.today;
        let (word, next) = (self.word(at), self.word(at + 1));
        match (word, next) {
            ("yesterday", _) => return Some((Days::before(today, 1)?, 1)),
            ("today" | "tonight", _) => return Some((Days::before(today, 0)?, 1)),
            ("this", "morning" | "afternoon" | "evening") => return Some((Days::before(today, 0)?, 2)),
            ("last", "night" | "evening") => return Some((Days::before(today, 1)?, 2)),
            ("day", "before") if self.word(at + 2) == "yesterday" => return Some((Days::before(today, 2)?, 3)),
            ("last" | "previous", "week") => return Some((Days::week(today, 1)?, 2)),
            ("this", "week") => return Some((Days::week(today, 0)?, 2)),
            ("last" | "previous", "month") => return Some((Days::month_before(today, 1)?, 2)),
            ("this", "month") => return Some((Days::month_before(today, 0)?, 2)),
            ("last" | "previous", "year") => return Some((Days::year(today.year() - 1)?, 2)),
            ("this", "year") => return Some((Days::year(today.year())?, 2)),
            ("last" | "previous", "weekend") => return Some((Days::weekend(today, 1)?, 2)),
            ("this", "weekend") => return Some((Days::weekend(today, 0)?, 2)),
            ("past", "week") => return Some((Days::past(today, 7, Unit::Day)?, 2)),
            ("past", "month") => return Some((Days::past(today, 1, Unit::Month)?, 2)),
            ("past", "year") => return Some((Days::past(today, 1, Unit::Year)?, 2)),
            _ => {}
        }
        // `last Monday` is said of the one that has passed, whether it was this week's or the last one's.
        let weekday = |at: usize| WEEKDAYS.iter().position(|day| *day == self.word(at));
        if word == "last"
            && let Some(day) = weekday(at + 1)
        {
            let yesterday = today.yesterday().ok()?;
            return Some((Days::last_weekday(yesterday, day as i64)?, 2));
        }
        if let Some(day) = weekday(at).filter(|_| !self.is_feast(at)) {
            return Some((Days::last_weekday(today, day as i64)?, 1));
        }
        // `in the last three days`, `3 weeks ago`, `a couple of months ago`.
        if matches!(word, "last" | "past")
            && let (Some(number), Some(unit)) = (self.count(at + 1), self.unit(at + 2))
        {
            return Some((Days::past(today, number, unit)?, 3));
        }
        let number = self.count(at)?;
        let unit = self.unit(at + 1)?;
        (self.word(at + 2) == "ago").then_some(())?;
        Some((Days::ago(today, number, unit)?, 3))
    }

    /// Whether a weekday is the end of a name: `on Whit Monday`, `before Good Friday`. The first word of a question has a
    /// capital, too, and so have words that introduce a day in a heading.
    fn is_feast(&self, at: usize) -> bool {
        let capital = |at: usize| self.all.get(at).is_some_and(|token| token.capital);
        let introduces = |word: &str| BEFORE_MONTHS.contains(&word) || ["on", "next", "every", "each"].contains(&word);
        at > 1 && capital(at) && capital(at - 1) && self.sign(at - 1) == Some(" ") && !introduces(self.word(at - 1))
    }

    fn number(&self, at: usize) -> Option<i64> {
        self.word(at).parse().ok().filter(|number| (0..10_000).contains(number))
    }

    fn count(&self, at: usize) -> Option<i64> {
        let word = self.word(at);
        let named = || NUMBERS.iter().position(|number| *number == word).map(|number| number as i64);
        let few = || match word {
            "a" | "an" => Some(1),
            "few" => Some(3),
            _ => None,
        };
        self.number(at).or_else(named).or_else(few)
    }

    fn unit(&self, at: usize) -> Option<Unit> {
        match self.word(at).trim_end_matches('s') {
            "day" => Some(Unit::Day),
            "week" => Some(Unit::Week),
            "month" => Some(Unit::Month),
            "year" => Some(Unit::Year),
            _ => None,
        }
    }

    fn year(&self, at: usize) -> Option<i16> {
        let year = self.word(at);
        (year.len() == 4).then(|| year.parse().ok()).flatten().filter(|year| (1900..2100).contains(year))
    }

    /// `2`, `2nd`.
    fn day(&self, at: usize) -> Option<i8> {
        let word = self.word(at);
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        matches!(&word[digits.len()..], "" | "st" | "nd" | "rd" | "th").then_some(())?;
        digits.parse().ok().filter(|day| (1..=31).contains(day))
    }

    /// A month by its name or the first letters of it.
    fn month_name(&self, at: usize) -> Option<i8> {
        let word = self.word(at);
        let short = word.len() == 3 || word == "sept";
        let found = MONTHS.iter().position(|month| *month == word || short && month.starts_with(word))?;
        Some(found as i8 + 1)
    }

    /// Whether a month without a day or a year is meant as one: `may` and `march` are other words too, and so are
    /// most short forms.
    fn is_meant(&self, at: usize) -> bool {
        let word = self.word(at);
        let before = if at > 0 { self.word(at - 1) } else { "" };
        let introduced = BEFORE_MONTHS.contains(&before);
        let capital = self.all.get(at).is_some_and(|token| token.capital);
        match word {
            "may" | "march" => introduced && (capital || before == "in"),
            _ if word.len() == 3 => introduced && capital,
            _ => introduced || capital,
        }
    }
}
